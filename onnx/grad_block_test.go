package onnx_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/clipsearch/clipsearch/internal/npy"
	"github.com/clipsearch/clipsearch/onnx"
)

// blockCase is a transformer block over three sequences of four, its mean projected,
// and the contrastive loss with the last operands.
var blockCase = of("block", block, drawn(12, 8), drawn(8), drawn(8), drawn(24, 8), drawn(24), drawn(8, 8), drawn(8),
	drawn(8), drawn(8), drawn(16, 8), drawn(16), drawn(8, 16), drawn(8), drawn(6, 8), drawn(3, 6), drawn(1))

func block(g *onnx.Graph, in []operand) operand {
	next := func() operand {
		x := in[0]
		in = in[1:]
		return x
	}
	x := next()
	y := g.LayerNorm(x, next(), next(), 1e-5)
	qkv := g.Reshape(g.Gemm(y, next(), next(), true), onnx.N(3), onnx.N(4), onnx.N(24))
	third := func(i int64) operand { return g.Slice(qkv, 2, 8*i, 8*i+8) }
	a := g.Reshape(g.Attention(third(0), third(1), third(2), nil, 2, true), onnx.N(12), onnx.N(8))
	x = g.Add(x, g.Gemm(a, next(), next(), true))
	y = g.LayerNorm(x, next(), next(), 1e-5)
	y = g.Gelu(g.Gemm(y, next(), next(), true))
	x = g.Add(x, g.Gemm(y, next(), next(), true))
	x = g.ReduceMean(g.Reshape(x, onnx.N(3), onnx.N(4), onnx.N(8)), false, 1)
	image := g.Gemm(x, next(), nil, true)
	return infoNCE(g, image, next(), next())
}

func unit(g *onnx.Graph, x operand) operand {
	return g.Div(x, g.Sqrt(g.ReduceSum(g.Mul(x, x), true, 1)))
}

// infoNCE is the symmetric contrastive loss of rows that belong together; scale [1] is
// the logarithm of what the cosines are multiplied by.
func infoNCE(g *onnx.Graph, image, text, scale operand) operand {
	n, _ := image.Shape()[0].Known()
	logits := g.Mul(g.FusedMatMul(unit(g, image), unit(g, text), false, true, 1), g.Exp(scale))
	same := make([]float32, n*n)
	for i := range n {
		same[i*n+i] = -0.5 / float32(n)
	}
	both := g.Add(g.LogSoftmax(logits, 0), g.LogSoftmax(logits, 1))
	return g.Reshape(g.ReduceSum(g.Mul(both, g.Const(onnx.Floats("", same, n, n))), false, 0, 1), onnx.N(1))
}

// TestInfoNCE compares a loss and its gradients with those that PyTorch computed.
func TestInfoNCE(t *testing.T) {
	const dir = "../../shared/fixtures/metrics/infonce/"
	data, err := os.ReadFile(dir + "expect.json")
	if err != nil {
		t.Skipf("the fixtures are not there: %v", err)
	}
	var expect struct {
		Loss  float64 `json:"loss"`
		Scale float64 `json:"logit_scale"`
		Grad  float64 `json:"grad_logit_scale"`
	}
	if err := json.Unmarshal(data, &expect); err != nil {
		t.Fatal(err)
	}
	image, text := matrix(t, dir+"image.npy"), matrix(t, dir+"text.npy")
	rows, columns := int64(image.dims[0]), int64(image.dims[1])
	c := of("infonce", func(g *onnx.Graph, x []operand) operand { return infoNCE(g, x[0], x[1], x[2]) }, drawn(rows, columns), drawn(rows, columns), drawn(1))
	m := c.model(t)
	in := map[string]array{"x0": image, "x1": text, "x2": {[]int{1}, []float64{expect.Scale}}, "seed": {[]int{1}, []float64{1}}}
	values := evaluate(t, m, in)
	for name, want := range map[string][]float64{
		"y": {expect.Loss}, "d0": matrix(t, dir+"grad_image.npy").data, "d1": matrix(t, dir+"grad_text.npy").data, "d2": {expect.Grad},
	} {
		for i, v := range values[name].data {
			if math.Abs(v-want[i]) > 2e-6*largest(want) { // PyTorch computed in float32
				t.Errorf("%s[%d] is %g, PyTorch says %g", name, i, v, want[i])
				break
			}
		}
	}
}

func matrix(t *testing.T, path string) array {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := npy.ReadFloat64(f)
	if err != nil {
		t.Fatal(err)
	}
	return array{a.Shape, a.Data}
}
