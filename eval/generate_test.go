package eval_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/eval"
)

func generate(t *testing.T, o eval.GenerateOptions) (vectors, queries eval.Matrix) {
	t.Helper()
	vectors, queries, err := eval.Generate(o)
	if err != nil {
		t.Fatal(err)
	}
	return vectors, queries
}

// What is generated depends on the seed, and not on the threads.
func TestGenerateIsDeterministic(t *testing.T) {
	o := eval.GenerateOptions{N: 101, Dim: 24, Queries: 3, Seed: 7, Threads: 1}
	vectors, queries := generate(t, o)
	for _, threads := range []int{0, 2, 3, 16, 200, -1} {
		o.Threads = threads
		v, q := generate(t, o)
		if diff := gocmp.Diff(vectors, v) + gocmp.Diff(queries, q); diff != "" {
			t.Errorf("%d threads (-one +them):\n%s", threads, diff)
		}
	}
	o.Like = "text"
	if _, q := generate(t, o); !slices.Equal(q.Data, queries.Data) {
		t.Error("queries are not like a text by default")
	}
	o.Like = "image"
	if v, q := generate(t, o); !slices.Equal(v.Data, vectors.Data) || slices.Equal(q.Data, queries.Data) {
		t.Error("what queries are like must change them, and not the vectors")
	}
	o.Like, o.Seed = "", 8
	if v, q := generate(t, o); slices.Equal(v.Data, vectors.Data) || slices.Equal(q.Data, queries.Data) {
		t.Error("another seed makes the same")
	}
}

// Every row has length one, and no two are the same one.
func TestGenerateRows(t *testing.T) {
	for _, like := range []string{"text", "image", "noise"} {
		for _, dim := range []int{2, 3, 64, 512} {
			vectors, queries := generate(t, eval.GenerateOptions{N: 300, Dim: dim, Queries: 20, Like: like, Seed: 1})
			if vectors.Rows() != 300 || queries.Rows() != 20 || vectors.Dim != dim || queries.Dim != dim {
				t.Errorf("%s: %d vectors of %d and %d queries of %d", like, vectors.Rows(), vectors.Dim, queries.Rows(), queries.Dim)
			}
			seen := map[[2]float32]bool{}
			for _, m := range []eval.Matrix{vectors, queries} {
				for i := range m.Rows() {
					row := m.Row(i)
					if got := length(row); math.Abs(got-1) > 1e-6 {
						t.Fatalf("%s, %d dimensions: row %d has length %v", like, dim, i, got)
					}
					seen[[2]float32(row)] = true
				}
			}
			if len(seen) != 320 {
				t.Errorf("%s, %d dimensions: %d different rows, want 320", like, dim, len(seen))
			}
		}
	}
}

// likeness is how near generated rows lie to each other: mean cosines.
type likeness struct {
	nearest  float64 // of a query and the vector nearest to it
	vectors  float64 // of a query and any vector
	queries  float64 // of two queries
	pictures float64 // of two vectors
}

func likenessOf(t *testing.T, like string) likeness {
	t.Helper()
	vectors, queries := generate(t, eval.GenerateOptions{N: 4000, Dim: 128, Queries: 60, Like: like, Seed: 1})
	few := eval.Matrix{Dim: vectors.Dim, Data: vectors.Data[:200*vectors.Dim]}
	var l likeness
	l.nearest, l.vectors = cosines(queries, vectors)
	_, l.queries = cosines(queries, queries)
	_, l.pictures = cosines(few, few)
	return l
}

// cosines returns the mean of the rows of a with their nearest of b, and with all of
// b. A row is not compared with itself.
func cosines(a, b eval.Matrix) (nearest, all float64) {
	n := 0
	for i := range a.Rows() {
		best := -1.
		for j := range b.Rows() {
			if &a.Row(i)[0] == &b.Row(j)[0] {
				continue
			}
			var c float64
			for k, x := range a.Row(i) {
				c += float64(x) * float64(b.Row(j)[k])
			}
			best, all, n = max(best, c), all+c, n+1
		}
		nearest += best
	}
	return nearest / float64(a.Rows()), all / float64(n)
}

// Pictures lie in clusters, and texts apart from them, as a CLIP model has it. Noise
// has neither: nothing is nearer than chance makes it.
func TestGenerateLikeness(t *testing.T) {
	text, image, noise := likenessOf(t, "text"), likenessOf(t, "image"), likenessOf(t, "noise")
	if text.nearest > image.nearest-.15 {
		t.Errorf("a text is as near to its nearest picture as a picture is: %+v and %+v", text, image)
	}
	if text.vectors > text.queries-.15 || text.vectors > text.pictures-.15 {
		t.Errorf("texts do not lie apart from pictures: %+v", text)
	}
	if text.nearest < text.vectors+.43 { // .37 without clusters
		t.Errorf("a text is near to no pictures in particular: %+v", text)
	}
	if image.nearest < image.vectors+.3 || math.Abs(image.vectors-image.pictures) > .1 { // .22 without
		t.Errorf("pictures that are asked for do not lie among the others, in clusters: %+v", image)
	}
	chance := math.Sqrt(2*math.Log(4000)) / math.Sqrt(128) // of the best of 4000, in 128 dimensions
	if noise.nearest > chance || math.Abs(noise.vectors) > .01 || math.Abs(noise.queries) > .02 || math.Abs(noise.pictures) > .01 {
		t.Errorf("noise has a structure: %+v, and %.2f is chance", noise, chance)
	}
}

func TestGenerateRefuses(t *testing.T) {
	for _, o := range []eval.GenerateOptions{
		{N: 0, Dim: 4, Queries: 1},
		{N: 1, Dim: 0, Queries: 1},
		{N: 1, Dim: 4, Queries: 0},
		{N: -1, Dim: 4, Queries: 1},
		{N: 1, Dim: -4, Queries: 1},
		{N: 1, Dim: 4, Queries: 1, Like: "music"},
		{N: math.MaxInt, Dim: 4, Queries: 1},
		{N: 1, Dim: 4, Queries: math.MaxInt},
		{N: 1, Dim: math.MaxInt, Queries: 1},
		{N: 1, Dim: 5_000_000, Queries: 1}, // what they are drawn from is too much
	} {
		v, q, err := eval.Generate(o)
		if !errors.Is(err, clipsearch.ErrInvalid) || strings.Contains(err.Error(), "\n") || v.Data != nil || q.Data != nil {
			t.Errorf("Generate(%+v): error %v, want one line that is ErrInvalid", o, err)
		}
	}
}
