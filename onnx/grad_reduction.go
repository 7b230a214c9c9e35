package onnx

import "slices"

// reductionRules are the gradients of what goes over a dimension: sums, norms, softmax.
var reductionRules = map[string]vjp{
	"ReduceSum":          (*backward).reduction,
	"ReduceMean":         (*backward).reduction,
	"ReduceMax":          (*backward).reduction,
	"ReduceLogSumExp":    (*backward).reduction,
	"Softmax":            (*backward).softmax,
	"LogSoftmax":         (*backward).softmax,
	"LayerNormalization": (*backward).layerNorm,
}

// axes returns the dimensions that a reduction goes over.
func (b *backward) axes(n *Node) []int64 {
	list, ok := n.Attr("axes").([]int64) // before opset 18, or 13
	if !ok && b.in(n, 1) != nil {
		list = b.int64s(n, 1)
	}
	rank := int64(len(b.in(n, 0).shape))
	list = slices.Clone(list)
	for i, a := range list {
		if a < 0 {
			list[i] += rank
		}
	}
	if len(list) == 0 && !n.flag("noop_with_empty_axes") {
		for a := range rank {
			list = append(list, a)
		}
	}
	return list
}

func (b *backward) reduction(n *Node) {
	g, x := b.g, b.in(n, 0)
	kept, count := slices.Clone(x.shape), N(1)
	for _, a := range b.axes(n) {
		count, kept[a] = count.Times(kept[a]), N(1)
	}
	y, dy := g.view(b.out(n), kept...), g.view(b.grad(n), kept...)
	switch n.Op {
	case "ReduceSum":
		b.add(x, g.ExpandTo(dy, x.shape...))
	case "ReduceMean":
		size, _ := count.Known()
		b.add(x, g.ExpandTo(g.Mul(dy, g.number(dy.typ, 1/float64(size))), x.shape...))
	case "ReduceMax":
		largest := g.Cast(g.Equal(x, y), x.typ)
		var over []int
		for _, a := range b.axes(n) {
			over = append(over, int(a))
		}
		b.add(x, g.Mul(largest, g.Div(dy, g.ReduceSum(largest, true, over...))))
	case "ReduceLogSumExp":
		b.add(x, g.Mul(g.Exp(g.Sub(x, y)), dy))
	}
}

// softmax is the rule of Softmax and LogSoftmax, from what they gave.
func (b *backward) softmax(n *Node) {
	g, x, y, dy := b.g, b.in(n, 0), b.out(n), b.grad(n)
	axis := -1
	if a, ok := n.Attr("axis").(int64); ok {
		axis = int(a)
	}
	if n.Op == "LogSoftmax" {
		b.add(x, g.Sub(dy, g.Mul(g.Exp(y), g.ReduceSum(dy, true, axis))))
		return
	}
	b.add(x, g.Mul(y, g.Sub(dy, g.ReduceSum(g.Mul(dy, y), true, axis))))
}

// layerNorm asks the node for the mean and inverse deviation that it has computed.
// The means over a row are products with a column, faster than ReduceMean.
func (b *backward) layerNorm(n *Node) {
	g, x, scale, dy := b.g, b.in(n, 0), b.in(n, 1), b.grad(n)
	if a, ok := n.Attr("axis").(int64); ok && a != -1 && int(a) != len(x.shape)-1 {
		g.failf("no gradient is known of LayerNormalization over the dimensions of %v from %d on", x, a)
	}
	d := x.shape[len(x.shape)-1]
	one := append(slices.Clone(x.shape[:len(x.shape)-1]), N(1))
	mean := b.extra(n, 1, "Mean", x.typ, one)
	inverse := b.extra(n, 2, "InvStdDev", x.typ, one)
	if bias := b.in(n, 2); b.wants(bias) {
		b.addSummed(bias, dy)
	}
	if !b.wants(x) && !b.wants(scale) {
		return
	}
	unit := g.Mul(g.Sub(x, mean), inverse)
	t := g.Mul(dy, unit)
	if b.wants(scale) {
		b.addSummed(scale, t)
	}
	if !b.wants(x) {
		return
	}
	size, _ := d.Known()
	column := g.Reshape(scale, d, N(1))
	average := func(v *Value) *Value {
		return g.view(g.FusedMatMul(b.rows(v), column, false, false, 1/float32(size)), one...)
	}
	dx := g.Sub(g.Sub(g.Mul(dy, scale), average(dy)), g.Mul(unit, average(t)))
	b.add(x, g.Mul(dx, inverse))
}
