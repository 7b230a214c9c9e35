package eval_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/eval"
	"github.com/clipsearch/clipsearch/internal/npy"
)

// six pictures of four classes, figures by hand: predicted are 0 0 1 0 2 2.
var (
	scores = eval.Matrix{Dim: 4, Data: []float32{
		9, 1, 2, 3,
		5, 4, 3, 2, // of class 1, which comes second
		1, 7, 0, 6, // of class 1
		8, 8, 1, 0, // a tie: the earlier class stands first
		0, 1, 9, 8, // of class 3
		4, 3, 9, 1, // of class 2
	}}
	belong = []int64{0, 1, 1, 1, 3, 2}
)

func classify(t *testing.T, logits eval.Matrix, labels []int64, base, threads int) eval.Classification {
	t.Helper()
	r, err := eval.Classify(context.Background(), logits, labels, base, threads)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestClassifyByHand(t *testing.T) {
	for _, threads := range []int{0, 1, 3} {
		r := classify(t, scores, belong, 2, threads)
		for _, c := range []struct {
			what      string
			got, want float64
		}{
			{"top-1", r.Top1, 3. / 6},
			{"top-5", r.Top5, 1},
			{"recall", r.MeanClassRecall, (1 + 1./3 + 1 + 0) / 4},
			{"F1", r.MacroF1, (2./4 + 2./4 + 2./3 + 0) / 4},
			{"base", r.BaseAccuracy, 2. / 4}, // pictures 0 and 2, among classes 0 and 1
			{"new", r.NewAccuracy, 1. / 2},   // picture 5, among classes 2 and 3
			{"harmonic mean", r.HarmonicMean, .5},
		} {
			if math.Abs(c.got-c.want) > 1e-12 {
				t.Errorf("%d threads: %s is %v, want %v", threads, c.what, c.got, c.want)
			}
		}
		want := []eval.ClassFigures{{"", 1, 1, 3}, {"", 3, 1, 1}, {"", 1, 1, 2}, {"", 1, 0, 0}}
		if diff := cmp.Diff(want, r.PerClass); diff != "" {
			t.Errorf("classes (-want +got):\n%s", diff)
		}
	}
}

// Classes without pictures count for F1 only if pictures were named after them, and
// for recall never; a mean of nothing but zeros is zero.
func TestClassifyEmptyClasses(t *testing.T) {
	logits := eval.Matrix{Dim: 7, Data: []float32{
		0, 9, 8, 7, 6, 5, 1, // of class 0: seventh
		9, 0, 0, 0, 0, 0, 8, // of class 6: second
	}}
	r := classify(t, logits, []int64{0, 6}, 1, 1)
	if r.Top1 != 0 || r.Top5 != .5 || r.MeanClassRecall != 0 || r.MacroF1 != 0 || r.BaseAccuracy != 1 || r.NewAccuracy != 1 || r.HarmonicMean != 1 {
		t.Errorf("%+v %+v", r, r.Generalization)
	}
	constant := eval.Matrix{Dim: 6, Data: make([]float32, 12)}
	if r := classify(t, constant, []int64{1, 5}, 1+1, 1); r.Top1 != 0 || r.Top5 != .5 || r.HarmonicMean != 0 {
		t.Errorf("all scores equal: %+v %+v", r, r.Generalization)
	}
}

// The shared fixture has scikit-learn's figures.
func TestClassifyFixture(t *testing.T) {
	dir := "../../shared/fixtures/metrics/classification"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no fixtures: ../../shared is absent")
	}
	var want, got map[string]any
	readJSON(t, filepath.Join(dir, "expect.json"), &want)
	x := readArray(t, filepath.Join(dir, "logits.npy"), npy.ReadFloat32)
	y := readArray(t, filepath.Join(dir, "labels.npy"), npy.ReadInt64)
	b, err := json.Marshal(classify(t, eval.Matrix{Dim: x.Shape[1], Data: x.Data}, y.Data, 6, 2))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for key, w := range want {
		if g, ok := got[key].(float64); !ok || math.Abs(g-w.(float64)) > 1e-9 {
			t.Errorf("%s is %v, want %v", key, got[key], w)
		}
	}
}

func TestClassifyRefuses(t *testing.T) {
	nan := eval.Matrix{Dim: 2, Data: []float32{1, 2, 3, float32(math.NaN())}}
	for _, tt := range []struct {
		what   string
		logits eval.Matrix
		labels []int64
		base   int
		says   string
	}{
		{"no pictures", eval.Matrix{Dim: 3}, nil, 0, "nothing to judge"},
		{"no classes", eval.Matrix{}, nil, 0, "nothing to judge"},
		{"a label too few", scores, belong[1:], 0, "5 labels for 6 rows"},
		{"a label below", scores, []int64{0, 1, -1, 1, 1, 1}, 0, "row 2 is -1, but classes go from 0 to 3"},
		{"a label above", scores, []int64{0, 1, 1, 4, 1, 1}, 0, "row 3 is 4"},
		{"NaN", nan, []int64{0, 1}, 0, "picture 1 has no score for class 1"},
		{"all classes base", scores, belong, 4, "4 base classes of 4"},
		{"a negative number of them", scores, belong, -1, "-1 base classes"},
		{"no new pictures", scores, make([]int64, 6), 2, "6 pictures belong to base classes and 0 to new ones"},
	} {
		_, err := eval.Classify(context.Background(), tt.logits, tt.labels, tt.base, 2)
		if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error %v, want ErrInvalid that says %q", tt.what, err, tt.says)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := eval.Classify(ctx, scores, belong, 0, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

// Without base classes their keys are absent; with them they are there, even if zero.
func TestClassificationJSON(t *testing.T) {
	for base, n := range []int{0, 1} {
		b, err := json.Marshal(classify(t, scores, belong, base, 1))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"base_accuracy", "new_accuracy", "harmonic_mean"} {
			if strings.Count(string(b), `"`+key+`":`) != n {
				t.Errorf("%d base classes: %s in %s", base, key, b)
			}
		}
		for _, key := range []string{"top1", "top5", "mean_per_class_recall", "macro_f1", "images", "classes"} {
			if !strings.Contains(string(b), `"`+key+`":`) {
				t.Errorf("%s is not in %s", key, b)
			}
		}
	}
}
