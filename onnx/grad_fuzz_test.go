package onnx_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/clipsearch/clipsearch/onnx"
)

// grow makes a function of three operands [4,6], [6] and [6,6] out of a dozen random
// operators, each of which gives another [4,6].
func grow(seed uint64) gradCase {
	return of("random", func(g *onnx.Graph, x []operand) operand {
		r := rand.New(rand.NewPCG(seed, 3)) // the same graph each time it is built
		row, w := x[1], x[2]
		values := []operand{x[0]}
		pick := func() operand { return values[max(0, len(values)-1-r.IntN(4))] }
		steps := []func() operand{
			func() operand { return g.Add(pick(), row) },
			func() operand { return g.Sub(pick(), pick()) },
			func() operand { return g.Mul(g.Tanh(pick()), pick()) },
			func() operand { return g.Div(pick(), g.Exp(g.Tanh(pick()))) },
			func() operand { return g.Max(pick(), g.Neg(pick())) },
			func() operand { return g.Gelu(pick()) },
			func() operand { return g.QuickGelu(pick()) },
			func() operand { return g.Relu(pick()) },
			func() operand { return g.Sigmoid(pick()) },
			func() operand { return g.Clip(pick(), -1, 1) },
			func() operand { return g.Softmax(pick(), r.IntN(2)) },
			func() operand { return g.LogSoftmax(pick(), r.IntN(2)) },
			func() operand { return g.LayerNorm(pick(), row, row, 1e-2) },
			func() operand { return g.Gemm(pick(), w, row, r.IntN(2) == 0) },
			func() operand { return g.FusedMatMul(pick(), w, false, r.IntN(2) == 0, 0.5) },
			func() operand { return g.GemmOf(w, pick(), nil, onnx.GemmOptions{TransB: true, Alpha: 0.3}) },
			func() operand { return g.Expand(g.ReduceMean(pick(), true, r.IntN(2)), pick()) },
			func() operand { return g.Sub(pick(), g.ReduceLogSumExp(pick(), true, 1)) },
			func() operand { return g.Concat(0, g.Slice(pick(), 0, 1, 4), g.Slice(pick(), 0, 2, 3)) },
			func() operand {
				p := g.Split(pick(), 1, 2, 3, 1)
				return g.Concat(1, p[2], p[0], g.Mul(p[1], p[1]))
			},
			func() operand { return g.Transpose(g.Reshape(pick(), onnx.N(6), onnx.N(4)), 1, 0) },
			func() operand { return g.Rows(pick(), g.Int64s(3, 1, 1, 0)) },
			func() operand { return heads(g, pick(), pick()) },
		}
		shape := x[0].Shape()
		for range 12 {
			v := steps[r.IntN(len(steps))]()
			if v.Shape()[0] != shape[0] { // [6,4]
				v = g.Transpose(v, 1, 0)
			}
			values = append(values, v)
		}
		last := values[len(values)-1]
		return g.Add(g.Tanh(g.Add(last, pick())), g.Mul(x[0], g.Gemm(x[0], w, row, true)))
	}, drawn(4, 6), drawn(6), drawn(6, 6))
}

func heads(g *onnx.Graph, q, k operand) operand {
	three := func(x operand) operand { return g.Reshape(x, onnx.N(2), onnx.N(2), onnx.N(6)) }
	return g.Reshape(g.Attention(three(q), three(k), three(k), nil, 3, true), q.Shape()...)
}

// FuzzGradients compares the gradients of random graphs with differences. Where two
// step widths disagree, a bend lies between, and nothing is said.
func FuzzGradients(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		c := grow(seed)
		m := c.model(t)
		in := c.inputs(m, seed)
		values, short := evaluate(t, m, in), forward(t, m)
		for _, x := range []string{"0", "1", "2"} {
			got := values["d"+x].data
			bound := 1e-5 * max(largest(got), 1)
			for i := 0; i < len(got); i += 5 {
				wide, narrow := slope(t, short, in, "x"+x, i, 1e-5), slope(t, short, in, "x"+x, i, 1e-6)
				if math.Abs(wide-narrow) < bound && math.Abs(got[i]-wide) > 2*bound {
					t.Errorf("the gradient by x%s[%d] is %g, differences say %g and %g", x, i, got[i], wide, narrow)
				}
			}
		}
	})
}
