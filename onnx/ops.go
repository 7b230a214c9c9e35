package onnx

import (
	"slices"
	"strings"
)

// The element-wise operators broadcast as NumPy does and keep the type.

func (g *Graph) Add(a, b *Value) *Value { return g.elementwise("Add", a, b) }
func (g *Graph) Sub(a, b *Value) *Value { return g.elementwise("Sub", a, b) }
func (g *Graph) Mul(a, b *Value) *Value { return g.elementwise("Mul", a, b) }
func (g *Graph) Div(a, b *Value) *Value { return g.elementwise("Div", a, b) }
func (g *Graph) Max(a, b *Value) *Value { return g.elementwise("Max", a, b) }
func (g *Graph) Min(a, b *Value) *Value { return g.elementwise("Min", a, b) }

func (g *Graph) elementwise(op string, a, b *Value) *Value {
	shape, ok := broadcast(a.shape, b.shape)
	if !ok || a.typ != b.typ {
		g.failf("%s of %v and %v", op, a, b)
	}
	return g.node(op, a.typ, shape, []*Value{a, b})
}

func (g *Graph) Relu(x *Value) *Value    { return g.unary("Relu", x) }
func (g *Graph) Sigmoid(x *Value) *Value { return g.unary("Sigmoid", x) }
func (g *Graph) Tanh(x *Value) *Value    { return g.unary("Tanh", x) }
func (g *Graph) Sqrt(x *Value) *Value    { return g.unary("Sqrt", x) }
func (g *Graph) Abs(x *Value) *Value     { return g.unary("Abs", x) }
func (g *Graph) Round(x *Value) *Value   { return g.unary("Round", x) } // half to even

func (g *Graph) unary(op string, x *Value) *Value { return g.node(op, x.typ, x.shape, []*Value{x}) }

// Gelu is the Gaussian error linear unit (Hendrycks and Gimpel 2016), exact.
func (g *Graph) Gelu(x *Value) *Value {
	if g.training {
		if y := g.trainingGelu(x); y != nil {
			return y
		}
	}
	return g.domainNode(microsoft, "Gelu", x.typ, x.shape, []*Value{x})
}

// GeluTanh is its approximation by tanh, as SigLIP has it.
func (g *Graph) GeluTanh(x *Value) *Value {
	return g.domainNode(microsoft, "FastGelu", x.typ, x.shape, []*Value{x})
}

// QuickGelu is x·sigmoid(1.702·x), as OpenAI's CLIP has it.
func (g *Graph) QuickGelu(x *Value) *Value {
	if g.training {
		if y := g.trainingQuickGelu(x, 1.702); y != nil {
			return y
		}
	}
	return g.domainNode(microsoft, "QuickGelu", x.typ, x.shape, []*Value{x}, Attr{"alpha", float32(1.702)})
}

// Cast converts the elements to t.
func (g *Graph) Cast(x *Value, t Type) *Value {
	return g.node("Cast", t, x.shape, []*Value{x}, Attr{"to", int64(t)})
}

// Equal compares element by element.
func (g *Graph) Equal(a, b *Value) *Value { return g.compare("Equal", a, b) }

// LessOrEqual compares element by element.
func (g *Graph) LessOrEqual(a, b *Value) *Value { return g.compare("LessOrEqual", a, b) }

func (g *Graph) compare(op string, a, b *Value) *Value {
	v := g.elementwise(op, a, b)
	v.typ = Bool
	return v
}

// Where takes a where cond is true and b elsewhere.
func (g *Graph) Where(cond, a, b *Value) *Value {
	s, ok := broadcast(a.shape, b.shape)
	t, ok2 := broadcast(s, cond.shape)
	if !ok || !ok2 || a.typ != b.typ || cond.typ != Bool {
		g.failf("Where of %v, %v and %v", cond, a, b)
	}
	return g.node("Where", a.typ, t, []*Value{cond, a, b})
}

// Gemm is x·w (rows times columns) plus bias: x [M,K], w [K,N], or [N,K] where
// wT is set, as PyTorch keeps the weights of a linear layer; bias [N], or nil.
func (g *Graph) Gemm(x, w, bias *Value, wT bool) *Value {
	k, n := 0, 1
	if wT {
		k, n = 1, 0
	}
	if len(x.shape) != 2 || len(w.shape) != 2 || x.shape[1] != w.shape[k] || x.typ != w.typ {
		g.failf("Gemm of %v and %v (transposed: %v)", x, w, wT)
	}
	if bias != nil && (len(bias.shape) != 1 || bias.shape[0] != w.shape[n]) {
		g.failf("Gemm of %v and %v with bias %v", x, w, bias)
	}
	if g.training {
		return g.layer(x, w, bias, wT)
	}
	g.countRows(x)
	var attrs []Attr
	if wT {
		attrs = []Attr{{"transB", int64(1)}}
	}
	return g.node("Gemm", x.typ, Shape{x.shape[0], w.shape[n]}, []*Value{x, w, bias}, attrs...)
}

// countRows notes how many rows x has for one of its batch.
func (g *Graph) countRows(x *Value) {
	if d := x.shape[0]; d.syms != "" && !strings.Contains(d.syms, "·") {
		g.m.Rows = max(g.m.Rows, d.n)
	}
}

// MatMul is the product of the last two dimensions, the others broadcast.
func (g *Graph) MatMul(a, b *Value) *Value {
	m, n := len(a.shape), len(b.shape)
	if m < 2 || n < 2 || a.shape[m-1] != b.shape[n-2] || a.typ != b.typ {
		g.failf("MatMul of %v and %v", a, b)
	}
	outer, ok := broadcast(a.shape[:m-2], b.shape[:n-2])
	if !ok {
		g.failf("MatMul of %v and %v", a, b)
	}
	return g.node("MatMul", a.typ, append(outer, a.shape[m-2], b.shape[n-1]), []*Value{a, b})
}

// MatMulInteger is the exact product of uint8 a [M,K], less zero, and int8 b [K,N]:
// int32 [M,N].
func (g *Graph) MatMulInteger(a, b, zero *Value) *Value {
	if len(a.shape) != 2 || len(b.shape) != 2 || a.shape[1] != b.shape[0] || a.typ != Uint8 || b.typ != Int8 {
		g.failf("MatMulInteger of %v and %v", a, b)
	}
	return g.node("MatMulInteger", Int32, Shape{a.shape[0], b.shape[1]}, []*Value{a, b, zero})
}

// LayerNorm normalizes the last dimension and scales it: scale and bias [D].
func (g *Graph) LayerNorm(x, scale, bias *Value, epsilon float64) *Value {
	d := x.shape[len(x.shape)-1]
	if len(scale.shape) != 1 || scale.shape[0] != d || bias != nil && !slices.Equal(bias.shape, scale.shape) {
		g.failf("LayerNorm of %v with %v and %v", x, scale, bias)
	}
	y := g.node("LayerNormalization", x.typ, x.shape, []*Value{x, scale, bias}, Attr{"axis", int64(-1)}, Attr{"epsilon", float32(epsilon)})
	if g.training {
		y.norm = &norm{x, scale, bias, epsilon}
	}
	return y
}

// Softmax is taken over one dimension.
func (g *Graph) Softmax(x *Value, axis int) *Value {
	return g.node("Softmax", x.typ, x.shape, []*Value{x}, Attr{"axis", int64(g.axis(x, axis))})
}

// ReduceMean, ReduceSum and ReduceMax keep the reduced dimensions as 1 where keep
// is set.
func (g *Graph) ReduceMean(x *Value, keep bool, axes ...int) *Value {
	return g.reduce("ReduceMean", x, keep, axes)
}
func (g *Graph) ReduceSum(x *Value, keep bool, axes ...int) *Value {
	return g.reduce("ReduceSum", x, keep, axes)
}
func (g *Graph) ReduceMax(x *Value, keep bool, axes ...int) *Value {
	return g.reduce("ReduceMax", x, keep, axes)
}

func (g *Graph) reduce(op string, x *Value, keep bool, axes []int) *Value {
	var list []int64
	for _, a := range axes {
		list = append(list, int64(g.axis(x, a)))
	}
	var shape Shape
	for i, d := range x.shape {
		switch {
		case !slices.Contains(list, int64(i)):
			shape = append(shape, d)
		case keep:
			shape = append(shape, N(1))
		}
	}
	if g.opset < 18 {
		return g.node(op, x.typ, shape, []*Value{x}, Attr{"axes", list}, Attr{"keepdims", flag(keep)})
	}
	return g.node(op, x.typ, shape, []*Value{x, g.Int64s(list...)}, Attr{"keepdims", flag(keep)})
}

// ArgMax returns the first index of the largest element of a dimension, which is
// dropped.
func (g *Graph) ArgMax(x *Value, axis int) *Value {
	a := g.axis(x, axis)
	shape := slices.Delete(slices.Clone(x.shape), a, a+1)
	return g.node("ArgMax", Int64, shape, []*Value{x}, Attr{"axis", int64(a)}, Attr{"keepdims", int64(0)})
}

// CumSum adds up along a dimension.
func (g *Graph) CumSum(x *Value, axis int) *Value {
	return g.node("CumSum", x.typ, x.shape, []*Value{x, g.Const(Ints("", []int64{int64(g.axis(x, axis))}))})
}

// Attention is scaled dot-product attention of the given heads (Vaswani et al.
// 2017, section 3.2): q [B,L,D], k and v [B,S,D] are projected already. bias is
// added to the scores before their softmax: it broadcasts to [B,heads,L,S]; it may
// be nil. In causal attention no row sees what follows it.
func (g *Graph) Attention(q, k, v, bias *Value, heads int, causal bool) *Value {
	if len(q.shape) != 3 || len(k.shape) != 3 || !slices.Equal(k.shape, v.shape) || q.shape[0] != k.shape[0] || q.shape[2] != k.shape[2] {
		g.failf("attention of %v, %v and %v", q, k, v)
	}
	if d, ok := q.shape[2].Known(); !ok || heads < 1 || d%int64(heads) != 0 {
		g.failf("attention of %v with %d heads", q, heads)
	}
	if g.training {
		return g.attend(q, k, v, bias, heads, causal)
	}
	attrs := []Attr{{"num_heads", int64(heads)}}
	if causal {
		attrs = append(attrs, Attr{"unidirectional", int64(1)})
	}
	return g.domainNode(microsoft, "MultiHeadAttention", q.typ, q.shape, []*Value{q, k, v, nil, nil, bias}, attrs...)
}

// Rotate turns each pair of neighbouring numbers by an angle of its own (Su et al.
// 2021, RoFormer, section 3.4.2): x [B,L,D] holds that many heads, cos and sin
// [L,D/heads/2] are those of the angles, the same for all heads.
func (g *Graph) Rotate(x, cos, sin *Value, heads int) *Value {
	if len(x.shape) != 3 || heads < 1 || len(cos.shape) != 2 || !slices.Equal(cos.shape, sin.shape) ||
		cos.shape[0] != x.shape[1] || cos.shape[1].Times(N(2*heads)) != x.shape[2] {
		g.failf("rotate %d heads of %v by %v and %v", heads, x, cos, sin)
	}
	w, _ := cos.shape[1].Known()
	return g.domainNode(microsoft, "RotaryEmbedding", x.typ, x.shape, []*Value{x, g.Int64s(0), cos, sin},
		Attr{"interleaved", int64(1)}, Attr{"num_heads", int64(heads)}, Attr{"rotary_embedding_dim", 2 * w})
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// axis resolves a dimension counted from the end.
func (g *Graph) axis(x *Value, a int) int {
	if a < 0 {
		a += len(x.shape)
	}
	if a < 0 || a >= len(x.shape) {
		g.failf("%v has no dimension %d", x, a)
	}
	return a
}
