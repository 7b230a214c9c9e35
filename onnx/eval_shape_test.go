package onnx_test

import "slices"

func reshape(o oracle) []array {
	x := o.in(0)
	dims, size, free := o.ints(1), 1, -1
	for i, d := range dims {
		switch d {
		case 0:
			dims[i] = x.dims[i]
		case -1:
			free = i
			continue
		}
		size *= dims[i]
	}
	if free >= 0 {
		dims[free] = len(x.data) / size
	}
	return one(array{dims, x.data})
}

func unsqueeze(o oracle) []array {
	x := o.in(0)
	return one(array{slices.Insert(slices.Clone(x.dims), o.ints(1)[0], 1), x.data})
}

func squeeze(o oracle) []array {
	x, a := o.in(0), o.ints(1)[0]
	return one(array{slices.Delete(slices.Clone(x.dims), a, a+1), x.data})
}

func expand(o oracle) []array {
	return one(zip(o.in(0), newArray(o.ints(1)...), plus))
}

// copyInto puts what x holds into y, from the index offset on in steps.
func copyInto(y, x array, offset []int) {
	index := make([]int, len(offset))
	each(x.dims, func(n int, from []int) {
		for i := range index {
			index[i] = offset[i] + from[i]
		}
		y.data[at(y.dims, index)] = x.data[n]
	})
}

// cut takes size numbers of each dimension, from offset on in steps.
func cut(x array, offset, size, step []int) array {
	y, index := newArray(size...), make([]int, len(size))
	each(size, func(n int, to []int) {
		for i := range index {
			index[i] = offset[i] + step[i]*to[i]
		}
		y.data[n] = x.data[at(x.dims, index)]
	})
	return y
}

func concat(o oracle) []array {
	axis, dims := o.int("axis", 0), slices.Clone(o.in(0).dims)
	dims[axis] = 0
	for i := range o.Inputs {
		dims[axis] += o.in(i).dims[axis]
	}
	y, offset := newArray(dims...), make([]int, len(dims))
	for i := range o.Inputs {
		copyInto(y, o.in(i), offset)
		offset[axis] += o.in(i).dims[axis]
	}
	return one(y)
}

func split(o oracle) []array {
	x, axis := o.in(0), o.int("axis", 0)
	offset, step := make([]int, len(x.dims)), slices.Repeat([]int{1}, len(x.dims))
	var parts []array
	for _, n := range o.ints(1) {
		size := slices.Clone(x.dims)
		size[axis] = n
		parts = append(parts, cut(x, offset, size, step))
		offset[axis] += n
	}
	return parts
}

func slice(o oracle) []array {
	x := o.in(0)
	from, to := o.ints(1), o.ints(2)
	offset, size, step := make([]int, len(x.dims)), slices.Clone(x.dims), slices.Repeat([]int{1}, len(x.dims))
	for i, a := range o.ints(3) {
		n, s := x.dims[a], 1
		if o.has(4) {
			s = o.ints(4)[i]
		}
		first, last := from[i], to[i]
		if first < 0 {
			first += n
		}
		if last < 0 && last >= -n {
			last += n
		}
		last = max(min(last, n), -1)
		offset[a], step[a], size[a] = first, s, (last-first+s-s/max(s, -s))/s
	}
	return one(cut(x, offset, size, step))
}

func pad(o oracle) []array {
	x, pads := o.in(0), o.ints(1)
	r := len(x.dims)
	dims := slices.Clone(x.dims)
	for i := range dims {
		dims[i] += pads[i] + pads[r+i]
	}
	y := newArray(dims...)
	if o.has(2) {
		for i := range y.data {
			y.data[i] = o.in(2).data[0]
		}
	}
	copyInto(y, x, pads[:r])
	return one(y)
}

func gather(o oracle) []array {
	x, ids, axis := o.in(0), o.in(1), o.int("axis", 0)
	y := newArray(slices.Concat(x.dims[:axis], ids.dims, x.dims[axis+1:])...)
	each(y.dims, func(n int, to []int) {
		id := int(ids.data[at(ids.dims, to[axis:axis+len(ids.dims)])])
		index := slices.Concat(to[:axis], []int{(id + x.dims[axis]) % x.dims[axis]}, to[axis+len(ids.dims):])
		y.data[n] = x.data[at(x.dims, index)]
	})
	return one(y)
}

func gatherND(o oracle) []array {
	x, ids, batch := o.in(0), o.in(1), o.int("batch_dims", 0)
	r := len(ids.dims)
	k := ids.dims[r-1]
	y := newArray(slices.Concat(ids.dims[:r-1], x.dims[batch+k:])...)
	each(y.dims, func(n int, to []int) {
		index := slices.Clone(to[:batch])
		for i := range k {
			id := int(ids.data[at(ids.dims, append(slices.Clone(to[:r-1]), i))])
			index = append(index, (id+x.dims[batch+i])%x.dims[batch+i])
		}
		y.data[n] = x.data[at(x.dims, append(index, to[r-1:]...))]
	})
	return one(y)
}

func scatterElements(o oracle) []array {
	x, ids, updates, axis := o.in(0), o.in(1), o.in(2), o.int("axis", 0)
	y := array{x.dims, slices.Clone(x.data)}
	each(ids.dims, func(n int, from []int) {
		index := slices.Clone(from)
		index[axis] = (int(ids.data[n]) + x.dims[axis]) % x.dims[axis]
		i := at(y.dims, index)
		if o.Attr("reduction") == "add" {
			y.data[i] += updates.data[n]
		} else {
			y.data[i] = updates.data[n]
		}
	})
	return one(y)
}
