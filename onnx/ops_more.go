package onnx

import "slices"

// Gather takes the rows of a dimension that index says; the dimensions of index stand
// in its place.
func (g *Graph) Gather(x *Value, axis int, index *Value) *Value {
	a := g.axis(x, axis)
	if a < len(x.shape)-1 {
		if y := g.picked(x, func(x *Value) *Value { return g.Gather(x, axis, index) }); y != nil {
			return y
		}
	}
	shape := slices.Concat(x.shape[:a], index.shape, x.shape[a+1:])
	return g.node("Gather", x.typ, shape, []*Value{x, index}, Attr{"axis", int64(a)})
}

// ExpandTo repeats dimensions of 1 so that x gets a shape that is known.
func (g *Graph) ExpandTo(x *Value, dims ...Dim) *Value {
	shape, ok := broadcast(x.shape, dims)
	if !ok || !slices.Equal(shape, Shape(dims)) {
		g.failf("expand %v to %v", x, Shape(dims))
	}
	if slices.Equal(x.shape, shape) {
		return x
	}
	target := make([]int64, len(dims))
	for i, d := range dims {
		if target[i], ok = d.Known(); !ok {
			g.failf("expand %v to %v, which is not known", x, Shape(dims))
		}
	}
	return g.node("Expand", x.typ, shape, []*Value{x, g.Int64s(target...)})
}

// Pad puts so many elements of v before and after each dimension.
func (g *Graph) Pad(x *Value, before, after []int64, v float32) *Value {
	shape := make(Shape, len(x.shape))
	for i, d := range x.shape {
		n, known := d.Known()
		if len(before) != len(shape) || len(after) != len(shape) || before[i] < 0 || after[i] < 0 || !known && before[i]+after[i] > 0 {
			g.failf("pad %v by %v and %v", x, before, after)
		}
		if shape[i] = d; known {
			shape[i] = N(n + before[i] + after[i])
		}
	}
	return g.node("Pad", x.typ, shape, []*Value{x, g.Int64s(slices.Concat(before, after)...), g.number(x.typ, float64(v))})
}
