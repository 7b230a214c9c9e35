package onnx_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/adrg/xdg"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/runtime"
)

// arg is an operand of a case: random numbers of a shape, or ids.
type arg struct {
	dims     []int64
	positive bool
	ids      []int64 // not nil: these, and no gradient is asked for
}

func drawn(dims ...int64) arg    { return arg{dims: dims} }
func positive(dims ...int64) arg { return arg{dims: dims, positive: true} }
func ids(dims []int64, v ...int64) arg {
	return arg{dims: dims, ids: v}
}

// gradCase is a function whose gradient by its real operands is checked.
type gradCase struct {
	name string
	args []arg
	f    func(g *onnx.Graph, x []*onnx.Value) *onnx.Value
}

// model is the training graph of a case: operands x0, x1, …, a seed for the result y,
// and the gradients d0, d1, ….
func (c gradCase) model(t testing.TB) *onnx.Model {
	t.Helper()
	m, err := onnx.BuildTraining(c.name, func(g *onnx.Graph) {
		var all, real []*onnx.Value
		var names []string
		for i, a := range c.args {
			typ := onnx.Float
			if a.ids != nil {
				typ = onnx.Int64
			}
			x := g.Input(fmt.Sprint("x", i), typ, onnx.Of(a.dims...)...)
			if all = append(all, x); a.ids == nil {
				real, names = append(real, x), append(names, fmt.Sprint("d", i))
			}
		}
		y := c.f(g, all)
		seed := g.Input("seed", onnx.Float, y.Shape()...)
		g.Output("y", y)
		for i, d := range g.Backward([]*onnx.Value{y}, []*onnx.Value{seed}, real) {
			if d == nil {
				t.Fatalf("%s: no gradient by %s", c.name, real[i])
			}
			if !slices.Equal(d.Shape(), real[i].Shape()) {
				t.Fatalf("%s: the gradient by %v is %v", c.name, real[i], d)
			}
			g.Output(names[i], d)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// inputs draws the operands; they are float32 numbers.
func (c gradCase) inputs(m *onnx.Model, seed uint64) map[string]array {
	r := rand.New(rand.NewPCG(seed, 7))
	in := map[string]array{}
	for i, p := range m.Inputs {
		a := newArray(numbers(p.Shape)...)
		for k := range a.data {
			a.data[k] = float64(float32(r.NormFloat64()))
			if i < len(c.args) && c.args[i].positive {
				a.data[k] = float64(float32(math.Abs(a.data[k]) + 0.5))
			}
		}
		if i < len(c.args) && c.args[i].ids != nil {
			for k, id := range c.args[i].ids {
				a.data[k] = float64(id)
			}
		}
		in[p.Name] = a
	}
	return in
}

func numbers(s onnx.Shape) []int {
	var dims []int
	for _, d := range s {
		n, _ := d.Known()
		dims = append(dims, int(n))
	}
	return dims
}

// slope is the derivative of Σ y·seed by one number of an operand, by differences
// of h.
func slope(t testing.TB, m *onnx.Model, in map[string]array, x string, i int, h float64) float64 {
	v := in[x].data
	was, sums := v[i], [2]float64{}
	for k, step := range []float64{h, -h} {
		v[i] = was + step
		y := evaluate(t, m, in)["y"]
		for j, s := range in["seed"].data {
			sums[k] += s * y.data[j]
		}
	}
	v[i] = was
	return (sums[0] - sums[1]) / (2 * h)
}

func largest(a []float64) (most float64) {
	for _, v := range a {
		most = max(most, math.Abs(v))
	}
	return most
}

// forward is m without its gradients: what differences need is computed, no more.
func forward(t testing.TB, m *onnx.Model) *onnx.Model {
	t.Helper()
	last := slices.IndexFunc(m.Nodes, func(n *onnx.Node) bool { return slices.Contains(n.Outputs, "y") })
	if last < 0 {
		t.Fatalf("%s: the result is no node's", m.Name)
	}
	short := *m
	short.Nodes = m.Nodes[:last+1]
	return &short
}

// check compares the gradients of a case with finite differences, at most 40 numbers of
// each operand, and returns the oracle's values.
func (c gradCase) check(t testing.TB, m *onnx.Model, in map[string]array) map[string]array {
	t.Helper()
	values, short := evaluate(t, m, in), forward(t, m)
	for i, a := range c.args {
		if a.ids != nil {
			continue
		}
		x, got := fmt.Sprint("x", i), values[fmt.Sprint("d", i)]
		bound := 1e-6 * max(largest(got.data), 1e-2)
		for k := 0; k < len(got.data); k += 1 + len(got.data)/40 {
			if want := slope(t, short, in, x, k, 1e-5); !(math.Abs(want-got.data[k]) <= bound) {
				t.Errorf("%s: the gradient by %s[%d] is %.9g, differences say %.9g", c.name, x, k, got.data[k], want)
				break
			}
		}
	}
	return values
}

func cases() []gradCase {
	return slices.Concat(elementCases, layerCases, shapeCases, convCases, trainCases, []gradCase{blockCase})
}

func TestGradients(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range cases() {
		m := c.model(t)
		for _, n := range forward(t, m).Nodes {
			seen[n.Op] = true
		}
		c.check(t, m, c.inputs(m, 1))
	}
	for _, op := range onnx.Differentiable() {
		if !seen[op] {
			t.Errorf("the gradient of %s is not tested", op)
		}
	}
}

// TestGradientsRun has ONNX Runtime compute the same gradients in float32.
func TestGradientsRun(t *testing.T) {
	start(t)
	for _, c := range cases() {
		m := c.model(t)
		in := c.inputs(m, 1)
		want := evaluate(t, m, in)
		for name, got := range compute(t, m, in) {
			worst, most := 0.0, largest(want[name].data)
			for i, v := range got {
				worst = max(worst, math.Abs(float64(v)-want[name].data[i]))
			}
			if !(worst <= 5e-6*max(most, 0.1)) || len(got) != len(want[name].data) {
				t.Errorf("%s: %s, of up to %g, is wrong by %g", c.name, name, most, worst)
			}
		}
	}
}

func start(t testing.TB) {
	t.Helper()
	lib, err := runtime.Find(runtime.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")})
	if err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	if err := ort.Init(lib.Path); err != nil {
		t.Fatal(err)
	}
}

// compute gives the outputs of m as ONNX Runtime computes them, on two threads.
func compute(t testing.TB, m *onnx.Model, in map[string]array) map[string][]float32 {
	t.Helper()
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var ins, outs []string
	var tensors []ort.Tensor
	for _, p := range m.Inputs {
		a := in[p.Name]
		x := ort.Tensor{Shape: make([]int64, len(a.dims))}
		for i, d := range a.dims {
			x.Shape[i] = int64(d)
		}
		for _, v := range a.data {
			if p.Type == onnx.Int64 {
				x.I64 = append(x.I64, int64(v))
			} else {
				x.F32 = append(x.F32, float32(v))
			}
		}
		ins, tensors = append(ins, p.Name), append(tensors, x)
	}
	for _, p := range m.Outputs {
		outs = append(outs, p.Name)
	}
	s, err := ort.Open(data, ins, outs, ort.Options{Threads: 2})
	if err != nil {
		t.Fatalf("%s: %v", m.Name, err)
	}
	defer s.Close()
	got, err := s.Run(tensors...)
	if err != nil {
		t.Fatalf("%s: %v", m.Name, err)
	}
	results := map[string][]float32{}
	for i, name := range outs {
		results[name] = got[i].F32
	}
	return results
}
