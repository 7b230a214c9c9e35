package onnx_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch/onnx"
)

// array is a value of the oracle: numbers of every type are float64, conditions are 0
// and 1.
type array struct {
	dims []int
	data []float64
}

func newArray(dims ...int) array {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return array{slices.Clone(dims), make([]float64, n)}
}

// at is the offset of an index into an array of dims; dimensions of 1 are repeated and
// missing ones in front are left out.
func at(dims, index []int) int {
	o, lead := 0, len(index)-len(dims)
	for i, d := range dims {
		o *= d
		if d > 1 {
			o += index[lead+i]
		}
	}
	return o
}

// each calls f with every index of dims, in order; n counts them.
func each(dims []int, f func(n int, index []int)) {
	index := make([]int, len(dims))
	total := newArray(dims...)
	for n := range total.data {
		f(n, index)
		for i := len(dims) - 1; i >= 0; i-- {
			if index[i]++; index[i] < dims[i] {
				break
			}
			index[i] = 0
		}
	}
}

// oracle runs graphs in float64, with the plainest loops there are.
type oracle struct {
	*onnx.Node
	values map[string]array
}

// evaluate runs m and returns all its values.
func evaluate(t testing.TB, m *onnx.Model, inputs map[string]array) map[string]array {
	t.Helper()
	values := map[string]array{}
	for name, a := range inputs {
		values[name] = a
	}
	for _, c := range m.Initializers {
		values[c.Name] = constant(t, c)
	}
	for _, n := range m.Nodes {
		o := oracle{n, values}
		f, ok := oracles[n.Op]
		if !ok {
			t.Fatalf("the oracle has no operator %s", n.Op)
		}
		for i, a := range f(o) {
			if i < len(n.Outputs) && n.Outputs[i] != "" {
				values[n.Outputs[i]] = a
			}
		}
	}
	return values
}

func constant(t testing.TB, c *onnx.Tensor) array {
	t.Helper()
	var a array
	for _, d := range c.Dims {
		a.dims = append(a.dims, int(d))
	}
	switch c.Type {
	case onnx.Int64:
		list, err := c.Int64s()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list {
			a.data = append(a.data, float64(v))
		}
	default:
		list, err := c.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list {
			a.data = append(a.data, float64(v))
		}
	}
	return a
}

func (o oracle) has(i int) bool { return i < len(o.Inputs) && o.Inputs[i] != "" }

func (o oracle) in(i int) array {
	a, ok := o.values[o.Inputs[i]]
	if !ok {
		panic(fmt.Sprintf("%s: no value %s", o.Name, o.Inputs[i]))
	}
	return a
}

func (o oracle) ints(i int) []int {
	var list []int
	for _, v := range o.in(i).data {
		list = append(list, int(v))
	}
	return list
}

func (o oracle) int(name string, unset int) int {
	if v, ok := o.Attr(name).(int64); ok {
		return int(v)
	}
	return unset
}

func (o oracle) float(name string, unset float64) float64 {
	if v, ok := o.Attr(name).(float32); ok {
		return float64(v)
	}
	return unset
}

func (o oracle) list(name string) []int {
	var list []int
	values, _ := o.Attr(name).([]int64)
	for _, v := range values {
		list = append(list, int(v))
	}
	return list
}

func one(a array) []array { return []array{a} }

// unary and binary make operators of functions of numbers.
func unary(f func(x float64) float64) func(o oracle) []array {
	return func(o oracle) []array {
		x := o.in(0)
		y := newArray(x.dims...)
		for i, v := range x.data {
			y.data[i] = f(v)
		}
		return one(y)
	}
}

func binary(f func(p, q float64) float64) func(o oracle) []array {
	return func(o oracle) []array { return one(zip(o.in(0), o.in(1), f)) }
}

func zip(p, q array, f func(p, q float64) float64) array {
	y := newArray(joint(p.dims, q.dims)...)
	each(y.dims, func(n int, index []int) { y.data[n] = f(p.data[at(p.dims, index)], q.data[at(q.dims, index)]) })
	return y
}

// joint is the shape that two broadcast to.
func joint(p, q []int) []int {
	if len(p) < len(q) {
		p, q = q, p
	}
	dims := slices.Clone(p)
	for i, d := range q {
		if j := len(p) - len(q) + i; dims[j] == 1 {
			dims[j] = d
		}
	}
	return dims
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// flip swaps the last two dimensions.
func flip(a array) array {
	r := len(a.dims)
	order := make([]int, r)
	for i := range order {
		order[i] = i
	}
	order[r-1], order[r-2] = r-2, r-1
	return permute(a, order)
}

func permute(a array, order []int) array {
	dims, index := make([]int, len(order)), make([]int, len(order))
	for i, o := range order {
		dims[i] = a.dims[o]
	}
	y := newArray(dims...)
	each(dims, func(n int, to []int) {
		for i, o := range order {
			index[o] = to[i]
		}
		y.data[n] = a.data[at(a.dims, index)]
	})
	return y
}

// matMul multiplies the last two dimensions; the others broadcast.
func matMul(p, q array, scale float64) array {
	r, s := len(p.dims), len(q.dims)
	outer := joint(p.dims[:r-2], q.dims[:s-2])
	rows, inner, columns := p.dims[r-2], p.dims[r-1], q.dims[s-1]
	y := newArray(append(slices.Clone(outer), rows, columns)...)
	each(outer, func(n int, index []int) {
		pp := p.data[at(p.dims[:r-2], index)*rows*inner:]
		qq := q.data[at(q.dims[:s-2], index)*inner*columns:]
		for i := range rows {
			for k := range inner {
				for j := range columns {
					y.data[(n*rows+i)*columns+j] += scale * pp[i*inner+k] * qq[k*columns+j]
				}
			}
		}
	})
	return y
}

// reduce folds f over axes, which stay as dimensions of 1.
func reduce(x array, axes []int, start float64, f func(sum, v float64) float64) array {
	dims := slices.Clone(x.dims)
	for _, a := range axes {
		dims[(a+len(dims))%len(dims)] = 1
	}
	y := newArray(dims...)
	for i := range y.data {
		y.data[i] = start
	}
	each(x.dims, func(n int, index []int) {
		i := at(dims, index)
		y.data[i] = f(y.data[i], x.data[n])
	})
	return y
}

func plus(p, q float64) float64  { return p + q }
func minus(p, q float64) float64 { return p - q }
func times(p, q float64) float64 { return p * q }
func over(p, q float64) float64  { return p / q }
