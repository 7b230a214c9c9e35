package onnx

import (
	"fmt"
	"math"
	"slices"
)

func (g *Graph) Neg(x *Value) *Value { return g.unary("Neg", x) }
func (g *Graph) Exp(x *Value) *Value { return g.unary("Exp", x) }
func (g *Graph) Log(x *Value) *Value { return g.unary("Log", x) }
func (g *Graph) Erf(x *Value) *Value { return g.unary("Erf", x) }

// Sign is -1, 0 or 1.
func (g *Graph) Sign(x *Value) *Value { return g.unary("Sign", x) }

// Softplus is log(1 + exp(x)): the logarithm of the logistic function is -Softplus(-x).
func (g *Graph) Softplus(x *Value) *Value { return g.unary("Softplus", x) }

// Identity gives x another name.
func (g *Graph) Identity(x *Value) *Value { return g.unary("Identity", x) }

// Pow is x to the power p.
func (g *Graph) Pow(x *Value, p float64) *Value {
	return g.node("Pow", x.typ, x.shape, []*Value{x, g.number(x.typ, p)})
}

// Clip bounds x by low and high, which may be infinite.
func (g *Graph) Clip(x *Value, low, high float64) *Value {
	if !(low <= high) {
		g.failf("clip %v to [%v,%v]", x, low, high)
	}
	var lo, hi *Value
	if !math.IsInf(low, -1) {
		lo = g.number(x.typ, low)
	}
	if !math.IsInf(high, 1) {
		hi = g.number(x.typ, high)
	}
	return g.node("Clip", x.typ, x.shape, []*Value{x, lo, hi})
}

// Greater and Less compare element by element; Greater and Less of broken numbers are
// false.
func (g *Graph) Greater(a, b *Value) *Value { return g.compare("Greater", a, b) }
func (g *Graph) Less(a, b *Value) *Value    { return g.compare("Less", a, b) }

// And is true where both conditions are.
func (g *Graph) And(a, b *Value) *Value { return g.elementwise("And", a, b) }

// LogSoftmax is the logarithm of [Graph.Softmax].
func (g *Graph) LogSoftmax(x *Value, axis int) *Value {
	return g.node("LogSoftmax", x.typ, x.shape, []*Value{x}, Attr{"axis", int64(g.axis(x, axis))})
}

// ReduceLogSumExp is the logarithm of the sum of the exponentials.
func (g *Graph) ReduceLogSumExp(x *Value, keep bool, axes ...int) *Value {
	return g.reduce("ReduceLogSumExp", x, keep, axes)
}

// Shrink is x where it is above bound or below -bound, and 0 elsewhere. It has no gradient.
func (g *Graph) Shrink(x *Value, bound float32) *Value {
	return g.node("Shrink", x.typ, x.shape, []*Value{x}, Attr{"lambd", bound}, Attr{"bias", float32(0)})
}

// ReduceSumSquare is the sum of the squares, which are not kept. It has no gradient.
func (g *Graph) ReduceSumSquare(x *Value, keep bool, axes ...int) *Value {
	return g.reduce("ReduceSumSquare", x, keep, axes)
}

// GemmOptions say what a Gemm does beside multiplying: alpha·a·b + beta·c.
type GemmOptions struct {
	TransA, TransB bool
	Alpha, Beta    float32 // 1 if zero
}

// GemmOf is the product of a and b, matrices, plus c, which broadcasts to it or is nil.
func (g *Graph) GemmOf(a, b, c *Value, o GemmOptions) *Value {
	if len(a.shape) != 2 || len(b.shape) != 2 || a.typ != b.typ {
		g.failf("Gemm of %v and %v", a, b)
	}
	m, ka := a.shape[flag(o.TransA)], a.shape[1-flag(o.TransA)]
	kb, n := b.shape[flag(o.TransB)], b.shape[1-flag(o.TransB)]
	shape := Shape{m, n}
	if ka != kb {
		g.failf("Gemm of %v and %v (transposed: %v, %v)", a, b, o.TransA, o.TransB)
	}
	if c != nil {
		if s, ok := broadcast(shape, c.shape); !ok || !slices.Equal(s, shape) {
			g.failf("Gemm of %v and %v plus %v", a, b, c)
		}
	}
	attrs := transposed("transA", o.TransA, nil)
	attrs = transposed("transB", o.TransB, attrs)
	attrs = factor("alpha", o.Alpha, attrs)
	if c != nil {
		attrs = factor("beta", o.Beta, attrs)
	}
	return g.node("Gemm", a.typ, shape, []*Value{a, b, c}, attrs...)
}

// FusedMatMul is alpha times the product of the last two dimensions of a and b, which
// are transposed first where the flags say so; the others broadcast. An alpha of 0 is 1.
func (g *Graph) FusedMatMul(a, b *Value, transA, transB bool, alpha float32) *Value {
	m, n := len(a.shape), len(b.shape)
	if m < 2 || n < 2 || a.typ != b.typ {
		g.failf("FusedMatMul of %v and %v", a, b)
	}
	rows, ka := a.shape[m-2+int(flag(transA))], a.shape[m-1-int(flag(transA))]
	kb, columns := b.shape[n-2+int(flag(transB))], b.shape[n-1-int(flag(transB))]
	outer, ok := broadcast(a.shape[:m-2], b.shape[:n-2])
	if !ok || ka != kb {
		g.failf("FusedMatMul of %v and %v (transposed: %v, %v)", a, b, transA, transB)
	}
	shape := append(outer, rows, columns)
	attrs := transposed("transA", transA, nil)
	attrs = factor("alpha", alpha, transposed("transB", transB, attrs))
	if len(attrs) == 0 {
		return g.node("MatMul", a.typ, shape, []*Value{a, b})
	}
	return g.domainNode(microsoft, "FusedMatMul", a.typ, shape, []*Value{a, b}, attrs...)
}

func transposed(name string, yes bool, attrs []Attr) []Attr {
	if yes {
		attrs = append(attrs, Attr{name, int64(1)})
	}
	return attrs
}

// factor adds an attribute where it is neither 1 nor left out.
func factor(name string, v float32, attrs []Attr) []Attr {
	if v != 0 && v != 1 {
		attrs = append(attrs, Attr{name, v})
	}
	return attrs
}

// number returns a constant without dimensions, the same one for equal numbers.
func (g *Graph) number(t Type, v float64) *Value {
	return g.once(fmt.Sprint("number", t, v), func() *Value {
		if t == Float {
			return g.Scalar(float32(v))
		}
		return g.Cast(g.Scalar(float32(v)), t)
	})
}

// ones returns a float32 constant of ones.
func (g *Graph) ones(dims ...int64) *Value {
	return g.once(fmt.Sprint("ones", dims), func() *Value {
		t := &Tensor{Dims: dims}
		n, err := t.Len()
		if err != nil {
			g.Fail(err)
		}
		return g.Const(Floats("", slices.Repeat([]float32{1}, int(n)), dims...))
	})
}

// view is a Reshape of what x is a Reshape of. It is for gradients: a gradient by x
// itself would not see what passes it by.
func (g *Graph) view(x *Value, dims ...Dim) *Value {
	if slices.Equal(x.shape, dims) {
		return x
	}
	for x.source != nil {
		x = x.source
	}
	return g.Reshape(x, dims...)
}
