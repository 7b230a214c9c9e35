package onnx

import "slices"

// shapeRules are the gradients of what moves numbers and changes none.
var shapeRules = map[string]vjp{
	"Reshape":   (*backward).reshape,
	"Transpose": (*backward).transpose,
	"Expand":    func(b *backward, n *Node) { b.addSummed(b.in(n, 0), b.grad(n)) },
	"Concat":    (*backward).concat,
	"Split":     (*backward).split,
	"Slice":     (*backward).slice,
	"Pad":       (*backward).pad,
}

func (b *backward) reshape(n *Node) {
	x := b.in(n, 0)
	b.add(x, b.g.view(b.grad(n), x.shape...))
}

func (b *backward) transpose(n *Node) {
	x := b.in(n, 0)
	perm, ok := n.Attr("perm").([]int64)
	back := make([]int, len(x.shape))
	for i := range back {
		back[i] = len(back) - 1 - i
	}
	if ok {
		for i, p := range perm {
			back[p] = i
		}
	}
	b.add(x, b.g.Transpose(b.grad(n), back...))
}

func (b *backward) concat(n *Node) {
	dy, from := b.grad(n), int64(0)
	a, _ := n.Attr("axis").(int64)
	axis := b.g.axis(dy, int(a))
	for i := range n.Inputs {
		x := b.in(n, i)
		size := b.dims(x)[axis]
		if b.wants(x) {
			b.add(x, b.g.Slice(dy, axis, from, from+size))
		}
		from += size
	}
}

func (b *backward) split(n *Node) {
	x, from := b.in(n, 0), int64(0)
	a, _ := n.Attr("axis").(int64)
	axis := b.g.axis(x, int(a))
	for _, name := range n.Outputs {
		part := b.g.values[name]
		if dy := b.total(part); dy != nil {
			b.addPart(x, axis, from, dy)
		}
		from += b.dims(part)[axis]
	}
}

func (b *backward) slice(n *Node) {
	x, dy := b.in(n, 0), b.grad(n)
	starts, axes, dims := b.int64s(n, 1), make([]int64, 0, len(x.shape)), b.dims(x)
	for i := range starts {
		axes = append(axes, int64(i))
	}
	if b.in(n, 3) != nil {
		axes = b.int64s(n, 3)
	}
	if b.in(n, 4) != nil && slices.ContainsFunc(b.int64s(n, 4), func(step int64) bool { return step != 1 }) {
		b.g.failf("no gradient is known of a Slice of %v in steps", x)
	}
	sizes, before, after := b.dims(dy), make([]int64, len(dims)), make([]int64, len(dims))
	for i, from := range starts {
		a := b.g.axis(x, int(axes[i]))
		if from < 0 {
			from += dims[a]
		}
		from = min(max(from, 0), dims[a])
		if len(starts) == 1 {
			b.addPart(x, a, from, dy)
			return
		}
		before[a], after[a] = from, dims[a]-from-sizes[a]
	}
	b.add(x, b.g.Pad(dy, before, after, 0))
}

func (b *backward) pad(n *Node) {
	x, dy := b.in(n, 0), b.grad(n)
	b.fixed(n, 2)
	pads, dims := b.int64s(n, 1), b.dims(x)
	if mode, ok := n.Attr("mode").(string); ok && mode != "constant" || b.in(n, 3) != nil || slices.Min(pads) < 0 {
		b.g.failf("no gradient is known of Pad of %v by %v (mode %v)", x, pads, n.Attr("mode"))
	}
	for a, size := range dims {
		if pads[a] != 0 || pads[a+len(dims)] != 0 {
			dy = b.g.Slice(dy, a, pads[a], pads[a]+size)
		}
	}
	b.add(x, dy)
}
