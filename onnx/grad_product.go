package onnx

import (
	"math"
	"slices"
)

// productRules are the gradients of products of matrices, and of the rotation.
var productRules = map[string]vjp{
	"Gemm":            (*backward).gemm,
	"MatMul":          (*backward).matMul,
	"FusedMatMul":     (*backward).matMul,
	"RotaryEmbedding": (*backward).rotation,
}

// factors are the two products that a gradient of alpha·op(A)·op(B) consists of.
type factors struct {
	p, q   *Value
	tp, tq bool
}

// byA and byB return the gradients by A and B of op(A)·op(B) as products.
func byA(bb, dy *Value, ta, tb bool) factors {
	if ta {
		return factors{bb, dy, tb, true}
	}
	return factors{dy, bb, false, !tb}
}

func byB(a, dy *Value, ta, tb bool) factors {
	if tb {
		return factors{dy, a, true, ta}
	}
	return factors{a, dy, !ta, false}
}

func (n *Node) flag(name string) bool { v, _ := n.Attr(name).(int64); return v != 0 }

func (n *Node) float(name string, unset float32) float32 {
	if v, ok := n.Attr(name).(float32); ok {
		return v
	}
	return unset
}

func (b *backward) gemm(n *Node) {
	p, q, c, dy := b.in(n, 0), b.in(n, 1), b.in(n, 2), b.grad(n)
	ta, tb, alpha := n.flag("transA"), n.flag("transB"), n.float("alpha", 1)
	if b.wants(p) {
		f := byA(q, dy, ta, tb)
		b.addProduct(p, f.p, f.q, f.tp, f.tq, alpha)
	}
	if b.wants(q) {
		f := byB(p, dy, ta, tb)
		b.addProduct(q, f.p, f.q, f.tp, f.tq, alpha)
	}
	if b.wants(c) {
		b.addShare(c, dy, n.float("beta", 1))
	}
}

// matMul is the rule of MatMul and FusedMatMul.
func (b *backward) matMul(n *Node) {
	if n.flag("transBatchA") || n.flag("transBatchB") {
		b.g.failf("no gradient is known of FusedMatMul with transposed batches")
	}
	p, q, dy := b.in(n, 0), b.in(n, 1), b.grad(n)
	ta, tb, alpha := n.flag("transA"), n.flag("transB"), n.float("alpha", 1)
	if len(q.shape) == 2 && !ta { // a linear layer: its rows are those of one matrix
		b.linear(p, q, dy, tb, alpha)
		return
	}
	if b.wants(p) {
		f := byA(q, dy, ta, tb)
		b.addSummed(p, b.g.FusedMatMul(f.p, f.q, f.tp, f.tq, alpha))
	}
	if b.wants(q) {
		f := byB(p, dy, ta, tb)
		b.addSummed(q, b.g.FusedMatMul(f.p, f.q, f.tp, f.tq, alpha))
	}
}

func (b *backward) linear(p, q, dy *Value, tb bool, alpha float32) {
	rows := b.rows(dy)
	if b.wants(p) {
		if f := byA(q, rows, false, tb); len(p.shape) == 2 {
			b.addProduct(p, f.p, f.q, f.tp, f.tq, alpha)
		} else {
			y := b.g.GemmOf(f.p, f.q, nil, GemmOptions{TransA: f.tp, TransB: f.tq, Alpha: alpha})
			b.add(p, b.g.view(y, p.shape...))
		}
	}
	if b.wants(q) {
		f := byB(b.rows(p), rows, false, tb)
		b.addProduct(q, f.p, f.q, f.tp, f.tq, alpha)
	}
}

// rotation turns the gradient back.
func (b *backward) rotation(n *Node) {
	b.fixed(n, 2, 3)
	x, dy := b.in(n, 0), b.grad(n)
	at, cos, sin := b.in(n, 1), b.in(n, 2), b.in(n, 3)
	b.add(x, b.g.domainNode(microsoft, n.Op, x.typ, x.shape, []*Value{dy, at, cos, b.g.Neg(sin)}, slices.Clone(n.Attrs)...))
}

// attend is [Graph.Attention] in steps that have gradients.
func (g *Graph) attend(q, k, v, bias *Value, heads int, causal bool) *Value {
	d, _ := q.shape[2].Known()
	scale := float32(1 / math.Sqrt(float64(d)/float64(heads)))
	scores := g.FusedMatMul(g.heads(q, heads), g.heads(k, heads), false, true, scale)
	if causal {
		scores = g.Add(scores, g.past(q.shape[1], k.shape[1]))
	}
	if bias != nil {
		scores = g.Add(scores, bias)
	}
	y := g.MatMul(g.Softmax(scores, -1), g.heads(v, heads)) // [B,heads,L,D/heads]
	if heads > 1 && q.shape[1] != N(1) {
		y = g.Transpose(y, 0, 2, 1, 3)
	}
	return g.Reshape(y, q.shape...)
}

// heads views x [B,L,D] as [B,heads,L,D/heads].
func (g *Graph) heads(x *Value, heads int) *Value {
	d, _ := x.shape[2].Known()
	width := N(d / int64(heads))
	if heads == 1 || x.shape[1] == N(1) {
		return g.Reshape(x, x.shape[0], N(heads), x.shape[1], width)
	}
	return g.Transpose(g.Reshape(x, x.shape[0], x.shape[1], N(heads), width), 0, 2, 1, 3)
}

// unseen is added to the scores of what must not be seen. It is finite: the gradient
// of a sum with an infinite number would be none.
const unseen = -1e9

// past is what is added to the scores [L,S] of causal attention.
func (g *Graph) past(l, s Dim) *Value {
	return g.once("past"+l.String()+","+s.String(), func() *Value {
		dims := g.dims(&Value{name: "the scores", shape: Shape{l, s}})
		mask := make([]float32, dims[0]*dims[1])
		for i := range dims[0] {
			for j := i + 1; j < dims[1]; j++ {
				mask[i*dims[1]+j] = unseen
			}
		}
		return g.Const(Floats("", mask, dims...))
	})
}
