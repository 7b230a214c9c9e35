package onnx_test

import (
	"math"
	"slices"
)

var oracles map[string]func(o oracle) []array

func init() {
	oracles = map[string]func(o oracle) []array{
		"Add": binary(plus), "Sub": binary(minus), "Mul": binary(times), "Div": binary(over),
		"Max": binary(math.Max), "Min": binary(math.Min), "Pow": binary(math.Pow),
		"Greater": binary(func(p, q float64) float64 { return truth(p > q) }),
		"Less":    binary(func(p, q float64) float64 { return truth(p < q) }),
		"Equal":   binary(func(p, q float64) float64 { return truth(p == q) }),
		"And":     binary(times),
		"Neg":     unary(func(x float64) float64 { return -x }),
		"Abs":     unary(math.Abs), "Sqrt": unary(math.Sqrt), "Exp": unary(math.Exp), "Log": unary(math.Log),
		"Erf": unary(math.Erf), "Tanh": unary(math.Tanh), "Sigmoid": unary(logistic),
		"Relu":      unary(func(x float64) float64 { return max(x, 0) }),
		"Softplus":  unary(func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }),
		"Sign":      unary(func(x float64) float64 { return truth(x > 0) - truth(x < 0) }),
		"Identity":  unary(func(x float64) float64 { return x }),
		"Cast":      unary(func(x float64) float64 { return x }),
		"Gelu":      unary(func(x float64) float64 { return x * (1 + math.Erf(x/math.Sqrt2)) / 2 }),
		"FastGelu":  unary(fastGelu),
		"QuickGelu": quickGelu, "HardSigmoid": hardSigmoid, "Clip": clip, "Where": where,
		"Softmax": softmax, "LogSoftmax": softmax, "LayerNormalization": layerNorm,
		"ReduceSum": reduction, "ReduceMean": reduction, "ReduceMax": reduction, "ReduceLogSumExp": reduction,
		"Gemm": gemm, "MatMul": fusedMatMul, "FusedMatMul": fusedMatMul, "RotaryEmbedding": rotary,
		"Reshape": reshape, "Unsqueeze": unsqueeze, "Squeeze": squeeze, "Expand": expand,
		"Transpose": func(o oracle) []array { return one(permute(o.in(0), o.list("perm"))) },
		"Concat":    concat, "Split": split, "Slice": slice, "Pad": pad,
		"Gather": gather, "GatherND": gatherND, "ScatterElements": scatterElements,
		"Conv": conv, "ConvTranspose": convTranspose, "AveragePool": pool, "MaxPool": pool,
	}
}

func fastGelu(x float64) float64 {
	return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

func quickGelu(o oracle) []array {
	a := o.float("alpha", 1.702)
	return unary(func(x float64) float64 { return x * logistic(a*x) })(o)
}

func hardSigmoid(o oracle) []array {
	a, b := o.float("alpha", 0.2), o.float("beta", 0.5)
	return unary(func(x float64) float64 { return min(max(a*x+b, 0), 1) })(o)
}

func clip(o oracle) []array {
	low, high := math.Inf(-1), math.Inf(1)
	if o.has(1) {
		low = o.in(1).data[0]
	}
	if o.has(2) {
		high = o.in(2).data[0]
	}
	return unary(func(x float64) float64 { return min(max(x, low), high) })(o)
}

func where(o oracle) []array {
	c, p, q := o.in(0), o.in(1), o.in(2)
	y := newArray(joint(c.dims, joint(p.dims, q.dims))...)
	each(y.dims, func(n int, index []int) {
		if y.data[n] = q.data[at(q.dims, index)]; c.data[at(c.dims, index)] != 0 {
			y.data[n] = p.data[at(p.dims, index)]
		}
	})
	return one(y)
}

func softmax(o oracle) []array {
	x, axis := o.in(0), []int{o.int("axis", -1)}
	shifted := zip(x, reduce(x, axis, math.Inf(-1), math.Max), minus)
	sum := reduce(shifted, axis, 0, func(s, v float64) float64 { return s + math.Exp(v) })
	if o.Op == "LogSoftmax" {
		return one(zip(shifted, sum, func(p, q float64) float64 { return p - math.Log(q) }))
	}
	return one(zip(shifted, sum, func(p, q float64) float64 { return math.Exp(p) / q }))
}

func layerNorm(o oracle) []array {
	x, last := o.in(0), []int{-1}
	n, epsilon := float64(x.dims[len(x.dims)-1]), o.float("epsilon", 1e-5)
	mean := reduce(x, last, 0, func(s, v float64) float64 { return s + v/n })
	centred := zip(x, mean, minus)
	inverse := reduce(centred, last, epsilon, func(s, v float64) float64 { return s + v*v/n })
	for i, v := range inverse.data {
		inverse.data[i] = 1 / math.Sqrt(v)
	}
	y := zip(zip(centred, inverse, times), o.in(1), times)
	if o.has(2) {
		y = zip(y, o.in(2), plus)
	}
	return []array{y, mean, inverse}
}

func reduction(o oracle) []array {
	x := o.in(0)
	axes := o.list("axes")
	if o.has(1) {
		axes = o.ints(1)
	}
	var y array
	switch o.Op {
	case "ReduceMax":
		y = reduce(x, axes, math.Inf(-1), math.Max)
	case "ReduceLogSumExp":
		top := reduce(x, axes, math.Inf(-1), math.Max)
		y = reduce(zip(x, top, minus), axes, 0, func(s, v float64) float64 { return s + math.Exp(v) })
		y = zip(y, top, func(p, q float64) float64 { return math.Log(p) + q })
	default:
		y = reduce(x, axes, 0, plus)
		if o.Op == "ReduceMean" {
			n := float64(len(x.data) / len(y.data))
			y = zip(y, array{nil, []float64{n}}, over)
		}
	}
	if o.int("keepdims", 1) == 0 {
		var dims []int
		for i, d := range y.dims {
			if !slices.Contains(axes, i) {
				dims = append(dims, d)
			}
		}
		y.dims = dims
	}
	return one(y)
}

func gemm(o oracle) []array {
	y := fusedMatMul(o)[0]
	if o.has(2) {
		beta := o.float("beta", 1)
		y = zip(y, o.in(2), func(p, q float64) float64 { return p + beta*q })
	}
	return one(y)
}

func fusedMatMul(o oracle) []array {
	p, q := o.in(0), o.in(1)
	if o.int("transA", 0) != 0 {
		p = flip(p)
	}
	if o.int("transB", 0) != 0 {
		q = flip(q)
	}
	return one(matMul(p, q, o.float("alpha", 1)))
}

// rotary turns neighbours: what the builder's Rotate makes.
func rotary(o oracle) []array {
	x, cos, sin, heads := o.in(0), o.in(2), o.in(3), o.int("num_heads", 1)
	y := newArray(x.dims...)
	width, half := x.dims[2]/heads, cos.dims[1]
	for i := 0; i < len(x.data); i += 2 {
		l, pair := i/x.dims[2]%x.dims[1], i%width/2
		c, s := cos.data[l*half+pair], sin.data[l*half+pair]
		y.data[i], y.data[i+1] = x.data[i]*c-x.data[i+1]*s, x.data[i]*s+x.data[i+1]*c
	}
	return one(y)
}
