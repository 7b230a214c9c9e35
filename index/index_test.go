package index

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

func TestPutAndReopen(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	put(t, x, testEntry(1), testEntry(2), testEntry(3))
	check := func(x *Index) {
		t.Helper()
		want := testEntry(2)
		got, err := x.Image(ctx, want.ID)
		if diff := cmp.Diff(want.Image, got); err != nil || diff != "" {
			t.Errorf("Image: %v (-want +got):\n%s", err, diff)
		}
		if v, err := x.Vector(ctx, want.ID); err != nil || !cmp.Equal(v, want.Vectors[0]) {
			t.Errorf("Vector = %v, %v", v, err)
		}
		if b, err := x.Thumb(ctx, want.ID); err != nil || !cmp.Equal(b, want.Thumb) {
			t.Errorf("Thumb = %d bytes, %v", len(b), err)
		}
		ids, err := x.Seen(ctx, []clipsearch.File{testFile(1), {Path: testFile(1).Path, Size: 5}, testFile(9)})
		if want := []clipsearch.ID{testID(1), {}, {}}; err != nil || !cmp.Equal(ids, want) {
			t.Errorf("Seen = %v, %v, want %v", ids, err, want)
		}
		hits, err := x.Nearest(ctx, unit(testDim, 3), 2, nil)
		if err != nil || len(hits) != 2 || hits[0].ID != testID(3) || hits[0].Score < 0.999 {
			t.Errorf("Nearest = %v, %v, want %v first", hits, err, testID(3))
		}
		hits, err = x.Match(ctx, "number2", 5, nil)
		if err != nil || len(hits) != 1 || hits[0].ID != testID(2) {
			t.Errorf("Match = %v, %v, want %v", hits, err, testID(2))
		}
		texts, err := x.NearestCaptions(ctx, unit(testDim, 5e6), 10)
		if err != nil || len(texts) != 4 || texts[0].Text != "second words" {
			t.Errorf("NearestCaptions = %v, %v, want 4, second words first", texts, err)
		}
		st, err := x.Stats(ctx)
		if err != nil || st.Images != 3 || st.Files != 3 || st.Captions != 6 || st.TextDocuments != 3 || len(st.Spaces) != 1 || !st.Spaces[0].Active || st.Spaces[0].Images != 3 {
			t.Errorf("Stats = %+v, %v", st, err)
		}
	}
	check(x)
	closeIndex(t, x)
	x = open(t, x.dir)
	check(x)
}
