package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// array is a value whose numbers are known while a graph is built: exporters write
// the shapes of their reshapes as chains of small integer operations, and masks as
// comparisons of ranges. One of the lists holds the elements in row-major order:
// ints those of integers and truth values, floats those of Float and Double. An
// array is never changed once it is made.
type array struct {
	typ    Type
	dims   []int64
	ints   []int64
	floats []float64
}

func (a *array) isFloat() bool { return a.typ == Float || a.typ == Double }

func (a *array) len() int64 { return int64(len(a.ints) + len(a.floats)) }

// intArray is a one-dimensional array of int64.
func intArray(v ...int64) *array {
	return &array{typ: Int64, dims: []int64{int64(len(v))}, ints: v}
}

// newArray is an array of zeros.
func newArray(t Type, dims []int64) *array {
	a := &array{typ: t, dims: dims}
	n, _ := elementsOf(dims)
	if a.isFloat() {
		a.floats = make([]float64, n)
	} else {
		a.ints = make([]int64, n)
	}
	return a
}

// elementsOf is the product of dimensions, and whether it is one that a graph may
// have: anything larger is a damaged file.
func elementsOf(dims []int64) (int64, bool) {
	const most, rank = 1 << 40, 32
	if len(dims) > rank {
		return 0, false
	}
	n := int64(1)
	for _, d := range dims {
		if d < 0 || d > most {
			return 0, false
		}
		if n *= d; n > most {
			return 0, false
		}
	}
	return n, true
}

// arrayOf reads a tensor that is in memory, or returns nil where it is not, or its
// type has no numbers here.
func arrayOf(t *Tensor) *array {
	n, err := t.Len()
	size := t.Type.Size()
	if err != nil || t.External != nil || size == 0 || int64(len(t.Raw)) != n*size {
		return nil
	}
	if t.Type == Float16 || t.Type == BFloat16 {
		return nil
	}
	a := newArray(t.Type, t.Dims)
	for i := range n {
		b := t.Raw[i*size:]
		switch t.Type {
		case Float:
			a.floats[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
		case Double:
			a.floats[i] = math.Float64frombits(binary.LittleEndian.Uint64(b))
		case Int64:
			a.ints[i] = int64(binary.LittleEndian.Uint64(b))
		case Int32:
			a.ints[i] = int64(int32(binary.LittleEndian.Uint32(b)))
		case Int8:
			a.ints[i] = int64(int8(b[0]))
		default: // Uint8, Bool
			a.ints[i] = int64(b[0])
		}
	}
	return a
}

// tensor is the constant that the array is.
func (a *array) tensor() *Tensor {
	t := &Tensor{Type: a.typ, Dims: slices.Clone(a.dims), Raw: make([]byte, 0, a.len()*a.typ.Size())}
	for _, v := range a.floats {
		if a.typ == Float {
			t.Raw = binary.LittleEndian.AppendUint32(t.Raw, math.Float32bits(float32(v)))
		} else {
			t.Raw = binary.LittleEndian.AppendUint64(t.Raw, math.Float64bits(v))
		}
	}
	for _, v := range a.ints {
		switch a.typ.Size() {
		case 1:
			t.Raw = append(t.Raw, byte(v))
		case 4:
			t.Raw = binary.LittleEndian.AppendUint32(t.Raw, uint32(v))
		default:
			t.Raw = binary.LittleEndian.AppendUint64(t.Raw, uint64(v))
		}
	}
	return t
}

// cast converts the elements as ONNX Runtime does: toward zero, and wrapped around.
func (a *array) cast(t Type) (*array, error) {
	out := newArray(t, a.dims)
	switch {
	case t != Bool && t != Float && t != Double && t != Int64 && t != Int32 && t != Uint8 && t != Int8:
		return nil, fmt.Errorf("there are no numbers of %v here", t)
	case a.isFloat() && out.isFloat():
		copy(out.floats, a.floats)
	case a.isFloat():
		for i, v := range a.floats {
			if out.ints[i] = int64(v); t == Bool {
				out.ints[i] = flag(v != 0)
			}
		}
	case out.isFloat():
		for i, v := range a.ints {
			out.floats[i] = float64(v)
		}
	default:
		copy(out.ints, a.ints)
	}
	out.narrow()
	return out, nil
}

// narrow rounds the elements to what the type can hold.
func (a *array) narrow() {
	if a.typ == Float {
		for i, v := range a.floats {
			a.floats[i] = float64(float32(v))
		}
	}
	for i, v := range a.ints {
		switch a.typ {
		case Int32:
			a.ints[i] = int64(int32(v))
		case Int8:
			a.ints[i] = int64(int8(v))
		case Uint8:
			a.ints[i] = int64(uint8(v))
		case Bool:
			a.ints[i] = flag(v != 0)
		}
	}
}

// strides are how far apart neighbours lie along each dimension.
func strides(dims []int64) []int64 {
	s, n := make([]int64, len(dims)), int64(1)
	for i, d := range slices.Backward(dims) {
		s[i] = n
		n *= d
	}
	return s
}

// view copies what lies at offset + Σ index·stride: transposes, slices and repeated
// dimensions are all that.
func (a *array) view(dims, strides []int64, offset int64) *array {
	out := newArray(a.typ, dims)
	index := make([]int64, len(dims))
	at := offset
	for i := range out.len() {
		out.set(i, a, at)
		for d := len(dims) - 1; d >= 0; d-- {
			index[d]++
			at += strides[d]
			if index[d] < dims[d] {
				break
			}
			at -= index[d] * strides[d]
			index[d] = 0
		}
	}
	return out
}

// set copies element j of b to i.
func (a *array) set(i int64, b *array, j int64) {
	if a.isFloat() {
		a.floats[i] = b.floats[j]
	} else {
		a.ints[i] = b.ints[j]
	}
}

// reshape is the same elements in another shape of as many.
func (a *array) reshape(dims []int64) *array {
	return &array{typ: a.typ, dims: dims, ints: a.ints, floats: a.floats}
}

// expand repeats dimensions of 1, and puts new ones in front.
func (a *array) expand(dims []int64) *array {
	if slices.Equal(a.dims, dims) {
		return a
	}
	s := make([]int64, len(dims))
	lead := len(dims) - len(a.dims)
	for i, step := range strides(a.dims) {
		if a.dims[i] != 1 {
			s[lead+i] = step
		}
	}
	return a.view(dims, s, 0)
}

func (a *array) transpose(order []int) *array {
	dims, s := make([]int64, len(order)), make([]int64, len(order))
	from := strides(a.dims)
	for i, o := range order {
		dims[i], s[i] = a.dims[o], from[o]
	}
	return a.view(dims, s, 0)
}

// slice is n elements of a dimension, from the first in steps that may be negative.
func (a *array) slice(axis int, first, n, step int64) *array {
	dims, s := slices.Clone(a.dims), strides(a.dims)
	dims[axis] = n
	offset := first * s[axis]
	s[axis] *= step
	return a.view(dims, s, offset)
}

// gather takes the elements of a dimension that index says, which stand in its
// place; negative ones count from the end.
func (a *array) gather(axis int, index *array) (*array, error) {
	dims := slices.Concat(a.dims[:axis], index.dims, a.dims[axis+1:])
	out := newArray(a.typ, dims)
	inner, _ := elementsOf(a.dims[axis+1:])
	n, at := a.dims[axis], int64(0)
	for first := int64(0); at < out.len(); first += n * inner {
		for _, i := range index.ints {
			if i < 0 {
				i += n
			}
			if i < 0 || i >= n {
				return nil, fmt.Errorf("element %d of the dimension %d of %v", i, axis, a.dims)
			}
			for j := range inner {
				out.set(at, a, first+i*inner+j)
				at++
			}
		}
	}
	return out, nil
}

// concat joins arrays along a dimension.
func concat(axis int, dims []int64, list []*array) *array {
	out := newArray(list[0].typ, dims)
	inner, _ := elementsOf(dims[axis+1:])
	outer, _ := elementsOf(dims[:axis])
	at := int64(0)
	for o := range outer {
		for _, a := range list {
			n := a.dims[axis] * inner
			for j := range n {
				out.set(at, a, o*n+j)
				at++
			}
		}
	}
	return out
}
