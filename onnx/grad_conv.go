package onnx

import (
	"math"
	"slices"
)

// convRules are the gradients of convolutions and pooling.
var convRules = map[string]vjp{
	"Conv":        (*backward).conv,
	"AveragePool": (*backward).averagePool,
	"MaxPool":     (*backward).maxPool,
}

// window is how a convolution or pooling goes over [B,C,H,W]: numbers of rows, then
// columns.
type window struct {
	size, stride, dilation [2]int64
	pads                   [4]int64 // top, left, bottom, right
	groups                 int64
	in, out                [2]int64 // what it goes over, and how many steps it takes
}

func (b *backward) window(n *Node, x, y *Value) window {
	w := window{stride: [2]int64{1, 1}, dilation: [2]int64{1, 1}, groups: 1}
	if auto, ok := n.Attr("auto_pad").(string); len(x.shape) != 4 || ok && auto != "NOTSET" || n.flag("ceil_mode") || n.flag("storage_order") {
		b.g.failf("no gradient is known of %s of %v with the attributes %v", n.Op, x, n.Attrs)
	}
	for name, to := range map[string][]int64{"kernel_shape": w.size[:], "strides": w.stride[:], "dilations": w.dilation[:], "pads": w.pads[:]} {
		list, _ := n.Attr(name).([]int64)
		copy(to, list)
	}
	if groups, ok := n.Attr("group").(int64); ok {
		w.groups = groups
	}
	copy(w.in[:], b.dims(x)[2:])
	copy(w.out[:], b.dims(y)[2:])
	return w
}

// patches says whether the windows lie side by side with nothing around them.
func (w window) patches() bool {
	return w.size == w.stride && w.pads == [4]int64{} && w.dilation == [2]int64{1, 1}
}

func (b *backward) conv(n *Node) {
	x, k, bias, dy := b.in(n, 0), b.in(n, 1), b.in(n, 2), b.grad(n)
	w := b.window(n, x, b.out(n))
	copy(w.size[:], b.dims(k)[2:])
	if b.wants(bias) {
		pixels := N(w.out[0] * w.out[1])
		b.addSummed(bias, b.g.ReduceSum(b.g.view(dy, dy.shape[0], dy.shape[1], pixels), false, 2))
	}
	if b.wants(k) {
		b.kernel(x, k, dy, w)
	}
	if b.wants(x) {
		b.add(x, b.spread(dy, k, x.shape, w))
	}
}

// spread gives every number of dy to the window of x that it came from, times the
// kernel k. ConvTranspose does it, but a convolution with the kernel turned round is
// twice as fast, where there is one.
func (b *backward) spread(dy, k *Value, shape Shape, w window) *Value {
	var pads, missing []int64
	for i, p := range w.pads {
		pads = append(pads, w.dilation[i%2]*(w.size[i%2]-1)-p)
	}
	for i, n := range w.in {
		missing = append(missing, n-(w.out[i]-1)*w.stride[i]-w.dilation[i]*(w.size[i]-1)-1+w.pads[i]+w.pads[2+i])
	}
	attrs := []Attr{{"group", w.groups}, {"dilations", w.dilation[:]}}
	if w.stride == [2]int64{1, 1} && slices.Min(pads) >= 0 {
		attrs = append(attrs, Attr{"strides", w.stride[:]}, Attr{"pads", pads})
		return b.g.node("Conv", dy.typ, shape, []*Value{dy, b.turned(k, w)}, attrs...)
	}
	attrs = append(attrs, Attr{"strides", w.stride[:]}, Attr{"pads", w.pads[:]}, Attr{"output_padding", missing})
	return b.g.node("ConvTranspose", dy.typ, shape, []*Value{dy, k}, attrs...)
}

// turned is the kernel k [O,C/groups,h,w] as [C,O/groups,h,w], upside down and left to
// right.
func (b *backward) turned(k *Value, w window) *Value {
	g, s := b.g, b.dims(k)
	o, c := s[0]/w.groups, s[1]
	if w.groups == 1 {
		k = g.Transpose(k, 1, 0, 2, 3)
	} else if o > 1 && c > 1 {
		k = g.Transpose(g.Reshape(k, Of(w.groups, o, c, s[2], s[3])...), 0, 2, 1, 3, 4)
	}
	k = g.Reshape(k, Of(w.groups*c, o, s[2], s[3])...)
	if s[2] == 1 && s[3] == 1 {
		return k
	}
	return g.steps(k, [2]int64{-1, -1}, [2]int64{math.MinInt32, math.MinInt32}, [2]int64{-1, -1}, k.shape)
}

// steps slices the last two of four dimensions.
func (g *Graph) steps(x *Value, from, to, step [2]int64, shape Shape) *Value {
	return g.node("Slice", x.typ, shape, []*Value{x, g.Int64s(from[:]...), g.Int64s(to[:]...), g.Int64s(2, 3), g.Int64s(step[:]...)})
}

// kernel adds the gradient of a convolution by its kernel k.
func (b *backward) kernel(x, k, dy *Value, w window) {
	s := b.dims(k)
	switch {
	case w.groups > 1 && s[1] == 1:
		b.g.failf("the gradient by %v, the kernel of a depthwise convolution, has no cheap form: freeze it", k)
	case w.groups == 1 && w.patches() && w.size != [2]int64{1, 1}:
		b.patchKernel(x, k, dy, w)
	default:
		b.tapKernel(x, k, dy, w)
	}
}

// patchKernel takes the patches for the rows of a matrix.
func (b *backward) patchKernel(x, k, dy *Value, w window) {
	g, s := b.g, b.dims(k)
	rows := x.shape[0].Times(N(w.out[0] * w.out[1]))
	x = g.Slice(g.Slice(x, 2, 0, w.out[0]*w.size[0]), 3, 0, w.out[1]*w.size[1])
	x = g.Reshape(x, x.shape[0], x.shape[1], N(w.out[0]), N(w.size[0]), N(w.out[1]), N(w.size[1]))
	x = g.Reshape(g.Transpose(x, 0, 2, 4, 1, 3, 5), rows, N(s[1]*s[2]*s[3]))
	dy = g.view(g.Transpose(dy, 0, 2, 3, 1), rows, N(s[0]))
	b.add(k, g.view(g.GemmOf(dy, x, nil, GemmOptions{TransA: true}), k.shape...))
}

// tapKernel multiplies dy with what each number of the kernel met. Few channels are
// put together first, for a product of some size.
func (b *backward) tapKernel(x, k, dy *Value, w window) {
	g, s := b.g, b.dims(k)
	batch, groups, pixels := x.shape[0], N(w.groups), N(w.out[0]*w.out[1])
	dy = g.view(dy, batch, groups, N(s[0]/w.groups), pixels)
	meet := func(t *Value) *Value { // the sum over pixels and batch: [groups,O/groups,C/groups]
		return g.ReduceSum(g.FusedMatMul(dy, t, false, true, 1), false, 0)
	}
	taps := b.taps(x, w)
	var parts []*Value
	for _, t := range taps {
		t = g.Reshape(t, batch, groups, N(s[1]), pixels)
		if s[1] < 16 && len(taps) > 1 {
			parts = append(parts, t)
		} else {
			parts = append(parts, g.Reshape(meet(t), N(s[0]), N(s[1]), N(1)))
		}
	}
	var d *Value // [O,C/groups,h·w]
	if s[1] < 16 && len(taps) > 1 {
		d = meet(g.Concat(2, parts...)) // [groups,O/groups,h·w·C/groups]
		d = g.Transpose(g.view(d, Of(s[0], int64(len(taps)), s[1])...), 0, 2, 1)
	} else if d = parts[0]; len(parts) > 1 {
		d = g.Concat(2, parts...)
	}
	b.add(k, g.view(d, k.shape...))
}

// taps returns what each number of the kernel is multiplied with, [B,C,H',W'] in the
// order of the kernel's rows.
func (b *backward) taps(x *Value, w window) []*Value {
	if slices.Max(w.pads[:]) > 0 {
		x = b.g.Pad(x, []int64{0, 0, w.pads[0], w.pads[1]}, []int64{0, 0, w.pads[2], w.pads[3]}, 0)
	}
	shape := Shape{x.shape[0], x.shape[1], N(w.out[0]), N(w.out[1])}
	var taps []*Value
	for i := range w.size[0] {
		for j := range w.size[1] {
			from := [2]int64{i * w.dilation[0], j * w.dilation[1]}
			to := [2]int64{from[0] + (w.out[0]-1)*w.stride[0] + 1, from[1] + (w.out[1]-1)*w.stride[1] + 1}
			if slices.Equal(shape, x.shape) {
				return []*Value{x} // a kernel of one, at every place
			}
			taps = append(taps, b.g.steps(x, from, to, w.stride, shape))
		}
	}
	return taps
}
