package eval

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// numbers makes a matrix of n rows of unit length, of what number returns.
func numbers(n, dim int, number func() float64) Matrix {
	m := Matrix{Dim: dim, Data: make([]float32, n*dim)}
	for i := range m.Data {
		m.Data[i] = float32(number())
	}
	for i := range n {
		m.Row(i)[0] += 1e-3 // none is zero
	}
	if err := m.normalize("row"); err != nil {
		panic(err)
	}
	return m
}

// naive is the score of the k-th nearest, from a sorted list of all of them.
func naive(vectors Matrix, q []float32, k int) float32 {
	all := make([]float64, vectors.Rows())
	for i := range all {
		all[i] = exact(q, vectors.Row(i))
	}
	slices.SortFunc(all, func(a, b float64) int { return cmp.Compare(b, a) })
	return float32(all[min(k, len(all))-1])
}

// The truth is that of sorting all scores in float64, whatever the shape: around the
// edges of tiles and of what a thread takes at a time, and where many are equal.
func TestExactTop(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	smooth := r.NormFloat64
	coarse := func() float64 { return float64(r.IntN(3)) }               // few different scores
	same := func() float64 { return 1 }                                  // one row, again and again
	close := func() float64 { return 1 + 1e-7*float64(1+r.IntN(2_000)) } // float32 products tell few apart
	tests := []struct {
		what                    string
		n, queries, dim, thread int
		number                  func() float64
		slack                   float64 // what the truth may be off by where more than spare are near ties
	}{
		{"one vector", 1, 1, 1, 1, smooth, 0},
		{"fewer than k", 9, 3, 5, 2, smooth, 0},
		{"k", 10, 3, 5, 2, smooth, 0},
		{"a tile", tileImages, tileTexts, 16, 2, smooth, 0},
		{"more than a tile", tileImages + 1, tileTexts + 1, 17, 2, smooth, 0},
		{"a step", 8 * tileImages, 3, 8, 3, smooth, 0},
		{"more than a step", 8*tileImages + 1, 5, 7, 1, smooth, 0},
		{"some steps", 3000, 70, 32, 5, smooth, 0},
		{"no threads", 100, 5, 8, 0, smooth, 0},
		{"ties", 3000, 70, 6, 4, coarse, 0},
		{"all the same", 2000, 5, 12, 3, same, 0},
		{"near ties", 3000, 20, 64, 3, close, 3e-7},
	}
	for _, tt := range tests {
		vectors, queries := numbers(tt.n, tt.dim, tt.number), numbers(tt.queries, tt.dim, smooth)
		truth, err := exactTop(context.Background(), vectors, queries, foundRows, tt.thread)
		if err != nil || truth.k != min(foundRows, tt.n) || len(truth.least) != tt.queries {
			t.Errorf("%s: k %d, %d scores and error %v", tt.what, truth.k, len(truth.least), err)
			continue
		}
		for i, got := range truth.least {
			if want := naive(vectors, queries.Row(i), foundRows); math.Abs(float64(got-want)) > tt.slack {
				t.Errorf("%s: query %d: the tenth has score %v, want %v", tt.what, i, got, want)
			}
		}
	}
}

// Each vector stands there many times, far apart: the ten nearest are all copies of one.
func TestExactTopOfDuplicates(t *testing.T) {
	const copies, different, dim = 60, 50, 24
	once := numbers(different, dim, rand.New(rand.NewPCG(3, 4)).NormFloat64)
	vectors := Matrix{Dim: dim, Data: slices.Repeat(once.Data, copies)}
	truth, err := exactTop(context.Background(), vectors, once, foundRows, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range truth.least {
		if want := float32(exact(once.Row(i), once.Row(i))); got != want {
			t.Errorf("query %d: the tenth has score %v, want its own, %v", i, got, want)
		}
	}
}

// Around each query lie as many vectors as are scored again, so near to each other
// that float32 products have them in a wrong order: the tenth is still the right one.
func TestExactTopOfNearTies(t *testing.T) {
	const ties, dim = foundRows + spare, 512
	r := rand.New(rand.NewPCG(7, 8))
	queries := numbers(20, dim, r.NormFloat64)
	vectors := Matrix{Dim: dim}
	for i := range queries.Rows() {
		for tie := range ties {
			away := math.Sqrt(2 * 6e-8 * float64(tie+1)) // the cosine falls by a float32's last bit
			for _, x := range queries.Row(i) {
				vectors.Data = append(vectors.Data, x+float32(away*r.NormFloat64()/math.Sqrt(dim)))
			}
		}
	}
	if err := vectors.normalize("row"); err != nil {
		t.Fatal(err)
	}
	truth, err := exactTop(context.Background(), vectors, queries, foundRows, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range truth.least {
		if want := naive(vectors, queries.Row(i), foundRows); got != want {
			t.Errorf("query %d: the tenth has score %v, want %v", i, got, want)
		}
	}
}

func TestExactTopIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m := numbers(20, 4, rand.New(rand.NewPCG(5, 6)).NormFloat64)
	if _, err := exactTop(ctx, m, m, foundRows, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// Of a list of 1, 2, 3 … ms, the nearest rank of the percentile.
func TestPercentile(t *testing.T) {
	tests := []struct {
		n, p int
		want float64
	}{
		{1, 50, 1}, {1, 99, 1}, {2, 50, 1}, {2, 99, 2}, {3, 50, 2},
		{10, 50, 5}, {10, 99, 10}, {99, 99, 99}, {100, 50, 50}, {100, 99, 99}, {101, 50, 51}, {101, 99, 100},
		{200, 99, 198}, {1000, 50, 500}, {1000, 99, 990}, {10, 0, 1}, {10, 100, 10},
	}
	for _, tt := range tests {
		list := make([]time.Duration, tt.n)
		for i := range list {
			list[i] = time.Duration(i+1) * time.Millisecond
		}
		if got := percentile(list, tt.p); got != tt.want {
			t.Errorf("percentile %d of %d = %v ms, want %v", tt.p, tt.n, got, tt.want)
		}
	}
	if got := percentile([]time.Duration{1500 * time.Nanosecond}, 50); got != .0015 {
		t.Errorf("percentile of 1.5 µs = %v ms", got)
	}
}
