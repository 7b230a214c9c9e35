package onnx

import "slices"

// Conv2D says how a convolution or pooling goes over [B,C,H,W].
type Conv2D struct {
	Stride, Pad int    // of both sides; a stride of 0 is 1
	Groups      int    // 0 is 1
	More        [4]int // padding beyond Pad: top, left, bottom, right
}

// Conv is a convolution: x [B,C,H,W], w [O,C/groups,kh,kw], bias [O] or nil.
func (g *Graph) Conv(x, w, bias *Value, c Conv2D) *Value {
	groups := max(1, c.Groups)
	if len(x.shape) != 4 || len(w.shape) != 4 || bias != nil && (len(bias.shape) != 1 || bias.shape[0] != w.shape[0]) {
		g.failf("convolution of %v with %v and %v", x, w, bias)
	}
	if w.shape[1].Times(N(groups)) != x.shape[1] {
		g.failf("convolution of %v with %v in %d groups", x, w, groups)
	}
	if o, _ := w.shape[0].Known(); o%int64(groups) != 0 {
		g.failf("convolution of %v with %v in %d groups", x, w, groups)
	}
	shape := Shape{x.shape[0], w.shape[0], g.slid(x, 2, w.shape[2], c), g.slid(x, 3, w.shape[3], c)}
	return g.node("Conv", x.typ, shape, []*Value{x, w, bias},
		Attr{"group", int64(groups)}, Attr{"strides", c.strides()}, Attr{"pads", c.pads()})
}

// AveragePool is the mean of each window of k × k; what lies outside does not count.
func (g *Graph) AveragePool(x *Value, k int, c Conv2D) *Value { return g.pool("AveragePool", x, k, c) }

// MaxPool is the largest of each window of k × k.
func (g *Graph) MaxPool(x *Value, k int, c Conv2D) *Value { return g.pool("MaxPool", x, k, c) }

func (g *Graph) pool(op string, x *Value, k int, c Conv2D) *Value {
	if len(x.shape) != 4 || k < 1 {
		g.failf("%s %d of %v", op, k, x)
	}
	shape := Shape{x.shape[0], x.shape[1], g.slid(x, 2, N(k), c), g.slid(x, 3, N(k), c)}
	return g.node(op, x.typ, shape, []*Value{x}, Attr{"kernel_shape", []int64{int64(k), int64(k)}}, Attr{"strides", c.strides()}, Attr{"pads", c.pads()})
}

// GlobalAverage is the mean of each channel: [B,C,H,W] gives [B,C].
func (g *Graph) GlobalAverage(x *Value) *Value { return g.ReduceMean(x, false, 2, 3) }

func (c Conv2D) strides() []int64 { return slices.Repeat([]int64{int64(max(1, c.Stride))}, 2) }

func (c Conv2D) pads() []int64 {
	pads := slices.Repeat([]int64{int64(c.Pad)}, 4)
	for i, n := range c.More {
		pads[i] += int64(n)
	}
	return pads
}

// slid is the size of a dimension after a window of k has gone over it.
func (g *Graph) slid(x *Value, axis int, k Dim, c Conv2D) Dim {
	n, known := x.shape[axis].Known()
	size, ok := k.Known()
	pads := c.pads()
	n += pads[axis-2] + pads[axis] - size
	if !known || !ok || n < 0 {
		g.failf("a window of %v over %v", k, x)
	}
	return N(n/int64(max(1, c.Stride)) + 1)
}
