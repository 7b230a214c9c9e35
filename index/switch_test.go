package index

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

const secondDim = 16

var second = clipsearch.SpaceStats{Model: "second-model", Digest: clipsearch.Space{7, 7}, Dim: secondDim}

// encoded are the vectors of the pictures in list of the second space.
func encoded(list []clipsearch.Lack, thumb bool) (out []clipsearch.Reencoded) {
	for _, l := range list {
		r := clipsearch.Reencoded{ID: l.Image.ID, Thumb: thumb}
		if l.Vectors || l.Thumb {
			r.Vectors = []clipsearch.Vector{secondVector(l.Image.ID)}
		}
		if l.Captions {
			r.Captions = l.Image.Captions
			for _, c := range l.Image.Captions {
				r.CaptionVectors = append(r.CaptionVectors, secondVector(clipsearch.NewID([]byte(c))))
			}
		}
		out = append(out, r)
	}
	return out
}

func secondVector(id clipsearch.ID) clipsearch.Vector {
	return unit(secondDim, uint64(id[0])<<8|uint64(id[1]))
}

// must ends the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func lacking(t testing.TB, x *Index, space clipsearch.Space, improve bool) []clipsearch.Lack {
	t.Helper()
	list, err := x.Lacking(context.Background(), space, clipsearch.ID{}, 1000, improve)
	must(t, err)
	return list
}

// switched changes x to the second space, with vectors of originals or thumbnails.
func switched(t testing.TB, x *Index, thumb bool) {
	t.Helper()
	ctx := context.Background()
	must(t, x.SwitchTo(ctx, second))
	must(t, x.Reencode(ctx, second.Digest, encoded(lacking(t, x, second.Digest, false), thumb)))
	if done, err := x.Change(ctx); err != nil || !done {
		t.Fatalf("Change = %v, %v, want true", done, err)
	}
}

func spaces(t testing.TB, x *Index) clipsearch.Spaces {
	t.Helper()
	s, err := x.Spaces(context.Background())
	must(t, err)
	return s
}

func TestSwitch(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "index")
	x := open(t, dir)
	for n := range 5 {
		put(t, x, testEntry(n))
	}
	query := unit(testDim, 3)
	before, err := x.Nearest(ctx, query, 5, nil)
	must(t, err)
	_, err = x.NearestCaptions(ctx, query, 3) // both are in memory
	must(t, err)

	must(t, x.SwitchTo(ctx, second))
	list := lacking(t, x, second.Digest, false)
	must(t, x.Reencode(ctx, second.Digest, encoded(list[:3], false)))
	if done, err := x.Change(ctx); err != nil || done {
		t.Fatalf("Change with 2 pictures lacking = %v, %v, want false", done, err)
	}
	if s := spaces(t, x); s.Next.Digest != second.Digest || s.Next.Images != 3 || s.Answering.Digest != testSpace || s.Images != 5 {
		t.Errorf("half-way Spaces = %+v", s)
	}
	if now, err := x.Nearest(ctx, query, 5, nil); err != nil || !cmp.Equal(now, before) {
		t.Errorf("half-way Nearest = %v, %v, want %v", now, err, before)
	}
	mustBeClean(t, x)

	closeIndex(t, x) // what is noted and what is done outlive the process
	x, err = Open(dir, Options{})
	must(t, err)
	defer x.Close()
	if left := lacking(t, x, second.Digest, false); len(left) != 2 {
		t.Errorf("%d pictures lack vectors after 3 of 5", len(left))
	}
	switched(t, x, false)
	id := list[4].Image.ID
	hits, err := x.Nearest(ctx, secondVector(id), 5, nil)
	if err != nil || len(hits) != 5 || hits[0].ID != id || hits[0].Score < .999 {
		t.Errorf("Nearest after the change = %v, %v, want %v first of 5", hits, err, id)
	}
	texts, err := x.NearestCaptions(ctx, secondVector(clipsearch.NewID([]byte("second words"))), 9)
	if err != nil || len(texts) != 6 || texts[0].Text != "second words" {
		t.Errorf("NearestCaptions after the change = %v, %v", texts, err)
	}
	if _, err := x.Nearest(ctx, query, 5, nil); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("Nearest to a vector of the old space = %v, want invalid", err)
	}
	mustBeClean(t, x)

	must(t, x.Rollback(ctx))
	if now, err := x.Nearest(ctx, query, 5, nil); err != nil || !cmp.Equal(now, before) {
		t.Errorf("Nearest after the rollback = %v, %v, want %v", now, err, before)
	}
	must(t, x.Rollback(ctx))
	if s := spaces(t, x); s.Answering.Digest != second.Digest || s.Previous.Digest != testSpace {
		t.Errorf("after two rollbacks Spaces = %+v", s)
	}
	mustBeClean(t, x)
}

// Who names a space gets that space's answer, or is told that it is another's.
func TestPinned(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	put(t, x, testEntry(1))
	switched(t, x, false)
	old, now := clipsearch.InSpace(ctx, testSpace), clipsearch.InSpace(ctx, second.Digest)
	v := secondVector(testID(1))
	for name, call := range map[string]func(context.Context) error{
		"Nearest":         func(ctx context.Context) error { _, err := x.Nearest(ctx, v, 1, nil); return err },
		"NearestCaptions": func(ctx context.Context) error { _, err := x.NearestCaptions(ctx, v, 1); return err },
		"Vector":          func(ctx context.Context) error { _, err := x.Vector(ctx, testID(1)); return err },
	} {
		if err := call(old); !errors.Is(err, clipsearch.ErrSpace) {
			t.Errorf("%s in the old space = %v, want ErrSpace", name, err)
		}
		if err := call(now); err != nil {
			t.Errorf("%s in the space that answers = %v", name, err)
		}
	}
	if space, err := x.Answering(ctx); err != nil || space != second.Digest {
		t.Errorf("Answering = %v, %v", space, err)
	}
	mustBeClean(t, x)
}

// What an ingest brings that has begun in the old space is found by its words, and
// then by its looks.
func TestPutOfTheOldSpace(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	put(t, x, testEntry(1))
	must(t, x.SwitchTo(ctx, second))
	must(t, x.Reencode(ctx, second.Digest, encoded(lacking(t, x, second.Digest, false), false)))
	put(t, x, testEntry(2)) // before the change: it waits
	if done, err := x.Change(ctx); err != nil || done {
		t.Fatalf("Change = %v, %v, want false", done, err)
	}
	switched(t, x, false)
	put(t, x, testEntry(3)) // after it: the index knows its debt
	if s := spaces(t, x); !s.Owed || s.Answering.Images != 2 {
		t.Errorf("Spaces = %+v, want pictures owed", s)
	}
	hits, err := x.Nearest(ctx, secondVector(testID(3)), 9, nil)
	if err != nil || len(hits) != 2 {
		t.Errorf("Nearest = %v, %v, want two", hits, err)
	}
	if hits, err = x.Match(ctx, "number3", 9, nil); err != nil || len(hits) != 1 || hits[0].ID != testID(3) {
		t.Errorf("Match = %v, %v, want picture 3", hits, err)
	}
	mustBeClean(t, x)
	switched(t, x, false)
	if hits, err = x.Nearest(ctx, secondVector(testID(3)), 9, nil); err != nil || len(hits) != 3 || hits[0].ID != testID(3) {
		t.Errorf("Nearest = %v, %v, want picture 3 first of three", hits, err)
	}
	if s := spaces(t, x); s.Owed {
		t.Errorf("Spaces = %+v, want nothing owed", s)
	}
	mustBeClean(t, x)
}

// Vectors of a thumbnail give way to those of the picture, and never the other way.
func TestReencodeThumbs(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	put(t, x, testEntry(1))
	switched(t, x, true)
	if s := spaces(t, x); s.Answering.Thumbs != 1 {
		t.Errorf("Spaces = %+v, want one from a thumbnail", s)
	}
	if list := lacking(t, x, second.Digest, false); len(list) != 0 {
		t.Errorf("Lacking = %+v, want nothing", list)
	}
	list := lacking(t, x, second.Digest, true)
	if len(list) != 1 || !list[0].Thumb || list[0].Vectors {
		t.Fatalf("Lacking, to improve = %+v, want the picture", list)
	}
	better := encoded(list, false)
	better[0].Vectors[0] = unit(secondDim, 99)
	must(t, x.Reencode(ctx, second.Digest, better))
	must(t, x.Reencode(ctx, second.Digest, encoded(list, true))) // late
	if v, err := x.Vector(ctx, testID(1)); err != nil || !slices.Equal(v, unit(secondDim, 99)) {
		t.Errorf("Vector = %v, %v, want the picture's", v, err)
	}
	hits, err := x.Nearest(ctx, unit(secondDim, 99), 2, nil)
	if err != nil || len(hits) != 1 || hits[0].Score < .999 {
		t.Errorf("Nearest = %v, %v, want the picture's vector alone", hits, err)
	}
	if s := spaces(t, x); s.Answering.Thumbs != 0 || s.Answering.Images != 1 {
		t.Errorf("Spaces = %+v, want none from a thumbnail", s)
	}
	mustBeClean(t, x)
}

func TestReencodeRefuses(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	put(t, x, testEntry(1), testEntry(2))
	must(t, x.SwitchTo(ctx, second))
	list := encoded(lacking(t, x, second.Digest, false), false)
	stale := slices.Clone(list)
	stale[0].Captions = []string{"words", "of before"}
	short := slices.Clone(list)
	short[0].Vectors = []clipsearch.Vector{unit(3, 1)}
	fewer := slices.Clone(list)
	fewer[0].CaptionVectors = fewer[0].CaptionVectors[:1]
	for _, tt := range []struct {
		name  string
		space clipsearch.Space
		batch []clipsearch.Reencoded
		want  error
	}{
		{"unknown space", clipsearch.Space{1}, list, clipsearch.ErrInvalid},
		{"another dimension", second.Digest, short, clipsearch.ErrInvalid},
		{"a caption without its vector", second.Digest, fewer, clipsearch.ErrInvalid},
		{"a picture that is gone", second.Digest, []clipsearch.Reencoded{{ID: testID(9), Vectors: list[0].Vectors}}, nil},
		{"captions that are others by now", second.Digest, stale, nil},
	} {
		if err := x.Reencode(ctx, tt.space, tt.batch); !errors.Is(err, tt.want) {
			t.Errorf("%s: Reencode = %v, want %v", tt.name, err, tt.want)
		}
	}
	left := lacking(t, x, second.Digest, false)
	if len(left) != 1 || left[0].Vectors || !left[0].Captions {
		t.Errorf("Lacking = %+v, want the captions of one picture", left)
	}
	if err := x.SwitchTo(ctx, clipsearch.SpaceStats{Model: "m", Digest: second.Digest, Dim: 5}); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("SwitchTo with another dimension = %v, want invalid", err)
	}
	mustBeClean(t, x)
}

func TestRollbackOfNothing(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	put(t, x, testEntry(1))
	if err := x.Rollback(ctx); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("Rollback = %v, want invalid", err)
	}
	must(t, x.SwitchTo(ctx, second))
	must(t, x.Rollback(ctx)) // gives the change up
	if s := spaces(t, x); s.Next.Digest != (clipsearch.Space{}) || s.Answering.Digest != testSpace {
		t.Errorf("Spaces = %+v, want no change under way", s)
	}
	mustBeClean(t, x)
}

func TestDropSpaces(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	for n := range 600 {
		put(t, x, testEntry(n))
	}
	switched(t, x, false)
	if n, bytes, err := x.DropSpaces(ctx); n != 1 || bytes < 600*3*4*testDim || err != nil {
		t.Errorf("DropSpaces = %d, %d, %v", n, bytes, err)
	}
	if s := spaces(t, x); s.Previous.Digest != (clipsearch.Space{}) {
		t.Errorf("Spaces = %+v, want no way back", s)
	}
	if err := x.Rollback(ctx); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("Rollback = %v, want invalid", err)
	}
	if n, _, err := x.DropSpaces(ctx); n != 0 || err != nil {
		t.Errorf("DropSpaces again = %d, %v, want 0", n, err)
	}
	mustBeClean(t, x)
}

// Readers never see two spaces in one answer, whatever changes meanwhile.
func TestReadersOfAChange(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	for n := range 50 {
		put(t, x, testEntry(n))
	}
	switched(t, x, false)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			s, err := x.Spaces(ctx)
			if err != nil || s.Next.Digest == s.Answering.Digest || s.Answering.Images != 50 || s.Previous.Images != 50 {
				t.Errorf("Spaces = %+v, %v, want one of the two, and the other", s, err)
				return
			}
		}
	})
	for range 4 {
		wg.Go(func() {
			for n := 0; ; n = (n + 1) % 50 {
				select {
				case <-stop:
					return
				default:
				}
				space, err := x.Answering(ctx)
				if err == nil {
					err = askIn(clipsearch.InSpace(ctx, space), x, n)
				}
				if err != nil && !errors.Is(err, clipsearch.ErrSpace) {
					t.Errorf("in space %.4s: %v", space, err)
				}
			}
		})
	}
	for range 20 {
		to := clipsearch.SpaceStats{Model: "test-model", Digest: testSpace, Dim: testDim}
		if spaces(t, x).Answering.Digest == testSpace {
			to = second
		}
		must(t, x.SwitchTo(ctx, to))
		if done, err := x.Change(ctx); err != nil || !done {
			t.Errorf("Change = %v, %v", done, err)
		}
		must(t, x.Rollback(ctx))
		must(t, x.Rollback(ctx))
	}
	close(stop)
	wg.Wait()
	mustBeClean(t, x)
}

// askIn asks for picture n by its vector in the space that ctx names.
func askIn(ctx context.Context, x *Index, n int) error {
	want := testEntry(n).Vectors[0]
	if clipsearch.SpaceOf(ctx) == second.Digest {
		want = secondVector(testID(n))
	}
	v, err := x.Vector(ctx, testID(n))
	if err != nil {
		return err
	}
	hits, err := x.Nearest(ctx, v, 50, nil)
	if err == nil && (!slices.Equal(v, want) || len(hits) != 50 || hits[0].Score < .999) {
		err = errors.New("the answer is another space's")
	}
	return err
}
