package onnx_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch/onnx"
)

// TestBackward holds Backward to what it says of seeds, of what is not reached and of
// values within the graph.
func TestBackward(t *testing.T) {
	m, err := onnx.BuildTraining("backward", func(g *onnx.Graph) {
		x, unused := g.Input("x", onnx.Float, onnx.N(2), onnx.N(3)), g.Input("unused", onnx.Float, onnx.N(2))
		inner := g.Reshape(g.Mul(x, g.Scalar(3)), onnx.N(6))
		p, q := g.Mul(inner, inner), g.ReduceSum(g.Reshape(inner, onnx.N(2), onnx.N(3)), false, 0, 1)
		d := g.Backward([]*onnx.Value{p, q}, []*onnx.Value{nil, g.Scalar(10)}, []*onnx.Value{inner, x, unused, q})
		if d[2] != nil {
			t.Errorf("the gradient by %v is %v", unused, d[2])
		}
		for i, name := range []string{"inner", "x", "", "q"} {
			if name != "" {
				g.Output("d_"+name, d[i])
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	in := array{[]int{2, 3}, []float64{1, 2, 3, 4, 5, 6}}
	values := evaluate(t, m, map[string]array{"x": in})
	for i, x := range in.data {
		if got, want := values["d_inner"].data[i], 6*x+10; got != want {
			t.Errorf("by inner[%d]: %g, not %g", i, got, want)
		}
		if got, want := values["d_x"].data[i], 18*x+30; got != want {
			t.Errorf("by x[%d]: %g, not %g", i, got, want)
		}
	}
	if got := values["d_q"].data[0]; got != 10 {
		t.Errorf("by q: %g, not its seed", got)
	}
}

// TestBackwardAsks: a gradient that nobody asks for is not computed, and the gradients
// of chunks meet in the products.
func TestBackwardAsks(t *testing.T) {
	for want, xs := range map[string][]int{"MatMul 0, Gemm 6, Add 0": {2}, "MatMul 0, Gemm 10, Add 0": {1, 2}} {
		m, err := onnx.BuildTraining("asks", func(g *onnx.Graph) {
			w := []*onnx.Value{g.Input("x", onnx.Float, onnx.N(8), onnx.N(4))}
			for _, name := range []string{"first", "second"} {
				w = append(w, g.Input(name, onnx.Float, onnx.N(4), onnx.N(4)))
			}
			var parts []*onnx.Value
			for i := range int64(2) {
				y := g.Tanh(g.Gemm(g.Slice(w[0], 0, 4*i, 4*i+4), w[1], nil, true))
				parts = append(parts, g.Tanh(g.Gemm(y, w[2], nil, true)))
			}
			var asked []*onnx.Value
			for _, i := range xs {
				asked = append(asked, w[i])
			}
			for i, d := range g.Backward([]*onnx.Value{g.Concat(0, parts...)}, []*onnx.Value{nil}, asked) {
				g.Output(fmt.Sprint("d", i), d)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		// The products of two chunks are 4, the gradients by each layer 2, and 2 pass
		// the second layer.
		got := fmt.Sprintf("MatMul %d, Gemm %d, Add %d", count(m, "MatMul"), count(m, "Gemm"), count(m, "Add"))
		if got != want {
			t.Errorf("gradients by %v: %s, not %s", xs, got, want)
		}
	}
}

// TestNoGradient: what has no gradient ends the build with an error that names it and
// says what to do.
func TestNoGradient(t *testing.T) {
	for want, f := range map[string]func(g *onnx.Graph, x *onnx.Value) *onnx.Value{
		"CumSum: freeze": func(g *onnx.Graph, x *onnx.Value) *onnx.Value { return g.CumSum(x, 3) },
		"depthwise": func(g *onnx.Graph, x *onnx.Value) *onnx.Value {
			return g.Conv(x, g.Transpose(x, 1, 0, 2, 3), nil, onnx.Conv2D{Groups: 2})
		},
		"call BuildTraining": nil,
	} {
		build := onnx.BuildTraining
		if f == nil {
			build = onnx.Build
			f = func(g *onnx.Graph, x *onnx.Value) *onnx.Value { return x }
		}
		_, err := build("without", func(g *onnx.Graph) {
			x := g.Input("x", onnx.Float, onnx.N(1), onnx.N(2), onnx.N(3), onnx.N(3))
			y := f(g, x)
			g.Backward([]*onnx.Value{y}, []*onnx.Value{nil}, []*onnx.Value{x})
			g.Output("y", y)
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v", want, err)
		}
	}
	_, err := onnx.BuildTraining("symbols", func(g *onnx.Graph) { g.Input("x", onnx.Float, onnx.Sym("batch")) })
	if err == nil || !strings.Contains(err.Error(), "batch") {
		t.Errorf("a dimension that is no number: %v", err)
	}
}
