package onnx

import (
	"math"
	"slices"
)

// reshaped is Reshape: 0 stands for the dimension of x, −1 for what is left.
func (c *call) reshaped() *operand {
	x, to := c.arg(0), slices.Clone(c.known(1))
	have, _ := elementsOf(x.dims)
	free, rest := -1, int64(1)
	for i, d := range to {
		if d == 0 && c.int("allowzero", 0) == 0 && i < len(x.dims) {
			to[i] = x.dims[i]
		}
		switch {
		case d != -1:
			rest *= to[i]
		case free >= 0:
			c.g.failf("reshape %v to %v", x.dims, to)
		default:
			free = i
		}
	}
	if free >= 0 && rest > 0 && have%rest == 0 {
		to[free] = have / rest
	}
	return c.reshape(x, to...)
}

// flattened is Flatten: the dimensions before axis become one, and those after.
func (c *call) flattened() *operand {
	x, axis := c.arg(0), c.int("axis", 1)
	if axis < 0 {
		axis += int64(len(x.dims))
	}
	if axis < 0 || axis > int64(len(x.dims)) {
		c.g.failf("flatten %v at %d", x.dims, axis)
	}
	outer, _ := elementsOf(x.dims[:axis])
	inner, _ := elementsOf(x.dims[axis:])
	return c.reshape(x, outer, inner)
}

// squeezed is Squeeze; without axes all dimensions of 1 go.
func (c *call) squeezed() *operand {
	x, list := c.arg(0), c.listed(1, "axes")
	axes := c.axes(list, len(x.dims))
	var dims []int64
	for i, d := range x.dims {
		drop := slices.Contains(axes, i) || list == nil && d == 1
		if drop && d != 1 {
			c.g.failf("squeeze dimension %d of %v", i, x.dims)
		}
		if !drop {
			dims = append(dims, d)
		}
	}
	return c.reshape(x, dims...)
}

func (c *call) unsqueezed() *operand {
	x, list := c.arg(0), c.listed(1, "axes")
	axes := c.axes(list, len(x.dims)+len(list))
	dims := slices.Clone(x.dims)
	for _, a := range axes {
		dims = slices.Insert(dims, a, 1)
	}
	return c.reshape(x, dims...)
}

func (c *call) transposed() *operand {
	x := c.arg(0)
	order := c.axes(c.ints("perm"), len(x.dims)) // each stands there once
	for i, a := range c.ints("perm") {
		order[i] = c.axis(a, len(x.dims))
	}
	if order == nil {
		for i := range x.dims {
			order = append(order, len(x.dims)-1-i)
		}
	}
	if len(order) != len(x.dims) {
		c.g.failf("transpose %v by %v", x.dims, order)
	}
	return c.transpose(x, order)
}

func (c *call) joined() *operand {
	first := c.arg(0)
	for i := range c.in {
		c.arg(i)
	}
	return c.concat(c.axis(c.int("axis", 0), len(first.dims)), c.in)
}

// sliced is Slice, whose bounds are attributes or operands and may lie outside.
func (c *call) sliced() *operand {
	x := c.arg(0)
	starts, ends, list, steps := c.listed(1, "starts"), c.listed(2, "ends"), c.listed(3, "axes"), c.listed(4, "steps")
	if list == nil {
		for i := range starts {
			list = append(list, int64(i))
		}
	}
	c.axes(list, len(x.dims))
	if len(starts) != len(ends) || len(list) != len(starts) || steps != nil && len(steps) != len(starts) {
		c.g.failf("slice from %v to %v of %v in steps of %v", starts, ends, list, steps)
	}
	for i, a := range list {
		axis, step := c.axis(a, len(x.dims)), int64(1)
		if steps != nil {
			step = steps[i]
		}
		if step == 0 || step == math.MinInt64 {
			c.g.failf("slice in steps of %d", step)
		}
		first, n := bounds(starts[i], ends[i], step, x.dims[axis])
		x = c.slice(x, axis, first, n, step)
	}
	return x
}

// bounds resolves a slice of a dimension of n: its first element and how many there are.
func bounds(from, to, step, n int64) (first, count int64) {
	if from < 0 {
		from += n
	}
	if to < 0 {
		to += n
	}
	if step > 0 {
		from, to = min(max(from, 0), n), min(max(to, 0), n)
		if to <= from {
			return 0, 0
		}
		return from, (to-from-1)/step + 1
	}
	from, to = min(max(from, -1), n-1), min(max(to, -1), n-1)
	if from <= to {
		return 0, 0
	}
	return from, (from-to-1)/-step + 1
}

// split is Split: into the sizes given, or into as many equal parts as there are results.
func (c *call) split() []*operand {
	x := c.arg(0)
	axis, sizes := c.axis(c.int("axis", 0), len(x.dims)), c.listed(1, "split")
	parts := int64(len(c.n.Outputs))
	if sizes == nil {
		each := (x.dims[axis] + parts - 1) / parts // the last may be smaller
		for left := x.dims[axis]; int64(len(sizes)) < parts; left -= each {
			sizes = append(sizes, max(0, min(each, left)))
		}
	}
	var out []*operand
	at := int64(0)
	for _, n := range sizes {
		if n < 0 || n > x.dims[axis]-at {
			c.g.failf("split %v into %v", x.dims, sizes)
		}
		out = append(out, c.slice(x, axis, at, n, 1))
		at += n
	}
	if at != x.dims[axis] {
		c.g.failf("split %v into %v", x.dims, sizes)
	}
	return out
}

// gatheredND is GatherND, as a look-up of rows: its indices are added up to the number
// of the row.
func (c *call) gatheredND() *operand {
	x, index, batch := c.arg(0), c.arg(1), int(c.int("batch_dims", 0))
	if len(index.dims) == 0 || batch < 0 || batch >= len(index.dims) || index.typ != Int64 {
		c.g.failf("GatherND of %v by %v%v", x.dims, index.typ, index.dims)
	}
	k := index.dims[len(index.dims)-1]
	if k < 1 || int64(batch)+k > int64(len(x.dims)) || !slices.Equal(x.dims[:batch], index.dims[:batch]) {
		c.g.failf("GatherND of %v by %v", x.dims, index.dims)
	}
	if batch == 1 && k == 1 && len(x.dims) == 3 && len(index.dims) == 2 {
		at := c.reshape(index, index.dims[0])
		return c.from(c.g.Pick(c.value(x), c.value(at)))
	}
	if batch != 0 {
		c.g.failf("GatherND of %v by %v with batch_dims = %d", x.dims, index.dims, batch)
	}
	sizes, steps := intArray(x.dims[:k]...), intArray(strides(x.dims[:k])...)
	negative := c.binary("Less", index, c.scalarOf(Int64, 0))
	index = c.where(negative, c.add(index, c.folded(sizes)), index)
	row := c.reduce("ReduceSum", c.mul(index, c.folded(steps)), false, []int{len(index.dims) - 1})
	n, _ := elementsOf(x.dims[:k])
	return c.gather(c.reshape(x, append([]int64{n}, x.dims[k:]...)...), 0, row)
}

// tiled is Tile: a dimension is repeated by way of one of 1 before it.
func (c *call) tiled() *operand {
	x, times := c.arg(0), c.known(1)
	if len(times) != len(x.dims) || slices.ContainsFunc(times, func(n int64) bool { return n < 1 }) {
		c.g.failf("tile %v by %v", x.dims, times)
	}
	for i, n := range times {
		if n == 1 {
			continue
		}
		dims := slices.Insert(slices.Clone(x.dims), i, 1)
		to := slices.Repeat([]int64{1}, len(dims))
		to[i] = n
		x = c.expand(c.reshape(x, dims...), to)
		dims = slices.Delete(slices.Clone(x.dims), i, i+1)
		dims[i] *= n
		x = c.reshape(x, dims...)
	}
	return x
}

// padded is Pad with a constant.
func (c *call) padded() *operand {
	x, pads := c.arg(0), c.listed(1, "pads")
	axes := c.axes(c.listed(3, "axes"), len(x.dims))
	before, after := make([]int64, len(x.dims)), make([]int64, len(x.dims))
	if c.opt(3) == nil {
		for i := range x.dims {
			axes = append(axes, i)
		}
	} else {
		for i, a := range c.known(3) {
			axes[i] = c.axis(a, len(x.dims))
		}
	}
	v := c.float("value", 0)
	if c.opt(2) != nil {
		var ok bool
		if v, ok = c.arg(2).scalar(); !ok {
			c.g.failf("what Pad puts around must be a constant")
		}
	}
	if len(pads) != 2*len(axes) || c.text("mode", "constant") != "constant" || x.typ != Float {
		c.g.failf("pad %v%v by %v with %s", x.typ, x.dims, pads, c.text("mode", "constant"))
	}
	for i, a := range axes {
		if before[a], after[a] = pads[i], pads[len(axes)+i]; before[a] < 0 || after[a] < 0 || before[a] > foldOne || after[a] > foldOne {
			c.g.failf("pad %v by %v", x.dims, pads)
		}
	}
	return c.pad(x, before, after, v)
}

func (r *replay) pad(x *operand, before, after []int64, v float64) *operand {
	if !slices.ContainsFunc(slices.Concat(before, after), func(n int64) bool { return n != 0 }) {
		return x
	}
	return r.from(r.g.Pad(r.value(x), before, after, float32(v)))
}
