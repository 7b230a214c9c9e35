package onnx

import "slices"

// window reads how a convolution or pooling goes over [B,C,H,W] with a kernel.
func (c *call) window(kernel []int64) Conv2D {
	x := c.arg(0)
	steps, pads, dilations := c.ints("strides"), c.ints("pads"), c.ints("dilations")
	if steps == nil {
		steps = []int64{1, 1}
	}
	if dilations == nil {
		dilations = []int64{1, 1}
	}
	if len(x.dims) != 4 || len(kernel) != 2 || len(steps) != 2 || steps[0] != steps[1] || steps[0] < 1 || steps[0] > foldOne ||
		!slices.Equal(dilations, []int64{1, 1}) || kernel[0] < 1 || kernel[1] < 1 {
		c.g.failf("%s of %v with kernel %v, strides %v and dilations %v: only of pictures, with one stride and without gaps, is known here",
			c.n.Op, x.dims, kernel, steps, dilations)
	}
	pads = c.around(pads, kernel, steps[0])
	w := Conv2D{Stride: int(steps[0]), Groups: int(c.int("group", 1))}
	least := slices.Min(pads)
	if least < 0 || slices.Max(pads) > foldOne || w.Groups < 1 {
		c.g.failf("%s with pads %v in %d groups", c.n.Op, pads, w.Groups)
	}
	w.Pad = int(least)
	for i, p := range pads {
		w.More[i] = int(p - least)
	}
	return w
}

// around returns the padding, which may be named instead of given.
func (c *call) around(pads, kernel []int64, step int64) []int64 {
	switch auto := c.text("auto_pad", "NOTSET"); auto {
	case "NOTSET":
		if pads == nil {
			return make([]int64, 4)
		}
	case "VALID":
		return make([]int64, 4)
	case "SAME_UPPER", "SAME_LOWER":
		pads = make([]int64, 4)
		for i := range 2 {
			n := c.arg(0).dims[2+i]
			sum := max(0, ((n+step-1)/step-1)*step+kernel[i]-n)
			pads[i], pads[2+i] = sum/2, sum-sum/2
			if auto == "SAME_LOWER" {
				pads[i], pads[2+i] = pads[2+i], pads[i]
			}
		}
	default:
		c.g.failf("%s with auto_pad = %s", c.n.Op, auto)
	}
	if len(pads) != 4 {
		c.g.failf("%s with pads %v", c.n.Op, pads)
	}
	return pads
}

func (c *call) conv() *operand {
	x, w := c.arg(0), c.arg(1)
	if len(w.dims) != 4 {
		c.g.failf("convolution of %v with %v: only of pictures is known here", x.dims, w.dims)
	}
	var bias *Value
	if c.opt(2) != nil {
		bias = c.value(c.arg(2))
	}
	return c.from(c.g.Conv(c.value(x), c.value(w), bias, c.window(w.dims[2:])))
}

// pool is AveragePool or MaxPool over squares.
func (c *call) pool() *operand {
	x, kernel := c.arg(0), c.ints("kernel_shape")
	w := c.window(kernel)
	if kernel[0] != kernel[1] || kernel[0] > foldOne {
		c.g.failf("%s of %v: only of squares is known here", c.n.Op, kernel)
	}
	k := int(kernel[0])
	pads := w.pads()
	if c.int("ceil_mode", 0) != 0 {
		for i, n := range x.dims[2:] {
			if (n+pads[i]+pads[2+i]-kernel[i])%int64(w.Stride) != 0 {
				c.g.failf("%s of %v with ceil_mode is not known here where the last window lies over the edge", c.n.Op, x.dims)
			}
		}
	}
	if c.n.Op == "MaxPool" {
		return c.from(c.g.MaxPool(c.value(x), k, w))
	}
	if c.int("count_include_pad", 0) != 0 {
		x = c.pad(x, []int64{0, 0, pads[0], pads[1]}, []int64{0, 0, pads[2], pads[3]}, 0)
		w.Pad, w.More = 0, [4]int{}
	}
	return c.from(c.g.AveragePool(c.value(x), k, w))
}
