package onnx

import (
	"fmt"
	"math"
	"slices"
)

// A training graph is written so that fewer passes over the rows of a batch are made,
// forward and back. Two things that stand before a product of matrices are given to it:
//
// The scale and shift of a layer normalization go into the weights and bias of the
// linear layers behind it. Their gradients are then computed once from those of the
// weights, not from every row, and the normalized rows are all that is kept. The
// weights are centred over the numbers of a row, too, which changes nothing, as
// normalized rows are, and leaves no mean to take off their gradient.
//
// Activations x·F(s·x) are computed from t = s·x, as the product before gives it with
// s for its factor, and the product behind takes over 1/s.
//
// What is left without a reader is not run (Model.live).

// training is what a training graph knows of a value beside what made it.
type training struct {
	norm   *norm
	base   *Value  // that this is factor times
	factor float64 // of base
	rule   vjp     // of the node that made it, in the place of its operator's
}

// norm is a layer normalization: of x, scaled and shifted.
type norm struct {
	x, scale, shift *Value
	epsilon         float64
}

// Reuse says how many times towers are replayed into this graph with the same weights:
// work on weights that spares work on rows pays where they are many.
func (g *Graph) Reuse(times int) { g.reuse = times }

// known returns what is known of the value that x is a view of, whose rows x has.
func (x *Value) known() (*Value, training) {
	root := x
	for root.source != nil {
		root = root.source
	}
	if len(root.shape) == 0 || len(x.shape) == 0 || root.shape[len(root.shape)-1] != x.shape[len(x.shape)-1] {
		return x, training{}
	}
	return root, root.training
}

// layer is [Graph.Gemm] in a training graph.
func (g *Graph) layer(x, w, bias *Value, wT bool) *Value {
	o := GemmOptions{TransB: wT}
	switch _, of := x.known(); {
	case of.norm != nil && g.pays(x, w):
		x, bias = g.Reshape(g.normalized(of.norm), x.shape...), g.shifted(of.norm, w, bias, wT)
		w = g.scaled(of.norm, w, wT)
	case of.base != nil:
		x, o.Alpha = g.Reshape(of.base, x.shape...), float32(of.factor)
	}
	return g.GemmOf(x, w, bias, o)
}

// pays weighs the rows that are spared a few passes against the weights, which get as
// many.
func (g *Graph) pays(x, w *Value) bool {
	rows, ok := x.shape[0].Known()
	size, ok2 := w.shape.Size().Known()
	columns, _ := x.shape[1].Known()
	return ok && ok2 && rows*int64(max(1, g.reuse)) >= 4*(size/columns)
}

// normalized is a layer normalization without scale and shift.
func (g *Graph) normalized(n *norm) *Value {
	return g.once(fmt.Sprint("normalized ", n.x.name, n.epsilon), func() *Value {
		d, _ := n.scale.shape[0].Known()
		y := g.node("LayerNormalization", n.x.typ, n.x.shape, []*Value{n.x, g.ones(d)}, Attr{"axis", int64(-1)}, Attr{"epsilon", float32(n.epsilon)})
		y.rule = (*backward).normalized
		return y
	})
}

// scaled is a weight that does what the scale did, centred.
func (g *Graph) scaled(n *norm, w *Value, wT bool) *Value {
	return g.once("scaled "+n.scale.name+" "+w.name, func() *Value {
		axis, scale := 1, n.scale
		if !wT {
			axis, scale = 0, g.Reshape(scale, scale.shape[0], N(1))
		}
		y := g.Mul(w, scale)
		return g.Sub(y, g.ReduceMean(y, true, axis))
	})
}

// shifted is a bias that does what the shift did.
func (g *Graph) shifted(n *norm, w, bias *Value, wT bool) *Value {
	if n.shift == nil {
		return bias
	}
	key := "shifted " + n.shift.name + " " + w.name
	if bias != nil {
		key += " " + bias.name
	}
	return g.once(key, func() *Value {
		y := g.GemmOf(g.Reshape(n.shift, N(1), n.shift.shape[0]), w, bias, GemmOptions{TransB: wT})
		return g.Reshape(y, y.shape[1])
	})
}

// picked is f, which takes rows and leaves their numbers, of a layer normalization: its
// rows are normalized after it, which are fewer; nil where x is none.
func (g *Graph) picked(x *Value, f func(x *Value) *Value) *Value {
	_, of := x.known()
	if of.norm == nil {
		return nil
	}
	return g.LayerNorm(f(g.Reshape(of.norm.x, x.shape...)), of.norm.scale, of.norm.shift, of.norm.epsilon)
}

// normalized is the rule of Graph.normalized: what arrives has no mean, since the
// weights that it comes through are centred. With y for the result and s for one over
// the standard deviation, it is s·(dy - y·mean(y·dy)).
func (b *backward) normalized(n *Node) {
	g, x, y, dy := b.g, b.in(n, 0), b.out(n), b.grad(n)
	if !b.wants(x) {
		return
	}
	d, _ := x.shape[len(x.shape)-1].Known()
	one := append(slices.Clone(x.shape[:len(x.shape)-1]), N(1))
	inverse := b.extra(n, 2, "InvStdDev", x.typ, one)
	share := g.view(g.FusedMatMul(b.rows(g.Mul(dy, y)), g.ones(d, 1), false, false, 1/float32(d)), one...)
	b.add(x, g.Mul(g.Sub(dy, g.Mul(y, share)), inverse))
}

// gated is x·f(s·x), computed from s·x; slope is its derivative by that, of the value,
// f of it and the product of both. It is nil where x comes from no product that could
// take over s.
func (g *Graph) gated(x *Value, s float64, f func(t *Value) *Value, slope func(g *Graph, t, ft, y *Value) *Value) *Value {
	t := g.factored(x, s)
	if t == nil {
		return nil
	}
	ft := f(t)
	base := g.Mul(t, ft)
	base.rule = func(b *backward, n *Node) {
		if b.wants(t) {
			b.add(t, b.g.Mul(b.grad(n), slope(b.g, t, ft, base)))
		}
	}
	y := g.Mul(base, g.number(x.typ, 1/s))
	y.base, y.factor = base, 1/s
	return y
}

// factored is x times s, where x is a view of a product of matrices; else nil.
func (g *Graph) factored(x *Value, s float64) *Value {
	root, _ := x.known()
	for _, n := range slices.Backward(g.m.Nodes) {
		if n.Outputs[0] != root.name {
			continue
		}
		if n.Op != "Gemm" || x.typ != Float {
			return nil
		}
		var in [3]*Value
		for i, name := range n.Inputs {
			in[i] = g.values[name]
		}
		o := GemmOptions{TransA: n.flag("transA"), TransB: n.flag("transB"), Alpha: n.float("alpha", 1) * float32(s), Beta: n.float("beta", 1) * float32(s)}
		return g.Reshape(g.GemmOf(in[0], in[1], in[2], o), x.shape...)
	}
	return nil
}

// trainingGelu: with t = x/√2 it is √2·t·c where c = (1 + erf t)/2, which HardSigmoid
// makes of erf t in one pass. The slope of t·c is c + t·exp(-t²)/√π; division by exp(t²)
// saves a change of sign: where that is infinite the term is 0, as it should be.
func (g *Graph) trainingGelu(x *Value) *Value {
	half := []Attr{{"alpha", float32(0.5)}, {"beta", float32(0.5)}}
	return g.gated(x, math.Sqrt2/2,
		func(t *Value) *Value {
			return g.node("HardSigmoid", t.typ, t.shape, []*Value{g.Erf(t)}, half...)
		},
		func(g *Graph, t, c, _ *Value) *Value {
			bell := g.Mul(g.Div(t, g.Exp(g.Mul(t, t))), g.number(t.typ, 1/math.Sqrt(math.Pi)))
			return g.Add(c, bell)
		})
}

// trainingQuickGelu: the slope of y = t·σ is σ + t·σ·(1-σ) = σ + y - y·σ.
func (g *Graph) trainingQuickGelu(x *Value, alpha float64) *Value {
	return g.gated(x, alpha, g.Sigmoid, func(g *Graph, _, s, y *Value) *Value {
		return g.Add(s, g.Sub(y, g.Mul(y, s)))
	})
}
