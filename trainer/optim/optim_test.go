package optim

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch"
)

//go:generate python3 testdata/generate.py

func golden(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// near compares with what PyTorch computed in float32, in another order.
func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		if d := math.Abs(float64(got[i] - w)); !(d <= 1e-6*max(1, math.Abs(float64(w)))) {
			t.Errorf("%s: number %d is %v, want %v", what, i, got[i], w)
		}
	}
}

func TestAdamW(t *testing.T) {
	var cases []struct {
		Clip, Decay float64
		Sizes       []int
		Rates       []float64
		Decayed     []bool
		Start       []float32
		Steps       []struct {
			Rate, Norm        float64
			Gradient, Weights []float32
		}
	}
	golden(t, "adamw.json", &cases)
	for _, c := range cases {
		var groups []Group
		at := 0
		for i, n := range c.Sizes {
			groups = append(groups, Group{at, at + n, c.Rates[i], c.Decayed[i]})
			at += n
		}
		a, err := New(at, groups, Options{Decay: c.Decay, Clip: c.Clip})
		if err != nil {
			t.Fatal(err)
		}
		w := slices.Clone(c.Start)
		for i, s := range c.Steps {
			norm := a.Update(w, s.Gradient, s.Rate)
			if math.Abs(norm-s.Norm) > 1e-6*s.Norm {
				t.Errorf("clip %g, step %d: the gradient is %v long, want %v", c.Clip, i, norm, s.Norm)
			}
			near(t, fmt.Sprintf("clip %g, step %d", c.Clip, i), w, s.Weights)
		}
	}
}

func TestSchedule(t *testing.T) {
	var cases []struct {
		Rate          float64
		Warmup, Steps int
		Floor         float64
		Constant      bool
		Rates         []float64
	}
	golden(t, "schedule.json", &cases)
	for _, c := range cases {
		s := Schedule{Rate: c.Rate, Warmup: c.Warmup, Steps: c.Steps, Floor: c.Floor, Constant: c.Constant}
		for i, want := range c.Rates {
			if got := s.At(i); math.Abs(got-want) > 1e-12 {
				t.Errorf("%+v: step %d has the rate %v, want %v", s, i, got, want)
			}
		}
	}
	if got := (Schedule{Rate: 1, Steps: 5, Floor: 0.25}).At(9); got != 0.25 {
		t.Errorf("after the end the rate is %v, want 0.25", got)
	}
}

func TestAverage(t *testing.T) {
	var c struct {
		Decay float64
		Start []float32
		Steps []struct{ Weights, Mean []float32 }
	}
	golden(t, "average.json", &c)
	mean := slices.Clone(c.Start)
	for i, s := range c.Steps {
		Average(mean, s.Weights, c.Decay, 2)
		near(t, fmt.Sprint("step ", i), mean, s.Mean)
	}
}

// TestThreads: the result is the same to the last bit, however many there are.
func TestThreads(t *testing.T) {
	const n = 5*block + 123
	groups := []Group{{0, 1000, 1, true}, {1000, 1010, 1, false}, {1010, 3*block + 5, 0.5, true}, {3*block + 5, 4 * block, 0, true}, {4 * block, n, 1, false}}
	run := func(threads int) (w, mean []float32, norms []float64) {
		r := rand.New(rand.NewPCG(1, 2))
		w, mean = make([]float32, n), make([]float32, n)
		g := make([]float32, n)
		a, err := New(n, groups, Options{Decay: 0.1, Clip: 1, Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			for i := range g {
				g[i] = r.Float32() - 0.5
			}
			norms = append(norms, a.Update(w, g, 0.01))
			Average(mean, w, 0.9, threads)
		}
		return w, mean, norms
	}
	w, mean, norms := run(1)
	for _, threads := range []int{2, 3, 100} {
		w2, mean2, norms2 := run(threads)
		if !slices.Equal(w, w2) || !slices.Equal(mean, mean2) || !slices.Equal(norms, norms2) {
			t.Errorf("%d threads and one differ", threads)
		}
	}
	for i, x := range w {
		if still := i >= 3*block+5 && i < 4*block; still != (x == 0) {
			t.Fatalf("weight %d is %v after three steps", i, x)
		}
	}
}

// TestMean: the mean of the weights that an update moves is the one of Average.
func TestMean(t *testing.T) {
	const n = 2*block + 21
	var list [2]*AdamW
	for i := range list {
		a, err := New(n, []Group{{0, 70, 0, true}, {70, n, 1, true}}, Options{Clip: 1, Average: 0.9, Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		list[i] = a
	}
	w, g, mean := make([]float32, n), make([]float32, n), make([]float32, n)
	list[0].Mean = slices.Clone(mean)
	w2 := slices.Clone(w)
	r := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		for i := range g {
			g[i] = r.Float32() - 0.5
		}
		list[0].Update(w, g, 0.01)
		list[1].Update(w2, g, 0.01)
		Average(mean, w2, 0.9, 1)
	}
	if !slices.Equal(w, w2) || !slices.Equal(list[0].Mean, mean) {
		t.Error("weights or their means differ")
	}
}

// TestNotFinite: a gradient that is no number changes nothing.
func TestNotFinite(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		a, err := New(3, []Group{{0, 3, 1, true}}, Options{Clip: 1})
		if err != nil {
			t.Fatal(err)
		}
		w := []float32{1, 2, 3}
		norm := a.Update(w, []float32{1, float32(bad), 1}, 0.1)
		if !math.IsNaN(norm) && !math.IsInf(norm, 0) || !slices.Equal(w, []float32{1, 2, 3}) || a.Steps != 0 || slices.ContainsFunc(a.M, func(m float32) bool { return m != 0 }) {
			t.Errorf("gradient with %v: norm %v, weights %v, mean %v after %d steps", bad, norm, w, a.M, a.Steps)
		}
	}
}

func TestNewMistakes(t *testing.T) {
	all := []Group{{0, 4, 1, true}}
	for name, tt := range map[string]struct {
		groups []Group
		o      Options
	}{
		"none":          {nil, Options{}},
		"gap":           {[]Group{{0, 1, 1, true}, {2, 4, 1, true}}, Options{}},
		"overlap":       {[]Group{{0, 2, 1, true}, {1, 4, 1, true}}, Options{}},
		"too many":      {[]Group{{0, 5, 1, true}}, Options{}},
		"empty":         {[]Group{{0, 0, 1, true}, {0, 4, 1, true}}, Options{}},
		"uphill":        {[]Group{{0, 4, -1, true}}, Options{}},
		"no rate":       {[]Group{{0, 4, math.NaN(), true}}, Options{}},
		"beta":          {all, Options{Beta1: 1}},
		"negative beta": {all, Options{Beta2: -0.1}},
		"decay":         {all, Options{Decay: -1}},
		"clip":          {all, Options{Clip: math.NaN()}},
		"average":       {all, Options{Average: 1}},
	} {
		if _, err := New(4, tt.groups, tt.o); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
	}
}
