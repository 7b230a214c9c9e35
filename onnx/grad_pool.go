package onnx

// averagePool repeats each number over its window: by a repetition where windows lie
// side by side, and by a convolution with ones else.
func (b *backward) averagePool(n *Node) {
	g, x, dy := b.g, b.in(n, 0), b.grad(n)
	w := b.window(n, x, b.out(n))
	if !w.patches() {
		planes := x.shape[0].Times(x.shape[1])
		dy = g.Mul(dy, b.shares(w, n.flag("count_include_pad")))
		dy = g.view(dy, planes, N(1), N(w.out[0]), N(w.out[1]))
		dx := b.spread(dy, g.ones(1, 1, w.size[0], w.size[1]), Shape{planes, N(1), N(w.in[0]), N(w.in[1])}, w)
		b.add(x, g.view(dx, x.shape...))
		return
	}
	dy = g.Mul(dy, g.number(dy.typ, 1/float64(w.size[0]*w.size[1])))
	dy = g.view(dy, x.shape[0], x.shape[1], N(w.out[0]), N(1), N(w.out[1]), N(1))
	dy = g.ExpandTo(dy, x.shape[0], x.shape[1], N(w.out[0]), N(w.size[0]), N(w.out[1]), N(w.size[1]))
	covered := [2]int64{w.out[0] * w.size[0], w.out[1] * w.size[1]}
	dy = g.view(dy, x.shape[0], x.shape[1], N(covered[0]), N(covered[1]))
	if covered != w.in {
		dy = g.Pad(dy, make([]int64, 4), []int64{0, 0, w.in[0] - covered[0], w.in[1] - covered[1]}, 0)
	}
	b.add(x, dy)
}

// shares is one over how many numbers each window averages, [1,1,H',W'].
func (b *backward) shares(w window, padding bool) *Value {
	within := func(axis int, at int64) (count float32) {
		first := at*w.stride[axis] - w.pads[axis]
		for i := range w.size[axis] {
			if p := first + i*w.dilation[axis]; padding || p >= 0 && p < w.in[axis] {
				count++
			}
		}
		return count
	}
	var shares []float32
	for i := range w.out[0] {
		for j := range w.out[1] {
			shares = append(shares, 1/(within(0, i)*within(1, j)))
		}
	}
	return b.g.Const(Floats("", shares, 1, 1, w.out[0], w.out[1]))
}

// maxPool gives each number to the place in x that it was found at, as the node tells.
func (b *backward) maxPool(n *Node) {
	g, x, dy := b.g, b.in(n, 0), b.grad(n)
	b.window(n, x, b.out(n))
	at := b.extra(n, 1, "Indices", Int64, b.out(n).shape)
	flat := &Value{g: g, typ: x.typ, shape: Shape{x.shape.Size()}}
	b.addRows(flat, g.Reshape(at, dy.shape.Size()), g.view(dy, dy.shape.Size()))
	b.add(x, g.view(b.total(flat), x.shape...))
	delete(b.sums, flat)
}
