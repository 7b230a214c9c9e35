package index

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

// TestRepairKeepsPictures damages what can be made again: no picture may go for it,
// nor any of its words.
func TestRepairKeepsPictures(t *testing.T) {
	ctx := context.Background()
	gone := []string{"flipped byte in a record", "a record gone"}
	for _, d := range damages {
		if slices.Contains(gone, d.name) {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			x, err := Open(t.TempDir()+"/index", withModel())
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			for n := 1; n <= 5; n++ {
				put(t, x, testEntry(n))
			}
			mustBeClean(t, x)
			d.do(t, x)
			if _, err := x.Check(ctx, true); err != nil {
				t.Fatal(err)
			}
			for n := 1; n <= 5; n++ {
				want := testEntry(n)
				img, err := x.Image(ctx, want.ID)
				if err != nil || !cmp.Equal(img.Captions, want.Captions) || !cmp.Equal(img.Tags, want.Tags) {
					t.Errorf("picture %d after repair: %+v, %v", n, img, err)
				}
				if jpeg, err := x.Thumb(ctx, want.ID); err != nil || !bytes.Equal(jpeg, want.Thumb) {
					t.Errorf("thumbnail of picture %d after repair: %d bytes, %v", n, len(jpeg), err)
				}
				_, err = x.Vector(ctx, want.ID)
				if s, serr := x.Spaces(ctx); err != nil && (serr != nil || !s.Owed) {
					t.Errorf("vector of picture %d after repair: %v, and none is owed: %v", n, err, serr)
				}
			}
			mustBeClean(t, x)
		})
	}
}

// TestThumbLost repairs a picture whose file is gone: it stays, and so does what is
// told of it, until its thumbnail is brought back.
func TestThumbLost(t *testing.T) {
	ctx := context.Background()
	o := withModel()
	make := o.Thumb
	o.Thumb = func(clipsearch.Image) ([]byte, error) { return nil, errors.New("its file is gone") }
	x, err := Open(t.TempDir()+"/index", o)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	put(t, x, testEntry(1), testEntry(2))
	flip(t, x, idKey(thumbPrefix, testID(2)))
	for range 2 {
		problems, err := x.Check(ctx, true)
		if err != nil || len(problems) != 1 || problems[0].Repairable || !strings.Contains(problems[0].What, "its file is gone") {
			t.Errorf("Check = %+v, %v, want one that cannot be repaired", problems, err)
		}
	}
	if img, err := x.Image(ctx, testID(2)); err != nil || len(img.Captions) != 2 {
		t.Errorf("the picture: %+v, %v", img, err)
	}
	if _, err := x.Thumb(ctx, testID(2)); !errors.Is(err, clipsearch.ErrNotFound) {
		t.Errorf("Thumb = %v, want ErrNotFound", err)
	}
	x.options.Thumb = make
	problems, err := x.Check(ctx, false)
	if err != nil || len(problems) != 1 || !problems[0].Repairable {
		t.Errorf("Check = %+v, %v, want one that can be repaired", problems, err)
	}
	if _, err := x.Check(ctx, true); err != nil {
		t.Fatal(err)
	}
	mustBeClean(t, x)
}

// TestRepairMissingSpaces takes away the entries of all spaces: no vector may go, of
// the one that answers, of the one before it or of the one to come.
func TestRepairMissingSpaces(t *testing.T) {
	ctx := context.Background()
	for _, after := range []string{"before the change", "after it"} {
		t.Run(after, func(t *testing.T) {
			x := newIndex(t)
			for n := range 5 {
				put(t, x, testEntry(n))
			}
			if err := x.SwitchTo(ctx, nextSpace); err != nil {
				t.Fatal(err)
			}
			reencodeAll(t, x, 5)
			if after == "after it" {
				if ok, err := x.Change(ctx); !ok || err != nil {
					t.Fatalf("Change = %v, %v", ok, err)
				}
			}
			var want, got int
			count := func(n *int) {
				raw(t, x, func(tx tx) error {
					v, err := tx.keys([]byte(vectorPrefix))
					c, cerr := tx.keys([]byte(captionPrefix))
					*n = len(v) + len(c)
					return errors.Join(err, cerr)
				})
			}
			count(&want)
			before, err := x.Spaces(ctx)
			if err != nil {
				t.Fatal(err)
			}
			remove(t, x, spaceKey(spacePrefix, testSpace))
			remove(t, x, spaceKey(spacePrefix, nextSpace.Digest))
			if _, err := x.Check(ctx, true); err != nil {
				t.Fatal(err)
			}
			if count(&got); got != want {
				t.Errorf("%d vectors after repair, want %d", got, want)
			}
			now, err := x.Spaces(ctx)
			if err != nil || now.Next.Digest != before.Next.Digest || now.Previous.Digest != before.Previous.Digest || now.Owed != before.Owed || now.Answering != before.Answering {
				t.Errorf("Spaces = %+v, %v, want %+v", now, err, before)
			}
			mustBeClean(t, x)
		})
	}
}

// TestRepairWords takes a picture out: the text index must not hear of it before it
// is gone, or a search in between would have it written once more, for good.
func TestRepairWords(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	put(t, x, testEntry(1), testEntry(2))
	if hits, err := x.Match(ctx, "number2", 5, nil); err != nil || len(hits) != 1 {
		t.Fatalf("Match = %v, %v", hits, err)
	}
	flip(t, x, idKey(recordPrefix, testID(2)))
	c := newCheck(x)
	x.writing.Lock()
	err := c.checkStore(ctx)
	c.steps(c.plan())
	if x.text.isDirty(testID(2)) {
		t.Error("the text index is told of a picture that is still there")
	}
	err = errors.Join(err, c.repairStore())
	if !x.text.isDirty(testID(2)) {
		t.Error("the text index is not told of a picture that is gone")
	}
	x.writing.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if hits, err := x.Match(ctx, "number2", 5, nil); err != nil || len(hits) != 0 {
		t.Errorf("Match after repair = %v, %v, want nothing", hits, err)
	}
	mustBeClean(t, x)
}
