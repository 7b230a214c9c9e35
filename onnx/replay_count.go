package onnx

import (
	"math"
	"slices"
)

// ranged is Range of constants.
func (c *call) ranged() *operand {
	from, ok1 := c.arg(0).scalar()
	to, ok2 := c.arg(1).scalar()
	step, ok3 := c.arg(2).scalar()
	n := math.Ceil((to - from) / step)
	if !ok1 || !ok2 || !ok3 || !(n <= foldOne) || !c.affords([]int64{int64(max(0, n))}) {
		c.g.failf("a range that depends on what the graph is given, or has too many elements")
	}
	a := newArray(c.arg(0).typ, []int64{int64(max(0, n))})
	for i := range a.len() {
		a.put(i, from+float64(i)*step)
	}
	a.narrow()
	return c.folded(a)
}

// filled is ConstantOfShape.
func (c *call) filled() *operand {
	dims := slices.Clone(c.known(0))
	v := &array{typ: Float, floats: []float64{0}}
	if t, given := c.n.Attr("value").(*Tensor); given {
		a := arrayOf(t)
		if a == nil || a.len() != 1 {
			c.g.failf("what ConstantOfShape is filled with has the shape %v", t.Dims)
		}
		v = a.reshape(nil)
	}
	if _, ok := elementsOf(dims); !ok {
		c.g.failf("a constant of the shape %v", dims)
	}
	return c.expand(c.folded(v), dims)
}

// triangle is Trilu; of what is not known, as a choice between it and zeros.
func (c *call) triangle() *operand {
	x, k, upper := c.arg(0), int64(0), c.int("upper", 1) != 0
	if c.opt(1) != nil {
		list := c.known(1)
		if len(list) != 1 {
			c.g.failf("Trilu at the diagonals %v", list)
		}
		k = list[0]
	}
	rank := len(x.dims)
	if rank < 2 {
		c.g.failf("Trilu of %v", x.dims)
	}
	if x.known != nil && c.affords(x.dims) {
		return c.folded(foldTriangle(x.known, k, upper))
	}
	kept := newBool(c.replay, x.dims[rank-2:])
	return c.where(c.folded(foldTriangle(kept, k, upper)), x, c.scalarOf(x.typ, 0))
}

// newBool is an array that holds everywhere.
func newBool(r *replay, dims []int64) *array {
	if !r.affords(dims) {
		r.g.failf("a mask of %v is too large", dims)
	}
	a := newArray(Bool, dims)
	for i := range a.ints {
		a.ints[i] = 1
	}
	return a
}

func (c *call) cumulated() *operand {
	x, list := c.arg(0), c.known(1)
	if len(list) != 1 {
		c.g.failf("CumSum along %v", list)
	}
	c.only("exclusive", 0)
	c.only("reverse", 0)
	axis := c.axis(list[0], len(x.dims))
	if x.known != nil && c.affords(x.dims) {
		return c.folded(foldSum(x.known, axis))
	}
	return c.from(c.g.CumSum(c.value(x), axis))
}

func (c *call) argMax() *operand {
	x := c.arg(0)
	axis := c.axis(c.int("axis", 0), len(x.dims))
	if x.dims[axis] == 0 {
		c.g.failf("ArgMax of nothing: %v", x.dims)
	}
	c.only("select_last_index", 0)
	dims := slices.Clone(x.dims)
	if dims[axis] = 1; c.int("keepdims", 1) == 0 {
		dims = slices.Delete(dims, axis, axis+1)
	}
	if x.known != nil && c.affords(x.dims) {
		return c.reshape(c.folded(foldArgMax(x.known, axis)), dims...)
	}
	return c.reshape(c.from(c.g.ArgMax(c.value(x), axis)), dims...)
}

// reduced is a reduction of x over the dimensions that the node names, as an attribute
// or an operand; over all if it names none and does not say that this means none.
func (c *call) reduced(op string, x *operand) *operand {
	list := c.listed(1, "axes")
	if len(list) == 0 && c.int("noop_with_empty_axes", 0) != 0 {
		return x
	}
	return c.reduce(op, x, c.int("keepdims", 1) != 0, c.axes(list, len(x.dims)))
}
