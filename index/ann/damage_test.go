package ann

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// addAll adds vectors as docs of their numbers, from some number on.
func addAll(t *testing.T, x *Index, vectors [][]float32, from int) {
	t.Helper()
	for i := from; i < len(vectors); i++ {
		if err := x.Add(uint32(i), vectors[i]); err != nil {
			t.Fatal(err)
		}
	}
}

// A part of the graph is gone, of rows that had twins: the graph is built anew, and
// twins are chained once.
func TestLoadWithoutLinks(t *testing.T) {
	vectors := unitVectors(9000, 64, 1)
	copy(vectors[100:150], vectors[:50])
	o := Options{Dim: 64, GraphFrom: 4000, Dir: t.TempDir(), Workers: 1, EfConstruction: 40}
	x := newIndex(t, o)
	addAll(t, x, vectors, 0)
	mustWork(t, x)
	for part := range 3 {
		k := &kept{parts: map[Part][]byte{}}
		k.save(t, x)
		delete(k.parts, Part{Links: true, Gen: k.Graph[part], N: part})
		y, err := k.load(o)
		if err != nil {
			t.Fatal(err)
		}
		mustWork(t, y)
		sound(t, y)
		done := make(chan []uint32, 1)
		go func() { done <- docs(y.Search(vectors[7], Search{K: 2, Graph: true})) }()
		select {
		case got := <-done:
			if !slices.Equal(got, []uint32{7, 107}) {
				t.Errorf("without part %d: Search() = %v, want row 7 and its twin", part, got)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a search does not end")
		}
	}
}

func TestChained(t *testing.T) {
	for _, c := range []struct {
		twins []uint32
		ok    bool
	}{
		{[]uint32{0, 0, 0}, true}, {[]uint32{3, 0, 2, 0}, true},
		{[]uint32{1}, false}, {[]uint32{2, 1}, false}, {[]uint32{3, 3, 0}, false}, {[]uint32{0, 3, 4, 2}, false},
	} {
		if err := chained(c.twins); (err == nil) != c.ok {
			t.Errorf("chained(%v) = %v, want ok: %v", c.twins, err, c.ok)
		}
	}
}

// A save fails in the middle: the next one writes what that one did not bring to its
// end.
func TestSaveFails(t *testing.T) {
	vectors := unitVectors(13000, 32, 1)
	copy(vectors[12000:12500], vectors[:500])
	o := Options{Dim: 32, GraphFrom: 4000, Dir: t.TempDir(), Workers: 1, EfConstruction: 40}
	x := newIndex(t, o)
	addAll(t, x, vectors[:8192], 0)
	mustWork(t, x)
	k := &kept{parts: map[Part][]byte{}}
	k.save(t, x)
	addAll(t, x, vectors, 8192)
	mustWork(t, x)
	for _, fails := range []int{3, 100} { // in the middle; and after Save, where the manifest is not written
		parts := 0
		_, _, err := x.Save(context.Background(), k.Kept, Keeper{At: func(f func()) { f() }, Name: func(uint32) Name { return Name{1} },
			Put: func(p Part, _ []byte) error {
				if p.Links {
					if parts++; parts == fails {
						return errors.New("disk full")
					}
				}
				return nil
			}})
		if (err != nil) != (fails == 3) {
			t.Fatalf("Save() = %v", err)
		}
	}
	k.save(t, x)
	y, err := k.load(o)
	if err != nil {
		t.Fatal(err)
	}
	g, h := x.state.Load().graph, y.state.Load().graph
	for n := range uint32(len(vectors)) {
		if !slices.Equal(g.list(n, 0), h.list(n, 0)) || x.state.Load().rows.info(n).twin.Load() != y.state.Load().rows.info(n).twin.Load() {
			t.Fatalf("row %d has other links than those that were to be saved", n)
		}
	}
}

// Parts were written, but their manifest never was: the one before finds what it is
// of, also a doc that has gone since.
func TestSaveCutOff(t *testing.T) {
	vectors := unitVectors(200, 64, 1)
	o := Options{Dim: 64, Dir: t.TempDir()}
	x := newIndex(t, o)
	addAll(t, x, vectors[:100], 0)
	k := &kept{parts: map[Part][]byte{}}
	k.save(t, x)
	old := *k
	x.Remove(6)
	addAll(t, x, vectors, 100)
	k.save(t, x)
	k.manifest, k.Kept = old.manifest, old.Kept
	y, err := k.load(o)
	if err != nil {
		t.Fatal(err)
	}
	if got := docs(y.Search(vectors[6], Search{K: 1})); !slices.Equal(got, []uint32{6}) {
		t.Errorf("Search() = %v, want the doc that was there: [6]", got)
	}
	y.Remove(6) // as a journal has it
	if got := docs(y.Search(vectors[6], Search{K: 100})); slices.Contains(got, 6) || len(got) != 99 {
		t.Errorf("Search() after Remove(6) finds %d docs: %v", len(got), got)
	}
}

// Pages of the file are lost, of rows of docs that have gone as well: nobody is asked
// for the vectors of those.
func TestLostPages(t *testing.T) {
	vectors := unitVectors(17000, 16, 1)
	o := Options{Dim: 16, Dir: t.TempDir(), DirFrom: 1, InMemory: 1 << 30, Workers: 1}
	o.Vectors = func(doc uint32) [][]float32 { return [][]float32{vectors[doc]} } // panics for a doc that never was
	x := newIndex(t, o)
	if err := x.Learn(vectors[:5000]); err != nil {
		t.Fatal(err)
	}
	addAll(t, x, vectors, 0)
	x.Remove(6)
	k := &kept{parts: map[Part][]byte{}}
	k.save(t, x)
	f, err := os.OpenFile(filepath.Join(o.Dir, k.File), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 64<<10), 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	y, err := k.load(o)
	if err != nil {
		t.Fatal(err)
	}
	mustWork(t, y)
	for doc := range uint32(20) {
		got := docs(y.Search(vectors[doc], Search{K: 1, Exact: true}))
		if doc != 6 && !slices.Equal(got, []uint32{doc}) || doc == 6 && slices.Contains(got, doc) {
			t.Errorf("Search(vector %d) = %v", doc, got)
		}
	}
}

// A vector that is kept apart does not need the numbers in the file.
func TestClipOutlivesItsRow(t *testing.T) {
	o := Options{Dim: 512, Dir: t.TempDir(), DirFrom: 1}
	x := newIndex(t, o)
	vectors := unitVectors(600, 512, 1)
	if err := x.Learn(vectors); err != nil {
		t.Fatal(err)
	}
	turned := append([]float32{1}, make([]float32, 511)...) // more than whole numbers hold
	if err := x.state.Load().rows.append(700, turned); err != nil {
		t.Fatal(err)
	}
	addAll(t, x, vectors, 0)
	r := x.state.Load().rows
	clear(r.wholes[0].Load().row(0))
	for i := range uint32(590) {
		x.Remove(i)
	}
	mustWork(t, x)
	got := make([]float32, 512)
	n := x.state.Load().rows
	n.rowsOf(700, func(at uint32) { n.whole(got, at) })
	if n == r || !slices.Equal(got, turned) {
		t.Errorf("written anew: %v, want %v", got[:4], turned[:4])
	}
}

// Work that is cut off leaves no file behind.
func TestRebuildCutOff(t *testing.T) {
	vectors := unitVectors(12_000, 16, 1)
	o := Options{Dim: 16, GraphFrom: 6000, Dir: t.TempDir(), DirFrom: 1000, Workers: 1}
	x := newIndex(t, o)
	addAll(t, x, vectors, 0)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := x.Work(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Work() = %v", err)
		}
		cancel()
	}
	files, err := os.ReadDir(o.Dir)
	if err != nil || len(files) > 0 {
		t.Errorf("files of what was cut off: %v, %v", files, err)
	}
}
