package onnx

import "math"

// activationRules are the gradients of the activations. All are computed from what
// they were given, or from what they gave, so that one of the two is kept for it.
var activationRules = map[string]vjp{
	"Relu": along(func(g *Graph, x, y, dy *Value) *Value {
		return g.Mul(dy, g.Cast(g.Greater(y, g.number(y.typ, 0)), y.typ))
	}),
	"Sigmoid": along(func(g *Graph, x, y, dy *Value) *Value {
		return g.Mul(dy, g.Sub(y, g.Mul(y, y)))
	}),
	"Tanh": along(func(g *Graph, x, y, dy *Value) *Value {
		return g.Mul(dy, g.Sub(g.number(y.typ, 1), g.Mul(y, y)))
	}),
	"Softplus":  along(func(g *Graph, x, y, dy *Value) *Value { return g.Mul(dy, g.Sigmoid(x)) }),
	"Gelu":      (*backward).gelu,
	"FastGelu":  (*backward).fastGelu,
	"QuickGelu": (*backward).quickGelu,
	"Clip":      (*backward).clip,
}

// clip passes on what is strictly within the bounds, as the result shows it: the
// operand is not kept.
func (b *backward) clip(n *Node) {
	b.fixed(n, 1, 2)
	g, y, dy := b.g, b.out(n), b.grad(n)
	var inside *Value
	if low := b.in(n, 1); low != nil {
		inside = g.Greater(y, low)
	}
	if high := b.in(n, 2); high != nil {
		below := g.Less(y, high)
		if inside != nil {
			below = g.And(inside, below)
		}
		inside = below
	}
	if inside != nil {
		dy = g.Mul(dy, g.Cast(inside, dy.typ))
	}
	b.add(b.in(n, 0), dy)
}

// gelu: with t = x/√2 the slope is (1 + erf t)/2 + t·exp(-t²)/√π. HardSigmoid is the
// first term in one pass, and division by exp(t²) saves a change of sign: where that is
// infinite the term is 0, as it should be.
func (b *backward) gelu(n *Node) {
	if n.Attr("approximate") == "tanh" {
		b.fastGelu(n)
		return
	}
	g, x := b.g, b.in(n, 0)
	t := g.Mul(x, g.number(x.typ, math.Sqrt2/2))
	cdf := g.node("HardSigmoid", x.typ, x.shape, []*Value{g.Erf(t)}, Attr{"alpha", float32(0.5)}, Attr{"beta", float32(0.5)})
	bell := g.Div(g.Mul(t, g.number(x.typ, 1/math.Sqrt(math.Pi))), g.Exp(g.Mul(t, t)))
	b.add(x, g.Mul(b.grad(n), g.Add(cdf, bell)))
}

// fastGelu: y = x·σ(v) with v = x·(c + d·x²), so that the slope is σ + σ(1-σ)·x·v'
// and x·v' = 3v - 2c·x.
func (b *backward) fastGelu(n *Node) {
	b.fixed(n, 1)
	if b.in(n, 1) != nil {
		b.g.failf("no gradient is known of FastGelu with a bias")
	}
	g, x := b.g, b.in(n, 0)
	c := 2 * math.Sqrt(2/math.Pi)
	v := g.Mul(x, g.Add(g.Mul(g.Mul(x, x), g.number(x.typ, c*0.044715)), g.number(x.typ, c)))
	s := g.Sigmoid(v)
	steep := g.Sub(g.Mul(v, g.number(x.typ, 3)), g.Mul(x, g.number(x.typ, 2*c)))
	slope := g.Add(s, g.Mul(g.Sub(s, g.Mul(s, s)), steep))
	b.add(x, g.Mul(b.grad(n), slope))
}

// quickGelu: y = x·σ(a) with a = αx, so that the slope is σ(a)·(1 + a·σ(-a)), and the
// product in it is another QuickGelu.
func (b *backward) quickGelu(n *Node) {
	g, x := b.g, b.in(n, 0)
	alpha, _ := n.Attr("alpha").(float32)
	if n.Attr("alpha") == nil {
		alpha = 1.702 // as the operator has it
	}
	a := g.Mul(x, g.number(x.typ, float64(alpha)))
	rest := g.domainNode(microsoft, "QuickGelu", x.typ, x.shape, []*Value{a}, Attr{"alpha", float32(-1)})
	slope := g.Mul(g.Sigmoid(a), g.Add(rest, g.number(x.typ, 1)))
	b.add(x, g.Mul(b.grad(n), slope))
}
