package onnx

import (
	"fmt"
	"slices"
)

// ShapeOf returns the shape of x when the graph runs: int64 [rank].
func (g *Graph) ShapeOf(x *Value) *Value {
	if x.size == nil {
		x.size = g.node("Shape", Int64, Shape{N(len(x.shape))}, []*Value{x})
	}
	return x.size
}

// Reshape gives x another shape of as many elements. At most one of its
// dimensions may be one that is not known and does not stand at the same place in
// x's shape; [Graph.ReshapeTo] has no such limit.
func (g *Graph) Reshape(x *Value, dims ...Dim) *Value {
	shape := Shape(dims)
	if shape.Size() != x.shape.Size() {
		g.failf("reshape %v to %v", x, shape)
	}
	if slices.Equal(shape, x.shape) {
		return x
	}
	target, free := make([]int64, len(dims)), 0
	for i, d := range dims {
		n, known := d.Known()
		switch {
		case known:
			target[i] = n
		case i < len(x.shape) && x.shape[i] == d:
			target[i] = 0 // as it is
		default:
			target[i] = -1
			free++
		}
	}
	if free > 1 {
		g.failf("reshape %v to %v: two dimensions are not known", x, shape)
	}
	y := g.node("Reshape", x.typ, shape, []*Value{x, g.Int64s(target...)})
	y.source = x
	return y
}

// ReshapeTo gives x the shape dims, where each that is not known is a dimension of
// like, or missing from it at most once.
func (g *Graph) ReshapeTo(x, like *Value, dims ...Dim) *Value {
	shape := Shape(dims)
	if shape.Size() != x.shape.Size() {
		g.failf("reshape %v to %v", x, shape)
	}
	target := g.once(fmt.Sprint("target", like.name, shape), func() *Value {
		var parts []*Value
		for _, d := range dims {
			if n, known := d.Known(); known {
				parts = append(parts, g.Int64s(n))
			} else if i := slices.Index(like.shape, d); i >= 0 {
				parts = append(parts, g.DimOf(like, i))
			} else {
				parts = append(parts, g.Int64s(-1))
			}
		}
		return g.Concat(0, parts...)
	})
	return g.node("Reshape", x.typ, shape, []*Value{x, target})
}

// DimOf returns one dimension of x when the graph runs: int64 [1].
func (g *Graph) DimOf(x *Value, axis int) *Value {
	return g.once(fmt.Sprint("dim", x.name, axis), func() *Value { return g.Slice(g.ShapeOf(x), 0, int64(axis), int64(axis)+1) })
}

// Transpose reorders the dimensions: dimension i of the result is order[i] of x.
func (g *Graph) Transpose(x *Value, order ...int) *Value {
	shape, perm := make(Shape, len(order)), make([]int64, len(order))
	if len(order) != len(x.shape) {
		g.failf("transpose %v by %v", x, order)
	}
	for i, o := range order {
		shape[i], perm[i] = x.shape[g.axis(x, o)], int64(o)
	}
	return g.node("Transpose", x.typ, shape, []*Value{x}, Attr{"perm", perm})
}

// Concat joins values along a dimension.
func (g *Graph) Concat(axis int, values ...*Value) *Value {
	if len(values) == 0 {
		g.failf("nothing to join")
	}
	first := values[0]
	a := g.axis(first, axis)
	shape, sum := slices.Clone(first.shape), int64(0)
	for _, v := range values {
		if len(v.shape) != len(shape) || v.typ != first.typ {
			g.failf("join %v and %v", first, v)
		}
		n, known := v.shape[a].Known()
		if !known {
			g.failf("join %v along a dimension that is not known", v)
		}
		sum += n
		for i := range shape {
			if i != a && v.shape[i] != shape[i] {
				g.failf("join %v and %v", first, v)
			}
		}
	}
	shape[a] = N(sum)
	return g.node("Concat", first.typ, shape, values, Attr{"axis", int64(a)})
}

// Slice returns [from,to) of a dimension, counted from the end where negative.
func (g *Graph) Slice(x *Value, axis int, from, to int64) *Value {
	a := g.axis(x, axis)
	n, known := x.shape[a].Known()
	if known {
		if from < 0 {
			from += n
		}
		if to < 0 {
			to += n
		}
		to = min(to, n)
	}
	if from < 0 || to <= from {
		g.failf("slice [%d:%d] of dimension %d of %v", from, to, axis, x)
	}
	shape := slices.Clone(x.shape)
	shape[a] = N(to - from)
	return g.node("Slice", x.typ, shape, []*Value{x, g.Int64s(from), g.Int64s(to), g.Int64s(int64(a))})
}

// Split cuts x into parts of the given sizes along a dimension.
func (g *Graph) Split(x *Value, axis int, sizes ...int64) []*Value {
	a := g.axis(x, axis)
	n, left := &Node{Op: "Split", Attrs: []Attr{{"axis", int64(a)}}}, int64(0)
	parts := make([]*Value, len(sizes))
	for i, size := range sizes {
		shape := slices.Clone(x.shape)
		shape[a] = N(size)
		n.Outputs = append(n.Outputs, g.fresh("Split"))
		parts[i], left = g.value(n.Outputs[i], x.typ, shape), left+size
	}
	if x.shape[a] != N(left) {
		g.failf("split dimension %d of %v into %v", axis, x, sizes)
	}
	n.Inputs = names([]*Value{x, g.Int64s(sizes...)})
	n.Name = n.Outputs[0]
	g.m.Nodes = append(g.m.Nodes, n)
	return parts
}

// Head returns the first n rows along a dimension, n an int64 [1] that is dim when
// the graph runs.
func (g *Graph) Head(x *Value, axis int, n *Value, dim Dim) *Value {
	a := g.axis(x, axis)
	shape := slices.Clone(x.shape)
	shape[a] = dim
	return g.node("Slice", x.typ, shape, []*Value{x, g.Int64s(0), n, g.Int64s(int64(a))})
}

// Last returns the last row along a dimension that need not be known, and drops it.
func (g *Graph) Last(x *Value, axis int) *Value {
	return g.Index(x, axis, -1)
}

// Index returns row i along a dimension, from the end where negative, and drops it.
func (g *Graph) Index(x *Value, axis int, i int64) *Value {
	a := g.axis(x, axis)
	if a < len(x.shape)-1 {
		if y := g.picked(x, func(x *Value) *Value { return g.Index(x, axis, i) }); y != nil {
			return y
		}
	}
	shape := slices.Delete(slices.Clone(x.shape), a, a+1)
	if n, known := x.shape[a].Known(); known && (i >= n || -i > n) {
		g.failf("row %d of dimension %d of %v", i, axis, x)
	}
	return g.node("Gather", x.typ, shape, []*Value{x, g.Const(Ints("", []int64{i}))}, Attr{"axis", int64(a)})
}

// PadFront puts n rows of zeros before dimension axis.
func (g *Graph) PadFront(x *Value, axis int, n int64) *Value {
	a := g.axis(x, axis)
	size, known := x.shape[a].Known()
	if !known {
		g.failf("pad %v along a dimension that is not known", x)
	}
	pads := make([]int64, 2*len(x.shape))
	pads[a] = n
	shape := slices.Clone(x.shape)
	shape[a] = N(size + n)
	return g.node("Pad", x.typ, shape, []*Value{x, g.Int64s(pads...), g.Scalar(0)})
}

// Rows looks up rows of table [V,D]: ids of any shape give [...,D].
func (g *Graph) Rows(table, ids *Value) *Value {
	if len(table.shape) != 2 {
		g.failf("rows of %v", table)
	}
	return g.node("Gather", table.typ, append(slices.Clone(ids.shape), table.shape[1]), []*Value{table, ids})
}

// Pick takes one row of each sequence: x [B,L,D], at int64 [B]: [B,D].
func (g *Graph) Pick(x, at *Value) *Value {
	if y := g.picked(x, func(x *Value) *Value { return g.Pick(x, at) }); y != nil {
		return y
	}
	if len(x.shape) != 3 || len(at.shape) != 1 || at.shape[0] != x.shape[0] {
		g.failf("pick rows %v of %v", at, x)
	}
	return g.node("GatherND", x.typ, Shape{x.shape[0], x.shape[2]}, []*Value{x, g.Unsqueeze(at, 1)}, Attr{"batch_dims", int64(1)})
}

// Unsqueeze puts a dimension of 1 at axis.
func (g *Graph) Unsqueeze(x *Value, axis int) *Value {
	shape := slices.Insert(slices.Clone(x.shape), axis, N(1))
	if g.training {
		return g.Reshape(x, shape...)
	}
	return g.node("Unsqueeze", x.typ, shape, []*Value{x, g.Int64s(int64(axis))})
}

// Squeeze drops dimension axis, which is 1.
func (g *Graph) Squeeze(x *Value, axis int) *Value {
	a := g.axis(x, axis)
	if x.shape[a] != N(1) {
		g.failf("drop dimension %d of %v", axis, x)
	}
	shape := slices.Delete(slices.Clone(x.shape), a, a+1)
	if g.training {
		return g.Reshape(x, shape...)
	}
	return g.node("Squeeze", x.typ, shape, []*Value{x, g.Int64s(int64(a))})
}

// Expand repeats dimensions of 1 so that x gets the shape of the value like.
func (g *Graph) Expand(x, like *Value) *Value {
	shape, ok := broadcast(x.shape, like.shape)
	if !ok || !slices.Equal(shape, like.shape) {
		g.failf("expand %v to %v", x, like)
	}
	if g.training {
		return g.ExpandTo(x, like.shape...)
	}
	return g.node("Expand", x.typ, like.shape, []*Value{x, g.ShapeOf(like)})
}

// Repeat repeats dimension axis of x, which is 1, n times: n is an int64 [1] that is
// dim when the graph runs.
func (g *Graph) Repeat(x *Value, axis int, n *Value, dim Dim) *Value {
	a := g.axis(x, axis)
	if x.shape[a] != N(1) {
		g.failf("repeat dimension %d of %v", axis, x)
	}
	parts := []*Value{n}
	if a > 0 {
		parts = slices.Insert(parts, 0, g.Int64s(slices.Repeat([]int64{1}, a)...))
	}
	if rest := len(x.shape) - a - 1; rest > 0 {
		parts = append(parts, g.Int64s(slices.Repeat([]int64{1}, rest)...))
	}
	shape := slices.Clone(x.shape)
	shape[a] = dim
	return g.node("Expand", x.typ, shape, []*Value{x, g.Concat(0, parts...)})
}

// Range returns 0 … n−1 where n, int64 [1], is dim when the graph runs.
func (g *Graph) Range(n *Value, dim Dim) *Value {
	return g.node("Range", Int64, Shape{dim}, []*Value{g.Const(Ints("", []int64{0})), g.node("Squeeze", Int64, Shape{}, []*Value{n, g.Int64s(0)}), g.Const(Ints("", []int64{1}))})
}
