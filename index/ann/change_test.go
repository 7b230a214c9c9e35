package ann

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// recall returns the part of the k best docs that searches through the graph find.
func recall(x *Index, qs [][]float32, k, ef int) float64 {
	hits := 0
	for _, q := range qs {
		best := docs(x.Search(q, Search{K: k, Exact: true}))
		for _, doc := range docs(x.Search(q, Search{K: k, Ef: ef, Graph: true})) {
			if slices.Contains(best, doc) {
				hits++
			}
		}
	}
	return float64(hits) / float64(k*len(qs))
}

func mustWork(t *testing.T, x *Index) {
	t.Helper()
	if err := x.Work(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestDeletes removes and adds anew: the graph finds as much as one built at once.
func TestDeletes(t *testing.T) {
	const dim, n, ef = 32, 4000, 24
	c := newCloud(5, dim, 100)
	vectors, qs := c.many(n), c.many(150)
	vector := func(i int) []float32 { return vectors[i] }
	options := Options{Dim: dim, GraphFrom: 1000, EfConstruction: 60}
	fresh := newIndex(t, options)
	if err := fresh.Build(t.Context(), n, vector); err != nil {
		t.Fatal(err)
	}
	want := recall(fresh, qs, 10, ef)
	t.Logf("fresh: recall %.4f", want)
	for _, percent := range []int{10, 50, 90} {
		x := newIndex(t, options)
		if err := x.Build(t.Context(), n, vector); err != nil {
			t.Fatal(err)
		}
		gone := func(i int) bool { return i*7919%100 < percent }
		for i := range n {
			if gone(i) && !x.Remove(uint32(i)) {
				t.Fatalf("Remove(%d) = false", i)
			}
		}
		for _, q := range qs[:20] {
			for _, s := range []Search{{K: 100}, {K: 100, Graph: true}} {
				if i := slices.IndexFunc(docs(x.Search(q, s)), func(doc uint32) bool { return gone(int(doc)) }); i >= 0 {
					t.Fatalf("%d %% removed: one of them is found", percent)
				}
			}
		}
		dead := recall(x, qs, 10, ef)
		mustWork(t, x)
		worked := recall(x, qs, 10, ef)
		for i := range n {
			if gone(i) {
				if err := x.Add(uint32(i), vectors[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
		mustWork(t, x)
		again := recall(x, qs, 10, ef)
		t.Logf("%d %% removed: recall %.4f, after work %.4f, added again %.4f", percent, dead, worked, again)
		if min(dead, worked, again) < want-.01 {
			t.Errorf("%d %% removed: recall %.4f, after work %.4f, added again %.4f; want %.4f within a point", percent, dead, worked, again, want)
		}
		sound(t, x)
	}
}

// TestTogether searches, adds, removes and works at once.
func TestTogether(t *testing.T) {
	const dim, n, readers = 24, 2000, 3
	for _, dir := range []string{"", t.TempDir()} {
		c := newCloud(9, dim, 50)
		vectors, qs := c.many(n), c.many(50)
		x := newIndex(t, Options{Dim: dim, GraphFrom: 300, Workers: 2, EfConstruction: 40, Dir: dir})
		var state states
		ctx, cancel := context.WithCancel(t.Context())
		var others, writer sync.WaitGroup
		for i := range readers {
			others.Go(func() { read(ctx, t, x, vectors, qs, &state, i) })
		}
		others.Go(func() {
			for ctx.Err() == nil {
				_ = x.Work(ctx) // ends with ctx
				x.Bytes()
			}
		})
		writer.Go(func() {
			for i := range 6 * n {
				doc := uint32(i * 7 % n)
				state.set(doc, either)
				x.Remove(doc)
				state.set(doc, absent)
				if i%3 == 0 {
					continue
				}
				state.set(doc, either)
				if err := x.Add(doc, vectors[doc]); err != nil {
					t.Error(err)
				}
				state.set(doc, present)
			}
		})
		writer.Wait()
		cancel()
		others.Wait()
		mustWork(t, x)
		sound(t, x)
		if got := recall(x, qs, 10, 60); got < .98 {
			t.Errorf("recall %.4f", got)
		}
	}
}

// states are what is known of docs, and how often that has changed.
type states [2000]atomic.Uint32

const (
	either = iota
	present
	absent
)

func (s *states) set(doc, what uint32) { s[doc].Store((s[doc].Load()/4+1)*4 + what) }

// read searches for vectors that are there for certain, or not, meanwhile.
func read(ctx context.Context, t *testing.T, x *Index, vectors, qs [][]float32, now *states, reader int) {
	for i := reader; ctx.Err() == nil; i += 31 {
		var before [len(now)]uint32
		for doc := range before {
			before[doc] = now[doc].Load()
		}
		was := func(doc, what uint32) bool { return before[doc]%4 == what && now[doc].Load() == before[doc] }
		doc := uint32(i % len(vectors))
		got := docs(x.Search(vectors[doc], Search{K: 3, Exact: true}))
		if found := slices.Contains(got, doc); !found && was(doc, present) {
			t.Errorf("doc %d is there; an exact search brings %v", doc, got)
			return
		}
		got = append(got, docs(x.Search(qs[i%len(qs)], Search{K: 10, Graph: true}))...)
		for _, doc := range got {
			if was(doc, absent) {
				t.Errorf("doc %d was removed and is found", doc)
				return
			}
		}
	}
}

func TestSeed(t *testing.T) {
	c := newCloud(2, 32, 40)
	vectors, qs := c.many(1500), c.many(30)
	build := func(seed uint64) *Index {
		x := newIndex(t, Options{Dim: 32, GraphFrom: 500, Seed: seed, Workers: 1})
		for i, v := range vectors {
			if err := x.Add(uint32(i), v); err != nil {
				t.Fatal(err)
			}
			if i%400 == 0 {
				x.Remove(uint32(i / 2))
				mustWork(t, x)
			}
		}
		mustWork(t, x)
		return x
	}
	same := func(a, b *Index) bool {
		ga, gb := a.state.Load().graph, b.state.Load().graph
		for row := range ga.linked.Load() {
			for level := 0; level == 0 || ga.list(row, level) != nil || gb.list(row, level) != nil; level++ {
				if !slices.Equal(ga.list(row, level), gb.list(row, level)) {
					return false
				}
			}
		}
		return ga.linked.Load() == gb.linked.Load() && ga.entry.Load() == gb.entry.Load()
	}
	a, b, other := build(1), build(1), build(2)
	if !same(a, b) {
		t.Error("two graphs of one seed differ")
	}
	if same(a, other) {
		t.Error("two graphs of different seeds do not")
	}
	for _, q := range qs {
		s := Search{K: 10, Ef: 12, Graph: true}
		if got, want := a.Search(q, s), b.Search(q, s); !slices.Equal(got, want) {
			t.Errorf("Search() = %v and %v", got, want)
		}
	}
}

// TestNoCloud has vectors that point anywhere: a graph finds few of their
// neighbours, and the index notices.
func TestNoCloud(t *testing.T) {
	const dim, n = 256, 6000
	c := newCloud(4, dim, 1)
	vectors := make([][]float32, n)
	for i := range vectors {
		vectors[i] = c.anywhere(dim)
	}
	x := newIndex(t, Options{Dim: dim, GraphFrom: 1000, EfConstruction: 20, M: 4})
	if err := x.Build(t.Context(), n, func(i int) []float32 { return vectors[i] }); err != nil {
		t.Fatal(err)
	}
	p := x.state.Load().probe
	if !p.poor() {
		t.Errorf("the graph finds %.3f of the nearest, and is thought good", p.found)
	}
	for range 20 {
		q := c.anywhere(dim)
		got, want := x.Search(q, Search{K: 10, Ef: 32}), x.Search(q, Search{K: 10, Exact: true})
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("Search() = %v, want as exact: %v", got, want)
		}
	}
}
