package onnx

import (
	"math"
	"slices"
)

// The operations below compute what is known, and add the rest to the graph.

func (r *replay) must(a *array, err error) *operand {
	if err != nil {
		r.g.Fail(err)
	}
	return r.folded(a)
}

// scalarOf is a constant of one number like o's.
func (r *replay) scalarOf(t Type, v float64) *operand {
	a := newArray(t, nil)
	a.put(0, v)
	a.narrow()
	return r.folded(a)
}

// broadcastDims is the shape of an operator's result element by element.
func (r *replay) broadcastDims(list ...*operand) []int64 {
	var shape Shape
	for _, o := range list {
		var ok bool
		if shape, ok = broadcast(shape, Of(o.dims...)); !ok {
			r.g.failf("shapes that do not fit: %v and %v", shape, o.dims)
		}
	}
	dims := make([]int64, len(shape))
	for i, d := range shape {
		dims[i], _ = d.Known()
	}
	return dims
}

// binary is an operator of two values element by element.
func (r *replay) binary(op string, a, b *operand) *operand {
	dims := r.broadcastDims(a, b)
	if a.known != nil && b.known != nil && r.affords(dims) {
		return r.must(foldBinary(op, a.known, b.known, dims))
	}
	x, y := r.value(a), r.value(b)
	switch op {
	case "Add":
		return r.from(r.g.Add(x, y))
	case "Sub":
		return r.from(r.g.Sub(x, y))
	case "Mul":
		return r.from(r.g.Mul(x, y))
	case "Div":
		return r.from(r.g.Div(x, y))
	case "Max":
		return r.from(r.g.Max(x, y))
	case "Min":
		return r.from(r.g.Min(x, y))
	}
	if comparisons[op] != nil {
		return r.from(r.g.compare(op, x, y))
	}
	return r.from(r.g.elementwise(op, x, y))
}

func (r *replay) add(a, b *operand) *operand { return r.binary("Add", a, b) }
func (r *replay) mul(a, b *operand) *operand { return r.binary("Mul", a, b) }

// times is x·v.
func (r *replay) times(x *operand, v float64) *operand {
	if v == 1 {
		return x
	}
	return r.mul(x, r.scalarOf(x.typ, v))
}

// unary is an operator of one value, element by element.
func (r *replay) unary(op string, x *operand) *operand {
	if x.known != nil && r.affords(x.dims) {
		if a := foldUnary(op, x.known); a != nil {
			return r.folded(a)
		}
	}
	v := r.value(x)
	switch op {
	case "Reciprocal":
		return r.binary("Div", r.scalarOf(x.typ, 1), x)
	case "Relu":
		return r.from(r.g.Relu(v))
	case "Sigmoid":
		return r.from(r.g.Sigmoid(v))
	case "Tanh":
		return r.from(r.g.Tanh(v))
	case "Sqrt":
		return r.from(r.g.Sqrt(v))
	case "IsNaN":
		return r.from(r.g.node(op, Bool, v.shape, []*Value{v}))
	}
	return r.from(r.g.unary(op, v))
}

func (r *replay) cast(x *operand, t Type) *operand {
	if t == x.typ {
		return x
	}
	if x.known != nil && r.affords(x.dims) {
		if a, err := x.known.cast(t); err == nil {
			return r.folded(a)
		}
	}
	return r.from(r.g.Cast(r.value(x), t))
}

func (r *replay) where(cond, a, b *operand) *operand {
	dims := r.broadcastDims(cond, a, b)
	if cond.typ != Bool || a.typ != b.typ {
		r.g.failf("Where of %v, %v and %v", cond.typ, a.typ, b.typ)
	}
	if cond.known != nil && a.known != nil && b.known != nil && r.affords(dims) {
		return r.folded(foldWhere(cond.known, a.known, b.known, dims))
	}
	return r.from(r.g.Where(r.value(cond), r.value(a), r.value(b)))
}

// reshape gives x other dimensions of as many elements.
func (r *replay) reshape(x *operand, dims ...int64) *operand {
	n, ok := elementsOf(dims)
	if have, _ := elementsOf(x.dims); !ok || n != have {
		r.g.failf("reshape %v to %v", x.dims, dims)
	}
	if slices.Equal(dims, x.dims) {
		return x
	}
	if x.known != nil {
		return r.folded(x.known.reshape(dims))
	}
	return r.from(r.g.Reshape(r.value(x), Of(dims...)...))
}

func (r *replay) transpose(x *operand, order []int) *operand {
	if x.known != nil && r.affords(x.dims) {
		return r.folded(x.known.transpose(order))
	}
	if len(order) == 2 && order[0] == 1 {
		o := &operand{typ: x.typ, dims: []int64{x.dims[1], x.dims[0]}, flip: x}
		o.lazy = func() *Value { return r.g.Transpose(r.value(x), order...) }
		return o
	}
	return r.from(r.g.Transpose(r.value(x), order...))
}

// slice is n elements of a dimension, from first in steps.
func (r *replay) slice(x *operand, axis int, first, n, step int64) *operand {
	if first == 0 && n == x.dims[axis] && step == 1 {
		return x
	}
	dims := slices.Clone(x.dims)
	dims[axis] = n
	if x.known != nil && r.affords(dims) {
		return r.folded(x.known.slice(axis, first, n, step))
	}
	if n > 0 && step == 1 {
		return r.from(r.g.Slice(r.value(x), axis, first, first+n))
	}
	if !r.affords([]int64{n}) {
		r.g.failf("slice in steps of %d of %v", step, x.dims)
	}
	index := make([]int64, n)
	for i := range index {
		index[i] = first + int64(i)*step
	}
	return r.from(r.g.Gather(r.value(x), axis, r.value(r.folded(intArray(index...)))))
}

func (r *replay) concat(axis int, list []*operand) *operand {
	dims, known := slices.Clone(list[0].dims), true
	dims[axis] = 0
	for _, o := range list {
		if len(o.dims) != len(dims) || o.typ != list[0].typ {
			r.g.failf("join %v and %v", list[0].dims, o.dims)
		}
		for i := range dims {
			if i == axis {
				dims[i] += o.dims[i]
			} else if o.dims[i] != dims[i] {
				r.g.failf("join %v and %v", list[0].dims, o.dims)
			}
		}
		known = known && o.known != nil
	}
	if known && r.affords(dims) {
		var arrays []*array
		for _, o := range list {
			arrays = append(arrays, o.known)
		}
		return r.folded(concat(axis, dims, arrays))
	}
	var values []*Value
	for _, o := range list {
		if n, _ := elementsOf(o.dims); n > 0 {
			values = append(values, r.value(o))
		}
	}
	if len(values) == 1 {
		return r.from(values[0])
	}
	return r.from(r.g.Concat(axis, values...))
}

// gather takes the rows of a dimension that index says, which stand in its place.
func (r *replay) gather(x *operand, axis int, index *operand) *operand {
	if index.typ != Int64 && index.typ != Int32 {
		r.g.failf("rows %v of a value", index.typ)
	}
	dims := slices.Concat(x.dims[:axis], index.dims, x.dims[axis+1:])
	if x.known != nil && index.known != nil && r.affords(dims) {
		return r.must(x.known.gather(axis, index.known))
	}
	if index.known != nil && index.known.len() > 0 {
		first, n := index.known.ints[0], int64(len(index.known.ints))
		if first < 0 {
			first += x.dims[axis]
		}
		run := first >= 0 && first+n <= x.dims[axis]
		for i, at := range index.known.ints {
			run = run && (at == first+int64(i) || at < 0 && at+x.dims[axis] == first+int64(i))
		}
		switch {
		case len(index.dims) == 0 && run:
			return r.from(r.g.Index(r.value(x), axis, first))
		case run: // [1] or neighbours: a slice, whose gradient is cheaper
			return r.reshape(r.slice(x, axis, first, n, 1), dims...)
		}
	}
	if axis == 0 && len(x.dims) == 2 {
		return r.from(r.g.Rows(r.value(x), r.value(index)))
	}
	return r.from(r.g.Gather(r.value(x), axis, r.value(index)))
}

// expand repeats dimensions of 1 up to dims, which need not be the result's: those
// of x that are larger stay.
func (r *replay) expand(x *operand, dims []int64) *operand {
	to := r.broadcastDims(x, &operand{dims: dims})
	if slices.Equal(to, x.dims) {
		return x
	}
	if x.known != nil && r.affords(to) {
		return r.folded(x.known.expand(to))
	}
	return r.from(r.g.ExpandTo(r.value(x), Of(to...)...))
}

// reduce is a reduction over dimensions; without any, over all.
func (r *replay) reduce(op string, x *operand, keep bool, axes []int) *operand {
	if axes == nil {
		for i := range x.dims {
			axes = append(axes, i)
		}
	}
	var kept []int64
	for i, d := range x.dims {
		if !slices.Contains(axes, i) {
			kept = append(kept, d)
		} else if keep {
			kept = append(kept, 1)
		}
	}
	if x.known != nil && r.affords(x.dims) {
		return r.reshape(r.must(foldReduce(op, x.known, axes)), kept...)
	}
	if len(axes) == 0 {
		return x
	}
	v := r.value(x)
	switch op {
	case "ReduceMean":
		return r.from(r.g.ReduceMean(v, keep, axes...))
	case "ReduceSum":
		return r.from(r.g.ReduceSum(v, keep, axes...))
	case "ReduceMax":
		return r.from(r.g.ReduceMax(v, keep, axes...))
	}
	return r.from(r.g.reduce(op, v, keep, axes))
}

// power is x to the power e. Those that occur in networks become what has a gradient.
func (r *replay) power(x, e *operand) *operand {
	v, ok := e.scalar()
	if x.known != nil || !ok || len(e.dims) > len(x.dims) {
		return r.binary("Pow", x, r.cast(e, x.typ))
	}
	switch v {
	case 1:
		return x
	case 2:
		return r.mul(x, x)
	case 3:
		return r.mul(r.mul(x, x), x)
	case 0.5:
		return r.unary("Sqrt", x)
	case -1:
		return r.unary("Reciprocal", x)
	case -0.5:
		return r.unary("Reciprocal", r.unary("Sqrt", x))
	}
	return r.binary("Pow", x, r.cast(e, x.typ))
}

// clip holds x between two numbers, either of which may be infinite.
func (r *replay) clip(x *operand, low, high float64) *operand {
	above, below := !math.IsInf(low, -1), !math.IsInf(high, 1)
	if x.known == nil && above && below && x.typ == Float {
		return r.from(r.g.Clip(r.value(x), low, high))
	}
	if above && low == 0 && x.typ == Float {
		x = r.unary("Relu", x)
	} else if above {
		x = r.binary("Max", x, r.scalarOf(x.typ, low))
	}
	if below {
		x = r.binary("Min", x, r.scalarOf(x.typ, high))
	}
	return x
}
