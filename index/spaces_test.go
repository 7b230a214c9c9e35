package index

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/clipsearch/clipsearch"
)

var nextSpace = clipsearch.SpaceStats{Model: "other-model", Digest: clipsearch.Space{9}, Dim: 6}

// reencodeAll gives pictures 0 to n vectors of nextSpace.
func reencodeAll(t *testing.T, x *Index, n int) {
	t.Helper()
	var batch []clipsearch.Reencoded
	for i := range n {
		e := testEntry(i)
		batch = append(batch, clipsearch.Reencoded{
			ID: e.ID, Vectors: []clipsearch.Vector{unit(nextSpace.Dim, uint64(i))},
			Captions: e.Captions, CaptionVectors: []clipsearch.Vector{unit(nextSpace.Dim, uint64(i)+1e6), unit(nextSpace.Dim, 5e6)},
		})
	}
	if err := x.Reencode(context.Background(), nextSpace.Digest, batch); err != nil {
		t.Fatal(err)
	}
}

// A number is one picture's for good, through deletions and a change of the space;
// and what a filter admits are numbers of pictures that are there.
func TestNumbersStay(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	for i := range 5 {
		put(t, x, testEntry(i))
	}
	street := clipsearch.Filter{{Field: "tag", Op: "has", Text: "street"}}
	admitted := func() []uint32 {
		t.Helper()
		a, err := x.answering(ctx, street)
		if err != nil {
			t.Fatal(err)
		}
		return a.admitted(street).ToArray()
	}
	admitted()
	before := x.mem
	gone := before.docs[testID(2)]
	if err := x.Delete(ctx, []clipsearch.ID{testID(2)}); err != nil {
		t.Fatal(err)
	}
	put(t, x, testEntry(5))
	if d := before.docs[testID(5)]; d != 5 {
		t.Errorf("a new picture has number %d, want 5", d)
	}
	for _, d := range admitted() {
		if d == uint32(gone) {
			t.Errorf("a filter admits number %d, whose picture is gone", d)
		}
	}
	put(t, x, testEntry(2))
	if d := before.docs[testID(2)]; d != 6 {
		t.Errorf("a picture that comes again has number %d, want 6", d)
	}
	if err := x.SwitchTo(ctx, nextSpace); err != nil {
		t.Fatal(err)
	}
	reencodeAll(t, x, 6)
	if ok, err := x.Change(ctx); !ok || err != nil {
		t.Fatalf("Change = %v, %v", ok, err)
	}
	if x.mem == before || x.mem.pictures != before.pictures || x.mem.columns == nil || len(admitted()) != 6 {
		t.Errorf("a change of the space: %d of 6 pictures admitted", len(admitted()))
	}
	mustBeClean(t, x)
}

// An import of pictures that have vectors of other spaces alone is owed those of the
// space that answers; vectors of an original take the place of a thumbnail's.
func TestImportOwes(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	put(t, x, testEntry(0))
	models := []clipsearch.SpaceModel{{Space: nextSpace.Digest, Model: nextSpace.Model, Dim: nextSpace.Dim}}
	give := func(n int, v uint64, thumb bool) {
		t.Helper()
		r := clipsearch.Record{Image: testEntry(n).Image, Thumb: testThumb(n)}
		r.Vectors = []clipsearch.SpaceVectors{{Space: nextSpace.Digest, Vectors: []clipsearch.Vector{unit(nextSpace.Dim, v)}, Thumb: thumb}}
		if _, err := x.Import(ctx, models, []clipsearch.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(owed bool, thumbs int) {
		t.Helper()
		s, err := x.Spaces(ctx)
		st, err2 := x.Stats(ctx)
		if err != nil || err2 != nil || s.Owed != owed || st.Spaces[1].Thumbs != thumbs {
			t.Errorf("Spaces = %+v, %v, %v; want owed %v, %d from thumbnails", s, err, err2, owed, thumbs)
		}
		mustBeClean(t, x)
	}
	give(0, 1, true)
	want(false, 1)
	give(1, 1, true)
	want(true, 2)
	give(1, 2, false)
	want(true, 1)
	give(1, 3, true)
	give(1, 4, false)
	want(true, 1)
	page, err := x.Export(ctx, clipsearch.ID{}, 10)
	if err != nil || len(page) != 2 {
		t.Fatalf("Export = %d records, %v", len(page), err)
	}
	for _, r := range page {
		v := r.Vectors[len(r.Vectors)-1]
		seed := map[clipsearch.ID]uint64{testID(0): 1, testID(1): 2}[r.ID]
		if v.Thumb != (r.ID == testID(0)) || v.Vectors[0].Dot(unit(nextSpace.Dim, seed)) < 0.999 {
			t.Errorf("picture %s has other vectors than those that came, or says so: %v", r.ID, v.Thumb)
		}
	}
}

// Searches go on while the index changes from space to space, and pictures come and
// go: an answer is of the space that was named, and whole, or it is an error.
func TestChangeWhileSearching(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	x := newIndex(t)
	const n = 40
	for i := range n {
		put(t, x, testEntry(i))
	}
	if err := x.SwitchTo(ctx, nextSpace); err != nil {
		t.Fatal(err)
	}
	reencodeAll(t, x, n)
	street := clipsearch.Filter{{Field: "tag", Op: "has", Text: "street"}, {Field: "caption", Op: "has", Text: "grass"}}
	dims := map[clipsearch.Space]int{testSpace: testDim, nextSpace.Digest: nextSpace.Dim}
	var searches, others atomic.Int64
	var all sync.WaitGroup
	for worker := range 2 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			for ctx.Err() == nil {
				s, err := x.Spaces(ctx)
				if err != nil {
					continue
				}
				i := r.IntN(n)
				pinned := clipsearch.InSpace(ctx, s.Answering.Digest)
				hits, err := x.Nearest(pinned, unit(dims[s.Answering.Digest], uint64(i)), n, street)
				switch {
				case errors.Is(err, clipsearch.ErrSpace):
					others.Add(1)
				case ctx.Err() != nil:
				case err != nil || len(hits) < n || hits[0].ID != testID(i) || hits[0].Score < 0.999:
					t.Errorf("Nearest in space %.4s = %d hits, %v", s.Answering.Digest, len(hits), err)
					return
				default:
					searches.Add(1)
				}
				if hits, err := x.Match(ctx, fmt.Sprintf("number%d", i), 5, street); ctx.Err() == nil && (err != nil || len(hits) == 0 || hits[0].ID != testID(i)) {
					t.Errorf("Match = %v, %v", hits, err)
					return
				}
			}
		})
	}
	for i := range 30 {
		change := func() error { _, err := x.Change(ctx); return err }
		if i > 0 {
			change = func() error { return x.Rollback(ctx) }
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if err := x.Delete(ctx, []clipsearch.ID{testID(n + i)}); err != nil {
			t.Fatal(err)
		}
		e := testEntry(n + i + 1) // that the filter does not admit
		e.Space, e.Tags, e.Captions, e.CaptionVectors = x.meta().Space, nil, nil, nil
		e.Vectors[0] = unit(x.meta().Dim, uint64(n+i))
		put(t, x, e)
	}
	cancel()
	all.Wait()
	if searches.Load() == 0 {
		t.Error("no search has met the space that it named")
	}
	t.Logf("%d searches, %d in a space that had gone", searches.Load(), others.Load())
}

// TestNothingMakes goes back to a space of ready-made vectors, which nobody can make:
// what pictures lack of it is owed by nobody.
func TestNothingMakes(t *testing.T) {
	ctx := context.Background()
	o := testOptions()
	o.Keeps = func(m clipsearch.SpaceModel) bool { return m.Space != testSpace }
	x, err := Open(t.TempDir()+"/index", o)
	must(t, err)
	defer x.Close()
	for n := range 5 {
		e := testEntry(n)
		e.CaptionVectors = nil
		put(t, x, e)
	}
	must(t, x.SwitchTo(ctx, nextSpace))
	reencodeAll(t, x, 5)
	if done, err := x.Change(ctx); err != nil || !done {
		t.Fatalf("Change = %v, %v", done, err)
	}
	must(t, x.Rollback(ctx))
	if s := spaces(t, x); s.Owed || s.Answering.Digest != testSpace {
		t.Errorf("Spaces = %+v, want nothing owed", s)
	}
	if done, err := x.Change(ctx); err != nil || !done {
		t.Errorf("Change = %v, %v, want nothing to be done", done, err)
	}
	mustBeClean(t, x)
}
