package trainer

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/adrg/xdg"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/runtime"
	"github.com/clipsearch/clipsearch/trainer/optim"
)

// optimizers share all tests of this file.
var optimizers = []struct {
	name    string
	inGraph bool
}{{"in Go", false}, {"in a graph", true}}

// eachOptimizer calls f with what makes one.
func eachOptimizer(t *testing.T, f func(t *testing.T, open func(n int, groups []optim.Group, o optim.Options) optimizer)) {
	for _, impl := range optimizers {
		t.Run(impl.name, func(t *testing.T) {
			if impl.inGraph {
				startRuntime(t)
			}
			f(t, func(n int, groups []optim.Group, o optim.Options) optimizer {
				t.Helper()
				opt, err := adamW(impl.inGraph, n, groups, o, "")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := opt.Close(); err != nil {
						t.Error(err)
					}
				})
				return opt
			})
		})
	}
}

func startRuntime(t *testing.T) {
	t.Helper()
	lib, err := runtime.Find(runtime.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")})
	if err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	if err := ort.Init(lib.Path); err != nil {
		t.Fatal(err)
	}
}

func updated(t *testing.T, opt optimizer, w, g []float32, rate float64) (norm float64) {
	t.Helper()
	norm, err := opt.Update(w, g, rate)
	if err != nil {
		t.Fatal(err)
	}
	return norm
}

// golden reads numbers that PyTorch computed (trainer/optim/testdata/generate.py).
func golden(t *testing.T, name string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(readFile(t, "optim", "testdata", name)), v); err != nil {
		t.Fatal(err)
	}
}

// near compares numbers that were computed in float32, in another order.
func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i, w := range want {
		if d := math.Abs(float64(got[i] - w)); !(d <= 1e-6*max(1, math.Abs(float64(w)))) {
			t.Fatalf("%s: number %d is %v, want %v", what, i, got[i], w)
		}
	}
}

// TestOptimizerGolden: groups with and without decay, at their own rates, with and
// without clipping, are moved as PyTorch moves them.
func TestOptimizerGolden(t *testing.T) {
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
	eachOptimizer(t, func(t *testing.T, open func(int, []optim.Group, optim.Options) optimizer) {
		for _, c := range cases {
			var groups []optim.Group
			at := 0
			for i, n := range c.Sizes {
				groups = append(groups, optim.Group{From: at, To: at + n, Rate: c.Rates[i], Decay: c.Decayed[i]})
				at += n
			}
			opt, w := open(at, groups, optim.Options{Decay: c.Decay, Clip: c.Clip}), slices.Clone(c.Start)
			for i, s := range c.Steps {
				if norm := updated(t, opt, w, s.Gradient, s.Rate); math.Abs(norm-s.Norm) > 1e-6*s.Norm {
					t.Errorf("clip %g, step %d: the gradient is %v long, want %v", c.Clip, i, norm, s.Norm)
				}
				near(t, fmt.Sprintf("clip %g, step %d", c.Clip, i), w, s.Weights)
			}
		}
	})
}

// TestOptimizerMean: the mean of the weights that PyTorch computes. A huge epsilon leaves
// the weights where the test puts them.
func TestOptimizerMean(t *testing.T) {
	var c struct {
		Decay float64
		Start []float32
		Steps []struct{ Weights, Mean []float32 }
	}
	golden(t, "average.json", &c)
	eachOptimizer(t, func(t *testing.T, open func(int, []optim.Group, optim.Options) optimizer) {
		n := len(c.Start)
		for name, rate := range map[string]float64{"moving": 1, "still": 0} {
			opt := open(n, []optim.Group{{From: 0, To: 2, Rate: 1}, {From: 2, To: n, Rate: rate}}, optim.Options{Average: c.Decay, Epsilon: 1e30})
			mean := slices.Clone(c.Start)
			opt.Kept().Mean = mean
			for i, s := range c.Steps {
				updated(t, opt, slices.Clone(s.Weights), slices.Repeat([]float32{1}, n), 1e-3)
				near(t, fmt.Sprintf("%s, step %d", name, i), mean, s.Mean)
			}
		}
	})
}

// mixed are groups of all sizes: some are put together in a run, one is cut.
func mixed() (n int, groups []optim.Group) {
	for i, size := range []int{5, 300_000, 1, 1024, 70, 2048, 300, 90_000, 3, 1, 1} {
		groups = append(groups, optim.Group{From: n, To: n + size, Rate: []float64{1, 0.5, 1, 0}[i%4], Decay: i%2 == 1})
		n += size
	}
	return n, groups
}

// walk makes steps with gradients that follow from their number, from one on.
func walk(t *testing.T, opt optimizer, w []float32, from, to int) (norms []float64) {
	t.Helper()
	for step := from; step <= to; step++ {
		r, g := rand.New(rand.NewPCG(1, uint64(step))), make([]float32, len(w))
		for i := range g {
			g[i] = (r.Float32() - 0.5) * float32(step)
		}
		norms = append(norms, updated(t, opt, w, g, 0.01/float64(step)))
	}
	return norms
}

var walkOptions = optim.Options{Decay: 0.1, Clip: 300, Average: 0.9, Threads: 2}

// TestOptimizersAgree: Go and graph move weights, means and their mean alike.
func TestOptimizersAgree(t *testing.T) {
	n, groups := mixed()
	var w, norms [][]float64
	var kept []*optim.State
	eachOptimizer(t, func(t *testing.T, open func(int, []optim.Group, optim.Options) optimizer) {
		opt, x := open(n, groups, walkOptions), make([]float32, n)
		opt.Kept().Mean = make([]float32, n)
		norms = append(norms, walk(t, opt, x, 1, 4))
		kept, w = append(kept, opt.Kept()), append(w, wide(x))
	})
	if len(w) < 2 {
		t.Skip("there is one only")
	}
	for i, norm := range norms[0] {
		if math.Abs(norms[1][i]-norm) > 1e-6*norm {
			t.Errorf("step %d: the gradient is %v long in a graph, %v in Go", i, norms[1][i], norm)
		}
	}
	a, b := kept[0], kept[1]
	for what, pair := range map[string][2][]float64{"weights": {w[1], w[0]}, "M": {wide(b.M), wide(a.M)}, "V": {wide(b.V), wide(a.V)}, "mean": {wide(b.Mean), wide(a.Mean)}} {
		if d := furthest(pair[0], pair[1]); d > 1e-6 {
			t.Errorf("%s in a graph and in Go differ by up to %g", what, d)
		}
	}
	if b.Steps != a.Steps {
		t.Errorf("%d steps were counted in a graph, %d in Go", b.Steps, a.Steps)
	}
}

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func furthest(x, y []float64) (d float64) {
	for i := range x {
		d = max(d, math.Abs(x[i]-y[i]))
	}
	return d
}

// TestOptimizerResume: one that is given what another has kept goes on as that, to the
// last bit.
func TestOptimizerResume(t *testing.T) {
	n, groups := mixed()
	eachOptimizer(t, func(t *testing.T, open func(int, []optim.Group, optim.Options) optimizer) {
		first, w := open(n, groups, walkOptions), make([]float32, n)
		first.Kept().Mean = make([]float32, n)
		walk(t, first, w, 1, 2)
		second, w2, kept := open(n, groups, walkOptions), slices.Clone(w), first.Kept()
		copy(second.Kept().M, kept.M)
		copy(second.Kept().V, kept.V)
		second.Kept().Steps, second.Kept().Mean = kept.Steps, slices.Clone(kept.Mean)
		a, b := walk(t, first, w, 3, 5), walk(t, second, w2, 3, 5)
		if !slices.Equal(a, b) || !slices.Equal(w, w2) || !slices.Equal(kept.Mean, second.Kept().Mean) || !slices.Equal(kept.V, second.Kept().V) {
			t.Error("lengths of gradients, weights or means differ")
		}
	})
}

// TestOptimizerStill: what has no rate stays, and so does all where the gradient is no
// number.
func TestOptimizerStill(t *testing.T) {
	eachOptimizer(t, func(t *testing.T, open func(int, []optim.Group, optim.Options) optimizer) {
		opt := open(4, []optim.Group{{From: 0, To: 2, Rate: 1, Decay: true}, {From: 2, To: 4, Decay: true}}, optim.Options{Clip: 1, Decay: 0.5})
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			w := []float32{1, 2, 3, 4}
			norm := updated(t, opt, w, []float32{1, 1, float32(bad), 1}, 0.1)
			if k := opt.Kept(); finite(norm) || !slices.Equal(w, []float32{1, 2, 3, 4}) || k.Steps != 0 || k.M[0] != 0 || k.V[0] != 0 {
				t.Errorf("gradient with %v: norm %v, weights %v, means %v and %v after %d steps", bad, norm, w, k.M, k.V, k.Steps)
			}
		}
		w := []float32{1, 2, 3, 4}
		updated(t, opt, w, []float32{1, 1, 1, 1}, 0.1)
		if k := opt.Kept(); w[0] >= 1 || w[2] != 3 || w[3] != 4 || k.M[2] != 0 || k.V[3] != 0 || k.Steps != 1 {
			t.Errorf("weights %v, means %v and %v: want the last two to stay", w, k.M, k.V)
		}
		updated(t, opt, w, []float32{1, 1, 1, 1}, 0)
		if k := opt.Kept(); w[2] != 3 || k.Steps != 2 {
			t.Errorf("at a rate of 0: weights %v after %d steps", w, k.Steps)
		}
	})
}

// TestOptimizerRest: means of what has no gradient any more become zero, and not numbers
// with less than all digits.
func TestOptimizerRest(t *testing.T) {
	eachOptimizer(t, func(t *testing.T, open func(int, []optim.Group, optim.Options) optimizer) {
		opt := open(3, []optim.Group{{From: 0, To: 3, Rate: 1}}, optim.Options{Beta1: 0.1, Beta2: 0.2})
		w, g := []float32{0, 0, 0}, []float32{1e-3, -2, 5}
		for range 120 {
			updated(t, opt, w, g, 1e-3)
			clear(g)
			k := opt.Kept()
			for _, x := range slices.Concat(k.M, k.V) {
				if x != 0 && math.Abs(float64(x)) < 0x1p-126 {
					t.Fatalf("means %v and %v", k.M, k.V)
				}
			}
		}
		if k := opt.Kept(); !slices.Equal(slices.Concat(k.M, k.V), []float32{0, 0, 0, 0, 0, 0}) {
			t.Errorf("means %v and %v, want zeros", k.M, k.V)
		}
	})
}
