package onnx_test

import (
	"math"
	"slices"
)

// windows calls f with every place of the result, the place in the window, and the
// place of x that it lies at, where there is one.
func (o oracle) windows(in, size, out []int, f func(y, k, x [2]int)) {
	stride, dilation, pads := o.list("strides"), o.list("dilations"), o.list("pads")
	if dilation == nil {
		dilation = []int{1, 1}
	}
	each([]int{out[0], out[1], size[0], size[1]}, func(_ int, i []int) {
		x := [2]int{i[0]*stride[0] - pads[0] + i[2]*dilation[0], i[1]*stride[1] - pads[1] + i[3]*dilation[1]}
		if x[0] >= 0 && x[1] >= 0 && x[0] < in[0] && x[1] < in[1] {
			f([2]int{i[0], i[1]}, [2]int{i[2], i[3]}, x)
		}
	})
}

// steps is how many windows fit.
func (o oracle) steps(in, size []int) []int {
	stride, dilation, pads := o.list("strides"), o.list("dilations"), o.list("pads")
	var out []int
	for i, n := range in {
		d := 1
		if dilation != nil {
			d = dilation[i]
		}
		out = append(out, (n+pads[i]+pads[2+i]-d*(size[i]-1)-1)/stride[i]+1)
	}
	return out
}

// meetings calls f with the offsets of the numbers that a convolution of x with k
// multiplies, and of the sum they go to.
func (o oracle) meetings(x, k, y []int, f func(x, k, y int)) {
	groups := o.int("group", 1)
	outs := k[0] / groups
	each([]int{x[0], k[0], k[1]}, func(_ int, i []int) {
		b, out, in := i[0], i[1], i[2]
		channel := out/outs*k[1] + in
		o.windows(x[2:], k[2:], y[2:], func(at, tap, from [2]int) {
			f(((b*x[1]+channel)*x[2]+from[0])*x[3]+from[1], ((out*k[1]+in)*k[2]+tap[0])*k[3]+tap[1], ((b*y[1]+out)*y[2]+at[0])*y[3]+at[1])
		})
	})
}

func conv(o oracle) []array {
	x, k := o.in(0), o.in(1)
	y := newArray(append([]int{x.dims[0], k.dims[0]}, o.steps(x.dims[2:], k.dims[2:])...)...)
	o.meetings(x.dims, k.dims, y.dims, func(from, tap, to int) { y.data[to] += x.data[from] * k.data[tap] })
	if o.has(2) {
		y = zip(y, array{[]int{k.dims[0], 1, 1}, o.in(2).data}, plus)
	}
	return one(y)
}

func convTranspose(o oracle) []array {
	y, k := o.in(0), o.in(1)
	stride, dilation, pads, more := o.list("strides"), o.list("dilations"), o.list("pads"), o.list("output_padding")
	x := newArray(y.dims[0], k.dims[1]*o.int("group", 1), 0, 0)
	for i := range 2 {
		x.dims[2+i] = (y.dims[2+i]-1)*stride[i] - pads[i] - pads[2+i] + dilation[i]*(k.dims[2+i]-1) + 1 + more[i]
	}
	x = newArray(x.dims...)
	o.meetings(x.dims, k.dims, y.dims, func(from, tap, to int) { x.data[from] += y.data[to] * k.data[tap] })
	return one(x)
}

func pool(o oracle) []array {
	x, size := o.in(0), o.list("kernel_shape")
	y := newArray(append(slices.Clone(x.dims[:2]), o.steps(x.dims[2:], size)...)...)
	from := newArray(y.dims...)
	for plane := range x.dims[0] * x.dims[1] {
		count := make([]float64, y.dims[2]*y.dims[3])
		out := y.data[plane*len(count):][:len(count)]
		o.windows(x.dims[2:], size, y.dims[2:], func(at, _, p [2]int) {
			i, k := at[0]*y.dims[3]+at[1], (plane*x.dims[2]+p[0])*x.dims[3]+p[1]
			if o.Op == "AveragePool" {
				out[i] += x.data[k]
			} else if count[i] == 0 || x.data[k] > out[i] {
				out[i], from.data[plane*len(count)+i] = x.data[k], float64(k)
			}
			count[i]++
		})
		for i := range out {
			if o.Op == "AveragePool" {
				out[i] /= count[i]
			}
		}
	}
	return []array{y, from}
}

var inf = math.Inf(1)
