package eval_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/eval"
	"github.com/clipsearch/clipsearch/internal/npy"
)

//go:generate python3 testdata/make_golden.py

type embeddings struct {
	images, texts eval.Matrix
	owner         []int64
}

func readArray[T any](t *testing.T, name string, read func(io.Reader) (npy.Array[T], error)) npy.Array[T] {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x, err := read(f)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func readEmbeddings(t *testing.T, dir string) embeddings {
	t.Helper()
	i := readArray(t, filepath.Join(dir, "images.npy"), npy.ReadFloat32)
	x := readArray(t, filepath.Join(dir, "texts.npy"), npy.ReadFloat32)
	o := readArray(t, filepath.Join(dir, "owner.npy"), npy.ReadInt64)
	return embeddings{eval.Matrix{Dim: i.Shape[1], Data: i.Data}, eval.Matrix{Dim: x.Shape[1], Data: x.Data}, o.Data}
}

// figures are what JSON says of a report, by direction and key.
func figures(t *testing.T, r eval.Report) map[string]map[string]float64 {
	t.Helper()
	b, err := json.Marshal(map[string]any{"text_to_image": r.TextToImage, "image_to_text": r.ImageToText})
	if err != nil {
		t.Fatal(err)
	}
	var f map[string]map[string]float64
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func retrieve(t *testing.T, e embeddings, threads int) eval.Report {
	t.Helper()
	r, err := eval.Retrieve(context.Background(), e.images, e.texts, e.owner, threads)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func TestRetrieveGolden(t *testing.T) {
	var want map[string]map[string]float64
	readJSON(t, "testdata/expect.json", &want)
	for _, threads := range []int{0, 1, 3} {
		got := figures(t, retrieve(t, readEmbeddings(t, "testdata"), threads))
		for side := range want {
			for key, x := range want[side] {
				if math.Abs(got[side][key]-x) > 1e-12 {
					t.Errorf("%d threads: %s %s is %v, numpy says %v", threads, side, key, got[side][key], x)
				}
			}
		}
	}
}

// The shared fixtures were written by another hand and are larger.
func TestRetrieveFixture(t *testing.T) {
	dir := "../../shared/fixtures/metrics/retrieval"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no fixtures: ../../shared is absent")
	}
	var want map[string]float64
	readJSON(t, filepath.Join(dir, "expect.json"), &want)
	got := figures(t, retrieve(t, readEmbeddings(t, dir), 2))
	for name, x := range want {
		side, key := name[:len("text_to_image")], name[len("text_to_image_"):]
		if math.Abs(got[side][key]-x) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, got[side][key], x)
		}
	}
}

// random returns embeddings with a wanted number of exact ties: few different
// numbers in few dimensions.
func random(seed uint64, images, texts, dim int, coarse bool) embeddings {
	r := rand.New(rand.NewPCG(seed, 0))
	number := func() float32 {
		if coarse {
			return float32(r.IntN(3) - 1)
		}
		return float32(r.NormFloat64())
	}
	e := embeddings{images: eval.Matrix{Dim: dim}, texts: eval.Matrix{Dim: dim}}
	for range images {
		e.images.Data = append(append(e.images.Data, 1), some(dim-1, number)...)
	}
	for t := range texts {
		own := t
		if t >= images {
			own = r.IntN(images)
		}
		e.owner = append(e.owner, int64(own))
		e.texts.Data = append(append(e.texts.Data, 1), some(dim-1, number)...)
	}
	return e
}

func some(n int, number func() float32) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = number()
	}
	return x
}

// naive sorts the whole row for every query, as the definitions have it.
func naive(queries, answers eval.Matrix, right func(q, a int) bool) map[string]float64 {
	f := map[string]float64{}
	var firsts []float64
	for q := range queries.Rows() {
		order := make([]int, answers.Rows())
		score := make([]float64, answers.Rows())
		for a := range order {
			order[a] = a
			for i, x := range queries.Row(q) {
				score[a] += float64(x) * float64(answers.Row(a)[i])
			}
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
		var hits, ap float64
		first, last := 0, 0
		for rank, a := range order {
			if right(q, a) {
				hits++
				ap += hits / float64(rank+1)
				last = rank + 1
				if first == 0 {
					first = last
				}
			}
		}
		for _, k := range []int{1, 5, 10} {
			if first <= k {
				f[map[int]string{1: "recall@1", 5: "recall@5", 10: "recall@10"}[k]]++
			}
		}
		f["mrr"] += 1 / float64(first)
		f["map"] += ap / hits
		f["minp"] += hits / float64(last)
		firsts = append(firsts, float64(first))
	}
	for k := range f {
		f[k] /= float64(queries.Rows())
	}
	slices.Sort(firsts)
	f["median_rank"] = (firsts[(len(firsts)-1)/2] + firsts[len(firsts)/2]) / 2
	return f
}

// Whatever the shape (tiles that are not full, odd rows) and the ties, the
// figures are those of sorting everything.
func TestRetrieveEqualsSorting(t *testing.T) {
	shapes := []struct{ images, texts, dim int }{{1, 1, 2}, {2, 5, 3}, {3, 3, 17}, {129, 200, 5}, {131, 387, 33}, {257, 515, 8}}
	for seed, s := range shapes {
		for _, coarse := range []bool{false, true} {
			e := random(uint64(seed), s.images, s.texts, s.dim, coarse)
			got := figures(t, retrieve(t, e, 2)) // normalizes e
			want := map[string]map[string]float64{
				"text_to_image": naive(e.texts, e.images, func(q, a int) bool { return e.owner[q] == int64(a) }),
				"image_to_text": naive(e.images, e.texts, func(q, a int) bool { return e.owner[a] == int64(q) }),
			}
			for side := range want {
				for key, x := range got[side] {
					if math.Abs(want[side][key]-x) > 1e-9 {
						t.Errorf("%v, coarse %v: %s %s is %v, want %v", s, coarse, side, key, x, want[side][key])
					}
				}
			}
		}
	}
}

// A model that sees nothing must not get full marks.
func TestRetrieveOfAllTheSame(t *testing.T) {
	e := random(1, 100, 100, 4, false)
	for i := range e.images.Data {
		e.images.Data[i], e.texts.Data[i] = 1, 1
	}
	r := retrieve(t, e, 1)
	if r.TextToImage.Recall1 != .01 || r.ImageToText.Recall10 != .1 || r.TextToImage.MedianRank != 50.5 {
		t.Errorf("constant embeddings score %+v", r.TextToImage)
	}
}

func TestRetrieveRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for what, spoil := range map[string]func(*embeddings){
		"NaN in an image":  func(e *embeddings) { e.images.Data[5] = nan },
		"NaN in a text":    func(e *embeddings) { e.texts.Data[5] = nan },
		"infinity":         func(e *embeddings) { e.texts.Data[5] = float32(math.Inf(1)) },
		"a zero row":       func(e *embeddings) { clear(e.texts.Row(3)) },
		"a short owner":    func(e *embeddings) { e.owner = e.owner[1:] },
		"an owner too far": func(e *embeddings) { e.owner[3] = 20 },
		"a negative owner": func(e *embeddings) { e.owner[3] = -1 },
		"other dimensions": func(e *embeddings) { e.texts = random(2, 20, 60, 5, false).texts },
		"half a row":       func(e *embeddings) { e.texts.Data = e.texts.Data[:len(e.texts.Data)-1]; e.owner = e.owner[:59] },
		"nothing":          func(e *embeddings) { *e = embeddings{} },
		"no text": func(e *embeddings) {
			for i := range e.owner {
				e.owner[i] %= 19
			}
		},
	} {
		e := random(1, 20, 60, 4, false)
		spoil(&e)
		_, err := eval.Retrieve(context.Background(), e.images, e.texts, e.owner, 1)
		if !errors.Is(err, clipsearch.ErrInvalid) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line that is ErrInvalid", what, err)
		}
	}
}

func TestRetrieveIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e := random(1, 20, 60, 4, false)
	if _, err := eval.Retrieve(ctx, e.images, e.texts, e.owner, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// The interval holds the figure, and about what the theory of proportions says.
func TestConfidence(t *testing.T) {
	e := random(5, 400, 400, 3, false)
	r := retrieve(t, e, 2)
	p := r.TextToImage.Recall10
	half := 1.96 * math.Sqrt(p*(1-p)/400)
	got := r.CI95["text_to_image"]["recall@10"]
	if math.Abs(got[0]-(p-half)) > .3*half || math.Abs(got[1]-(p+half)) > .3*half {
		t.Errorf("95%% of recall@10 = %v lie in %v, theory says %v ± %v", p, got, p, half)
	}
	again := retrieve(t, e, 1)
	if r.CI95["image_to_text"]["map"] != again.CI95["image_to_text"]["map"] {
		t.Error("the intervals are not the same every time")
	}
}

// COCO's size: 5,000 pictures, 25,010 captions.
func BenchmarkRetrieve(b *testing.B) {
	e := random(1, 5000, 25010, 512, false)
	for b.Loop() {
		r, err := eval.Retrieve(context.Background(), e.images, e.texts, e.owner, 2)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(r.TextToImage.Recall10, "recall@10")
	}
}
