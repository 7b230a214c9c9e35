package onnx_test

import (
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch/onnx"
)

// often replays the function in a graph that uses its weights many times, so that work
// on weights is chosen over work on rows.
func often(c gradCase) gradCase {
	f := c.f
	c.name += " often"
	c.f = func(g *onnx.Graph, x []operand) operand {
		g.Reuse(1000)
		return f(g, x)
	}
	return c
}

// trainCases are products that take over what stands before them.
var trainCases = []gradCase{
	often(blockCase),
	often(of("layer after a norm", func(g *onnx.Graph, x []operand) operand {
		return g.Gemm(g.LayerNorm(x[0], x[1], x[2], 1e-5), x[3], x[4], true)
	}, drawn(5, 8), drawn(8), drawn(8), drawn(6, 8), drawn(6))),
	often(of("layers after a norm of sequences", func(g *onnx.Graph, x []operand) operand {
		y := g.Reshape(g.LayerNorm(x[0], x[1], x[2], 1e-3), onnx.N(6), onnx.N(8))
		return g.Add(g.Gemm(y, x[3], nil, false), g.Gemm(y, x[4], x[5], true))
	}, drawn(2, 3, 8), drawn(8), drawn(8), drawn(8, 5), drawn(5, 8), drawn(5))),
	often(of("layer after a norm without shift", func(g *onnx.Graph, x []operand) operand {
		return g.Gemm(g.LayerNorm(x[0], x[1], nil, 1e-5), x[2], x[3], true)
	}, drawn(5, 8), drawn(8), drawn(6, 8), drawn(6))),
	often(of("norm that others read, too", func(g *onnx.Graph, x []operand) operand {
		y := g.LayerNorm(x[0], x[1], x[2], 1e-5)
		z := g.Gemm(g.Reshape(y, onnx.N(6), onnx.N(8)), x[3], nil, true)
		return g.Add(g.Add(g.Reshape(z, onnx.N(2), onnx.N(3), onnx.N(8)), y), g.Unsqueeze(g.Index(y, 1, 1), 1))
	}, drawn(2, 3, 8), drawn(8), drawn(8), drawn(8, 8))),
	often(of("rows of a norm", func(g *onnx.Graph, x []operand) operand {
		y := g.LayerNorm(x[0], x[1], x[2], 1e-5)
		z := g.Reshape(g.Gemm(g.Reshape(y, onnx.N(6), onnx.N(8)), x[3], nil, true), onnx.N(2), onnx.N(3), onnx.N(8))
		return g.Add(g.Mul(g.Pick(y, x[4]), g.Index(z, 1, 0)), g.Gather(g.Reshape(y, onnx.N(6), onnx.N(8)), 0, x[4]))
	}, drawn(2, 3, 8), drawn(8), drawn(8), drawn(8, 8), ids([]int64{2}, 2, 0))),
	of("Gelu between layers", between((*onnx.Graph).Gelu), drawn(5, 6), drawn(8, 6), drawn(8), drawn(8, 4), drawn(4)),
	of("QuickGelu between layers", between((*onnx.Graph).QuickGelu), drawn(5, 6), drawn(8, 6), drawn(8), drawn(8, 4), drawn(4)),
	of("Gelu that others read, too", func(g *onnx.Graph, x []operand) operand {
		h := g.Gemm(x[0], x[1], nil, true)
		y := g.Gelu(h)
		return g.Add(g.Add(g.Gemm(y, x[2], nil, false), h), g.Mul(y, y))
	}, drawn(5, 6), drawn(8, 6), drawn(8, 8)),
	of("Gelu after a layer without bias", func(g *onnx.Graph, x []operand) operand {
		return g.Gelu(g.Reshape(g.Gemm(x[0], x[1], nil, false), onnx.N(1), onnx.N(5), onnx.N(8)))
	}, drawn(5, 6), drawn(6, 8)),
	of("Gelu of a sum with a product", func(g *onnx.Graph, x []operand) operand {
		return g.Gelu(g.GemmOf(x[0], x[1], x[2], onnx.GemmOptions{TransA: true, Alpha: -0.5, Beta: 3}))
	}, drawn(6, 5), drawn(6, 8), drawn(5, 8)),
}

func between(act func(*onnx.Graph, *onnx.Value) *onnx.Value) func(g *onnx.Graph, x []operand) operand {
	return func(g *onnx.Graph, x []operand) operand {
		h := g.Reshape(g.Gemm(x[0], x[1], x[2], true), onnx.N(1), onnx.N(5), onnx.N(8))
		return g.Gemm(g.Reshape(act(g, h), onnx.N(5), onnx.N(8)), x[3], x[4], false)
	}
}

// TestTaken: what products take over is gone from the graph.
func TestTaken(t *testing.T) {
	for name, ops := range map[string][]string{
		"Gelu between layers": {"Gelu"}, "QuickGelu between layers": {"QuickGelu"},
	} {
		i := slices.IndexFunc(trainCases, func(c gradCase) bool { return c.name == name })
		for _, n := range trainCases[i].model(t).Nodes {
			if slices.Contains(ops, n.Op) {
				t.Errorf("%s: there is a node %s of %v", name, n.Op, n.Inputs)
			}
		}
	}
}

// TestKeepRows: the gradients of rows that were looked up come as they are, and add up
// to the table's.
func TestKeepRows(t *testing.T) {
	build := func(keep bool) *onnx.Model {
		m, err := onnx.BuildTraining("lookup", func(g *onnx.Graph) {
			table, at, more := g.Input("table", onnx.Float, onnx.N(5), onnx.N(3)), g.Input("at", onnx.Int64, onnx.N(4)), g.Input("more", onnx.Int64, onnx.N(2))
			y := g.Concat(0, g.Rows(table, at), g.Tanh(g.Rows(table, more)))
			seed := g.Input("seed", onnx.Float, onnx.N(6), onnx.N(3))
			if keep {
				g.KeepRows(table)
			}
			d := g.Backward([]*onnx.Value{y}, []*onnx.Value{seed}, []*onnx.Value{table})[0]
			if !keep {
				g.Output("d", d)
				return
			}
			if d != nil {
				t.Errorf("the table has the gradient %v beside its rows'", d)
			}
			ids, rows := g.Lookups(table)
			g.Output("ids", g.Identity(ids))
			g.Output("rows", rows)
		})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	in := map[string]array{"table": newArray(5, 3), "at": {[]int{4}, []float64{4, 0, 4, 2}}, "more": {[]int{2}, []float64{0, 3}}, "seed": newArray(6, 3)}
	for i := range in["seed"].data {
		in["seed"].data[i] = float64(i*i%11) - 4
	}
	for i := range in["table"].data {
		in["table"].data[i] = float64(i%5)/4 - 0.5
	}
	want, kept := evaluate(t, build(false), in)["d"].data, evaluate(t, build(true), in)
	got := make([]float64, len(want))
	for i, id := range kept["ids"].data {
		for j := range 3 {
			got[int(id)*3+j] += kept["rows"].data[i*3+j]
		}
	}
	for i := range want {
		if d := got[i] - want[i]; d > 1e-12 || d < -1e-12 {
			t.Fatalf("rows add up to %v, want %v", got, want)
		}
	}
}
