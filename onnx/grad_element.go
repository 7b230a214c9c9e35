package onnx

import "math"

// elementRules are the gradients of arithmetic, element by element.
var elementRules = map[string]vjp{
	"Add":      (*backward).addition,
	"Sub":      (*backward).addition,
	"Mul":      (*backward).product,
	"Div":      (*backward).quotient,
	"Max":      (*backward).extreme,
	"Min":      (*backward).extreme,
	"Where":    (*backward).choice,
	"Pow":      (*backward).power,
	"Neg":      along(func(g *Graph, x, y, dy *Value) *Value { return g.Neg(dy) }),
	"Abs":      along(func(g *Graph, x, y, dy *Value) *Value { return g.Mul(dy, g.Sign(x)) }),
	"Exp":      along(func(g *Graph, x, y, dy *Value) *Value { return g.Mul(dy, y) }),
	"Log":      along(func(g *Graph, x, y, dy *Value) *Value { return g.Div(dy, x) }),
	"Identity": along(func(g *Graph, x, y, dy *Value) *Value { return dy }),
	"Cast":     along(func(g *Graph, x, y, dy *Value) *Value { return g.Cast(dy, x.typ) }),
	"Sqrt": along(func(g *Graph, x, y, dy *Value) *Value {
		return g.Div(g.Mul(dy, g.number(x.typ, 0.5)), y)
	}),
	"Erf": along(func(g *Graph, x, y, dy *Value) *Value {
		slope := g.Mul(g.Exp(g.Neg(g.Mul(x, x))), g.number(x.typ, 2/math.Sqrt(math.Pi)))
		return g.Mul(dy, slope)
	}),
}

// along makes a rule of the gradient of a function of one value x, which is y.
func along(f func(g *Graph, x, y, dy *Value) *Value) vjp {
	return func(b *backward, n *Node) {
		x := b.in(n, 0)
		b.add(x, f(b.g, x, b.out(n), b.grad(n)))
	}
}

func (b *backward) addition(n *Node) {
	p, q, dy := b.in(n, 0), b.in(n, 1), b.grad(n)
	if b.wants(p) {
		b.addSummed(p, dy)
	}
	if b.wants(q) {
		if n.Op == "Sub" {
			dy = b.g.Neg(dy)
		}
		b.addSummed(q, dy)
	}
}

func (b *backward) product(n *Node) {
	p, q, dy := b.in(n, 0), b.in(n, 1), b.grad(n)
	if p == q { // a square
		half := b.g.Mul(dy, p)
		b.add(p, b.g.Add(half, half))
		return
	}
	if b.wants(p) {
		b.addSummed(p, b.g.Mul(dy, q))
	}
	if b.wants(q) {
		b.addSummed(q, b.g.Mul(dy, p))
	}
}

func (b *backward) quotient(n *Node) {
	p, q, y := b.in(n, 0), b.in(n, 1), b.out(n)
	dp := b.g.Div(b.grad(n), q)
	if b.wants(p) {
		b.addSummed(p, dp)
	}
	if b.wants(q) {
		b.addSummed(q, b.g.Neg(b.g.Mul(dp, y)))
	}
}

// extreme is the rule of Max and Min of two values.
func (b *backward) extreme(n *Node) {
	if len(n.Inputs) != 2 {
		b.g.failf("no gradient is known of %s of %d values", n.Op, len(n.Inputs))
	}
	p, q := b.in(n, 0), b.in(n, 1)
	other := b.g.Greater(q, p) // where q is taken; p is where they are equal
	if n.Op == "Min" {
		other = b.g.Less(q, p)
	}
	b.choose(other, q, p, b.grad(n))
}

func (b *backward) choice(n *Node) {
	b.choose(b.in(n, 0), b.in(n, 1), b.in(n, 2), b.grad(n))
}

// choose gives dy to p where cond is true and to q elsewhere. It multiplies: ONNX
// Runtime's Where takes ten times as long.
func (b *backward) choose(cond, p, q, dy *Value) {
	mask := b.g.Cast(cond, dy.typ)
	if b.wants(p) {
		b.addSummed(p, b.g.Mul(dy, mask))
	}
	if b.wants(q) {
		b.addSummed(q, b.g.Mul(dy, b.g.Sub(b.g.number(dy.typ, 1), mask)))
	}
}

func (b *backward) power(n *Node) {
	b.fixed(n, 1)
	x, p, dy := b.in(n, 0), b.in(n, 1), b.grad(n)
	t := b.constant(n, 1)
	values, err := t.Float32s()
	if err != nil || len(values) != 1 || len(t.Dims) > len(x.shape) {
		b.g.failf("no gradient is known of %v to the power %v: the power must be one constant float32", x, p)
	}
	d := b.g.Mul(dy, b.g.number(x.typ, float64(values[0])))
	if values[0] == 2 {
		b.add(x, b.g.Mul(d, x))
		return
	}
	b.add(x, b.g.Mul(d, b.g.Pow(x, float64(values[0])-1)))
}
