package index

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index/ann"
)

// implementations are every implementation of vectors, and the share of the true
// neighbors that it must find. A new one joins the tests by joining this list.
var implementations = []struct {
	name   string
	recall float64
	make   func(dim int) vectors
}{
	{"flat", 1, func(int) vectors { return new(flat) }},
	{"near", 1, func(dim int) vectors {
		a, err := ann.New(ann.Options{Dim: dim})
		if err != nil {
			panic(err)
		}
		return newNear(a)
	}},
}

// naive keeps what was added, and is slow.
type naive map[doc][]clipsearch.Vector

func (n naive) search(v clipsearch.Vector, k int, admitted *roaring.Bitmap) (list []neighbor) {
	for d, vs := range n {
		if admitted != nil && !admitted.Contains(uint32(d)) {
			continue
		}
		best := neighbor{d, -2}
		for _, w := range vs {
			best.score = max(best.score, dot(v, w))
		}
		list = append(list, best)
	}
	slices.SortFunc(list, func(a, b neighbor) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.doc, b.doc))
	})
	return list[:min(k, len(list))]
}

// every returns each n-th doc before end.
func every(n, end doc) *roaring.Bitmap {
	docs := roaring.New()
	for d := doc(0); d < end; d += n {
		docs.Add(uint32(d))
	}
	return docs
}

// recall is the share of want that got has, and zero if got is out of order: an
// unsorted list is a wrong answer.
func recall(got, want []neighbor) float64 {
	if !slices.IsSortedFunc(got, func(a, b neighbor) int { return cmp.Compare(b.score, a.score) }) {
		return 0
	}
	found := 0
	for _, w := range want {
		if slices.ContainsFunc(got, func(n neighbor) bool { return n.doc == w.doc }) {
			found++
		}
	}
	if len(want) == 0 {
		return 1
	}
	return float64(found) / float64(len(want))
}

// TestVectors adds and removes at random, across chunks and threads, and compares.
func TestVectors(t *testing.T) {
	const dim = 8
	for _, impl := range implementations {
		t.Run(impl.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 1))
			x, truth := impl.make(dim), naive{}
			var next doc
			for round := range 12 {
				for range 3000 {
					if r.IntN(3) == 0 && next > 0 {
						d := doc(r.IntN(int(next)))
						x.Remove(d)
						delete(truth, d)
						continue
					}
					for range 1 + r.IntN(3)/2 { // some have two
						v := unit(dim, r.Uint64N(5000)) // some are the same
						mustAdd(t, x, next, v)
						truth[next] = append(truth[next], v)
					}
					next++
				}
				var sum float64
				for q := range 20 {
					v, k := unit(dim, uint64(1e6+q)), 1+r.IntN(30)
					var admitted *roaring.Bitmap
					if q%2 == 0 {
						admitted = every(7, next)
					}
					sum += recall(x.Search(v, k, admitted), truth.search(v, k, admitted)) / 20
				}
				if sum < impl.recall-1e-9 {
					t.Errorf("round %d: recall %.3f, want %.3f", round, sum, impl.recall)
				}
			}
			want := 0
			for d, vs := range truth {
				want += len(vs)
				if r.IntN(2) == 0 {
					x.Remove(d)
					want -= len(vs)
				}
			}
			if x.Len() != want {
				t.Errorf("Len = %d, want %d", x.Len(), want)
			}
			if got := x.Search(unit(dim, 1), 0, nil); len(got) != 0 {
				t.Errorf("the 0 nearest are %v", got)
			}
		})
	}
}

func mustAdd(t testing.TB, x vectors, d doc, v clipsearch.Vector) {
	t.Helper()
	if err := x.Add(d, v); err != nil {
		t.Fatal(err)
	}
}

// TestDot compares with the vocabulary's own.
func TestDot(t *testing.T) {
	for _, dim := range []int{1, 7, 8, 9, 255, 256, 512} {
		v, w := unit(dim, 1), unit(dim, 2)
		if got, want := dot(v, w), v.Dot(w); got-want > 1e-6 || want-got > 1e-6 {
			t.Errorf("dot of %d numbers = %v, want %v", dim, got, want)
		}
	}
}

func BenchmarkSearch(b *testing.B) {
	const dim, k = 512, 10
	for _, impl := range implementations {
		for _, n := range []int{10_000, 50_000} {
			b.Run(fmt.Sprintf("%s/n=%d", impl.name, n), func(b *testing.B) {
				x, judge := impl.make(dim), vectors(new(flat))
				for i := range n {
					v := unit(dim, uint64(i))
					mustAdd(b, x, doc(i), v)
					mustAdd(b, judge, doc(i), v)
				}
				var queries []clipsearch.Vector
				for q := range 32 {
					queries = append(queries, unit(dim, uint64(1e9+q)))
				}
				i := 0
				for b.Loop() {
					x.Search(queries[i%len(queries)], k, nil)
					i++
				}
				var sum float64
				for _, q := range queries {
					sum += recall(x.Search(q, k, nil), judge.Search(q, k, nil))
				}
				b.ReportMetric(sum/float64(len(queries)), "recall@10")
			})
		}
	}
}
