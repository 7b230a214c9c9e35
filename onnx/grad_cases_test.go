package onnx_test

import (
	"fmt"

	"github.com/clipsearch/clipsearch/onnx"
)

// of makes a case of an operator of as many operands as there are shapes.
func of(name string, f func(g *onnx.Graph, x []*onnx.Value) *onnx.Value, args ...arg) gradCase {
	return gradCase{name, args, f}
}

type operand = *onnx.Value

func of1(name string, f func(g *onnx.Graph, x operand) operand, a arg) gradCase {
	return of(name, func(g *onnx.Graph, x []operand) operand { return f(g, x[0]) }, a)
}

func of2(name string, f func(g *onnx.Graph, p, q operand) operand, a, b arg) gradCase {
	return of(name, func(g *onnx.Graph, x []operand) operand { return f(g, x[0], x[1]) }, a, b)
}

var elementCases = []gradCase{
	of2("Add", (*onnx.Graph).Add, drawn(2, 3), drawn(2, 3)),
	of2("Add a row", (*onnx.Graph).Add, drawn(4, 3), drawn(3)),
	of2("Add to a row", (*onnx.Graph).Add, drawn(3), drawn(2, 4, 3)),
	of2("Add a column", (*onnx.Graph).Add, drawn(2, 4, 3), drawn(4, 1)),
	of2("Add a number", (*onnx.Graph).Add, drawn(2, 3), drawn(1)),
	of2("Add both ways", (*onnx.Graph).Add, drawn(4, 1), drawn(1, 3)),
	of2("Sub", (*onnx.Graph).Sub, drawn(2, 3), drawn(5, 1, 3)),
	of2("Mul", (*onnx.Graph).Mul, drawn(4, 3), drawn(4, 3)),
	of2("Mul by a row", (*onnx.Graph).Mul, drawn(4, 3), drawn(3)),
	of2("Mul by a column", (*onnx.Graph).Mul, drawn(4, 3), drawn(4, 1)),
	of1("square", func(g *onnx.Graph, x operand) operand { return g.Mul(x, x) }, drawn(5)),
	of2("Div", (*onnx.Graph).Div, drawn(4, 3), positive(4, 3)),
	of2("Div by a column", (*onnx.Graph).Div, drawn(4, 3), positive(4, 1)),
	of2("Max", (*onnx.Graph).Max, drawn(4, 3), drawn(3)),
	of2("Min", (*onnx.Graph).Min, drawn(4, 1), drawn(4, 3)),
	of2("Where", func(g *onnx.Graph, p, q operand) operand { return g.Where(g.Greater(p, q), g.Mul(p, p), q) }, drawn(4, 3), drawn(3)),
	of1("Pow 2", func(g *onnx.Graph, x operand) operand { return g.Pow(x, 2) }, drawn(6)),
	of1("Pow 3", func(g *onnx.Graph, x operand) operand { return g.Pow(x, 3) }, drawn(6)),
	of1("Pow -0.5", func(g *onnx.Graph, x operand) operand { return g.Pow(x, -0.5) }, positive(6)),
	of1("Neg", (*onnx.Graph).Neg, drawn(6)),
	of1("Abs", (*onnx.Graph).Abs, drawn(6)),
	of1("Exp", (*onnx.Graph).Exp, drawn(6)),
	of1("Log", (*onnx.Graph).Log, positive(6)),
	of1("Sqrt", (*onnx.Graph).Sqrt, positive(6)),
	of1("Erf", (*onnx.Graph).Erf, drawn(6)),
	of1("Identity", func(g *onnx.Graph, x operand) operand { return g.Mul(g.Identity(x), x) }, drawn(6)),
	of1("Cast", func(g *onnx.Graph, x operand) operand { return g.Cast(g.Cast(x, onnx.Double), onnx.Float) }, drawn(6)),
	of1("Relu", (*onnx.Graph).Relu, drawn(4, 5)),
	of1("Sigmoid", (*onnx.Graph).Sigmoid, drawn(4, 5)),
	of1("Tanh", (*onnx.Graph).Tanh, drawn(4, 5)),
	of1("Softplus", (*onnx.Graph).Softplus, drawn(4, 5)),
	of1("Gelu", (*onnx.Graph).Gelu, drawn(8, 9)),
	of1("Gelu far out", func(g *onnx.Graph, x operand) operand { return g.Gelu(g.Mul(x, g.Scalar(20))) }, drawn(8, 9)),
	of1("GeluTanh", (*onnx.Graph).GeluTanh, drawn(8, 9)),
	of1("QuickGelu", (*onnx.Graph).QuickGelu, drawn(8, 9)),
	of1("QuickGelu far out", func(g *onnx.Graph, x operand) operand { return g.QuickGelu(g.Mul(x, g.Scalar(20))) }, drawn(8, 9)),
	of1("Clip", func(g *onnx.Graph, x operand) operand { return g.Clip(x, -0.5, 0.75) }, drawn(4, 9)),
	of1("Clip below", func(g *onnx.Graph, x operand) operand { return g.Clip(x, 0.25, inf) }, drawn(4, 9)),
	of1("Clip above", func(g *onnx.Graph, x operand) operand { return g.Clip(x, -inf, 0.25) }, drawn(4, 9)),
	of("used often", func(g *onnx.Graph, x []operand) operand {
		y := g.Mul(g.Tanh(x[0]), x[0])
		return g.Add(g.Sub(y, x[0]), g.Exp(g.Neg(y)))
	}, drawn(3, 4)),
}

var layerCases = append(layers(), products()...)

func layers() []gradCase {
	cases := []gradCase{
		of2("MatMul", (*onnx.Graph).MatMul, drawn(3, 4), drawn(4, 5)),
		of2("MatMul of batches", (*onnx.Graph).MatMul, drawn(2, 3, 4), drawn(2, 4, 5)),
		of2("MatMul of rows", (*onnx.Graph).MatMul, drawn(2, 3, 4), drawn(4, 5)),
		of2("MatMul from the left", (*onnx.Graph).MatMul, drawn(5, 4), drawn(2, 3, 4, 2)),
		of2("MatMul, broadcast", (*onnx.Graph).MatMul, drawn(2, 1, 3, 4), drawn(3, 4, 5)),
		of("LayerNorm", func(g *onnx.Graph, x []operand) operand { return g.LayerNorm(x[0], x[1], x[2], 1e-5) }, drawn(3, 8), drawn(8), drawn(8)),
		of("LayerNorm of sequences", func(g *onnx.Graph, x []operand) operand { return g.LayerNorm(x[0], x[1], x[2], 1e-3) }, drawn(2, 3, 8), drawn(8), drawn(8)),
		of("LayerNorm without bias", func(g *onnx.Graph, x []operand) operand { return g.LayerNorm(x[0], x[1], nil, 1e-5) }, drawn(3, 8), drawn(8)),
		of1("Softmax", func(g *onnx.Graph, x operand) operand { return g.Softmax(x, -1) }, drawn(3, 5)),
		of1("Softmax of columns", func(g *onnx.Graph, x operand) operand { return g.Softmax(x, 1) }, drawn(2, 3, 4)),
		of1("LogSoftmax", func(g *onnx.Graph, x operand) operand { return g.LogSoftmax(x, 1) }, drawn(3, 5)),
		of1("LogSoftmax of columns", func(g *onnx.Graph, x operand) operand { return g.LogSoftmax(x, 0) }, drawn(3, 5)),
		of1("ReduceSum", func(g *onnx.Graph, x operand) operand { return g.ReduceSum(x, false, 1) }, drawn(2, 3, 4)),
		of1("ReduceMean", func(g *onnx.Graph, x operand) operand { return g.ReduceMean(x, true, -1, 0) }, drawn(2, 3, 4)),
		of1("ReduceMean of all", func(g *onnx.Graph, x operand) operand { return g.Reshape(g.ReduceMean(x, false, 0, 1), onnx.N(1)) }, drawn(3, 4)),
		of1("ReduceMax", func(g *onnx.Graph, x operand) operand { return g.ReduceMax(x, false, 1) }, drawn(2, 3, 4)),
		of1("ReduceLogSumExp", func(g *onnx.Graph, x operand) operand { return g.ReduceLogSumExp(x, false, 1) }, drawn(4, 5)),
		of("rotation", func(g *onnx.Graph, x []operand) operand {
			c, s := make([]float32, 6), make([]float32, 6)
			for i := range c {
				c[i], s[i] = float32(i)/9, 1-float32(i)/7
			}
			return g.Rotate(x[0], g.Const(onnx.Floats("", c, 3, 2)), g.Const(onnx.Floats("", s, 3, 2)), 2)
		}, drawn(2, 3, 8)),
	}
	for _, heads := range []int{1, 2} {
		for _, causal := range []bool{false, true} {
			cases = append(cases, of(fmt.Sprint("attention ", heads, " ", causal), func(g *onnx.Graph, x []operand) operand {
				return g.Attention(x[0], x[1], x[2], nil, heads, causal)
			}, drawn(2, 3, 4), drawn(2, 3, 4), drawn(2, 3, 4)))
		}
	}
	return append(cases, of("attention of one", func(g *onnx.Graph, x []operand) operand {
		return g.Attention(x[0], x[1], x[2], x[3], 2, false)
	}, drawn(2, 1, 4), drawn(2, 3, 4), drawn(2, 3, 4), drawn(1, 2, 1, 3)),
		of("chunks", func(g *onnx.Graph, x []operand) operand {
			var parts []operand
			for i := range int64(2) {
				rows := g.Slice(x[0], 0, 3*i, 3*i+3)
				parts = append(parts, g.Tanh(g.Gemm(rows, x[1], x[2], true)))
			}
			return g.Concat(0, parts...)
		}, drawn(6, 4), drawn(5, 4), drawn(5)))
}

// products are those of matrices, transposed or not.
func products() (cases []gradCase) {
	for i := range 4 {
		ta, tb := i&1 != 0, i&2 != 0
		p, q := [2]int64{3, 4}, [2]int64{4, 5}
		if ta {
			p = [2]int64{4, 3}
		}
		if tb {
			q = [2]int64{5, 4}
		}
		o := onnx.GemmOptions{TransA: ta, TransB: tb, Alpha: 0.5, Beta: -2}
		cases = append(cases,
			of(fmt.Sprint("Gemm ", ta, " ", tb), func(g *onnx.Graph, x []operand) operand { return g.GemmOf(x[0], x[1], x[2], o) }, drawn(p[:]...), drawn(q[:]...), drawn(3, 5)),
			of(fmt.Sprint("Gemm with a row ", ta, tb), func(g *onnx.Graph, x []operand) operand {
				return g.GemmOf(x[0], x[1], x[2], onnx.GemmOptions{TransA: ta, TransB: tb})
			}, drawn(p[:]...), drawn(q[:]...), drawn(5)),
			of2(fmt.Sprint("FusedMatMul ", ta, tb), func(g *onnx.Graph, a, b operand) operand { return g.FusedMatMul(a, b, ta, tb, 0.25) }, drawn(2, 1, p[0], p[1]), drawn(3, q[0], q[1])),
			of2(fmt.Sprint("FusedMatMul of rows ", ta, tb), func(g *onnx.Graph, a, b operand) operand { return g.FusedMatMul(a, b, ta, tb, 2) }, drawn(2, p[0], p[1]), drawn(q[:]...)),
		)
	}
	return cases
}

var shapeCases = []gradCase{
	of1("Reshape", func(g *onnx.Graph, x operand) operand {
		return g.Exp(g.Reshape(g.Exp(g.Reshape(x, onnx.N(12))), onnx.N(3), onnx.N(4)))
	}, drawn(2, 6)),
	of1("Transpose", func(g *onnx.Graph, x operand) operand { return g.Transpose(x, 2, 0, 1) }, drawn(2, 3, 4)),
	of2("Expand", func(g *onnx.Graph, p, q operand) operand { return g.Mul(g.Expand(p, q), q) }, drawn(3, 1), drawn(2, 3, 4)),
	of2("Concat", func(g *onnx.Graph, p, q operand) operand { return g.Concat(1, p, q, p) }, drawn(2, 3), drawn(2, 1)),
	of1("Split", func(g *onnx.Graph, x operand) operand {
		parts := g.Split(x, 1, 2, 2, 3, 2)
		return g.Concat(0, g.Mul(parts[1], parts[3]), parts[1])
	}, drawn(2, 9)),
	of1("Slice", func(g *onnx.Graph, x operand) operand { return g.Slice(x, 1, 1, 3) }, drawn(2, 5)),
	of1("Slices side by side", func(g *onnx.Graph, x operand) operand {
		return g.Mul(g.Slice(x, 1, 2, 4), g.Mul(g.Slice(x, 1, 0, 2), g.Slice(x, 1, 4, 6)))
	}, drawn(2, 7)),
	of1("Slices one over the other", func(g *onnx.Graph, x operand) operand {
		return g.Mul(g.Mul(g.Slice(x, 1, 1, 4), g.Slice(x, 1, 0, 3)), g.Mul(g.Slice(x, 1, 3, 6), g.Slice(g.Index(x, 0, 1), 0, 2, 5)))
	}, drawn(3, 6)),
	of1("PadFront", func(g *onnx.Graph, x operand) operand { return g.PadFront(x, 1, 2) }, drawn(2, 3)),
	of1("Index", func(g *onnx.Graph, x operand) operand { return g.Index(x, 1, -2) }, drawn(2, 3, 4)),
	of2("Rows", (*onnx.Graph).Rows, drawn(5, 3), ids([]int64{2, 4}, 4, 0, 2, 2, 2, 1, 0, 4)),
	of("Rows twice", func(g *onnx.Graph, x []operand) operand {
		return g.Add(g.Rows(x[0], x[1]), g.Mul(g.Rows(x[0], x[2]), g.Slice(x[0], 0, 0, 3)))
	}, drawn(5, 3), ids([]int64{3}, 4, 0, 4), ids([]int64{3}, 1, 1, 4)),
	of1("Rows that are known", func(g *onnx.Graph, x operand) operand { return g.Rows(x, g.Int64s(1, 2, 3, 2, -1)) }, drawn(6, 3)),
	of1("many Rows that are known", func(g *onnx.Graph, x operand) operand { return g.Rows(x, g.Int64s(5, 3, 3, 2, 5, 1, 0)) }, drawn(6, 3)),
	of2("Pick from the end", (*onnx.Graph).Pick, drawn(3, 4, 2), ids([]int64{3}, -1, 0, -4)),
	of2("Pick", (*onnx.Graph).Pick, drawn(3, 4, 2), ids([]int64{3}, 2, 0, 3)),
}

var convCases = convs()

func convs() []gradCase {
	var cases []gradCase
	for name, c := range map[string]struct {
		x, k [4]int64
		how  onnx.Conv2D
	}{
		"1x1":           {[4]int64{2, 3, 4, 5}, [4]int64{4, 3, 1, 1}, onnx.Conv2D{}},
		"1x1 in steps":  {[4]int64{2, 3, 5, 6}, [4]int64{4, 3, 1, 1}, onnx.Conv2D{Stride: 2}},
		"3x3":           {[4]int64{2, 3, 5, 4}, [4]int64{2, 3, 3, 3}, onnx.Conv2D{Pad: 1}},
		"3x3 of many":   {[4]int64{1, 16, 4, 4}, [4]int64{2, 16, 3, 3}, onnx.Conv2D{Pad: 1}},
		"3x3 in steps":  {[4]int64{2, 3, 6, 7}, [4]int64{2, 3, 3, 3}, onnx.Conv2D{Pad: 1, Stride: 2}},
		"3x3 in groups": {[4]int64{2, 4, 5, 4}, [4]int64{6, 2, 3, 3}, onnx.Conv2D{Pad: 1, Groups: 2}},
		"steps, groups": {[4]int64{2, 4, 6, 4}, [4]int64{6, 2, 3, 3}, onnx.Conv2D{Pad: 1, Groups: 2, Stride: 2}},
		"wide padding":  {[4]int64{1, 2, 4, 4}, [4]int64{2, 2, 2, 2}, onnx.Conv2D{Pad: 2}},
		"uneven pads":   {[4]int64{2, 3, 5, 6}, [4]int64{2, 3, 3, 3}, onnx.Conv2D{More: [4]int{0, 1, 2, 1}}},
		"uneven, steps": {[4]int64{2, 3, 6, 8}, [4]int64{2, 3, 3, 3}, onnx.Conv2D{Stride: 2, More: [4]int{0, 0, 1, 1}}},
		"patches":       {[4]int64{2, 3, 7, 4}, [4]int64{5, 3, 2, 2}, onnx.Conv2D{Stride: 2}},
		"7x7":           {[4]int64{1, 2, 9, 8}, [4]int64{2, 2, 7, 7}, onnx.Conv2D{Stride: 2, Pad: 3}},
	} {
		cases = append(cases, of("Conv "+name, func(g *onnx.Graph, x []operand) operand { return g.Conv(x[0], x[1], x[2], c.how) }, drawn(c.x[:]...), drawn(c.k[:]...), drawn(c.k[0])))
	}
	for _, how := range []onnx.Conv2D{{Pad: 1}, {Pad: 1, Stride: 2}, {}, {Stride: 2, More: [4]int{0, 0, 1, 1}}} {
		how.Groups = 3
		cases = append(cases, of1(fmt.Sprintf("depthwise Conv, stride %d, pad %d", how.Stride, how.Pad), func(g *onnx.Graph, x operand) operand {
			k := make([]float32, 54)
			for i := range k {
				k[i] = float32(i%7) - 2.5
			}
			return g.Conv(x, g.Const(onnx.Floats("", k, 6, 1, 3, 3)), nil, how)
		}, drawn(2, 3, 5, 6)))
	}
	for _, how := range []onnx.Conv2D{{Stride: 2}, {Stride: 2, Pad: 1}, {Pad: 1}, {Stride: 3}} {
		for _, size := range []int{2, 3} {
			where := fmt.Sprintf(" %d, stride %d, pad %d", size, max(1, how.Stride), how.Pad)
			cases = append(cases,
				of1("AveragePool"+where, func(g *onnx.Graph, x operand) operand { return g.AveragePool(x, size, how) }, drawn(2, 3, 7, 6)),
				of1("MaxPool"+where, func(g *onnx.Graph, x operand) operand { return g.MaxPool(x, size, how) }, drawn(2, 3, 7, 6)))
		}
	}
	return append(cases, of1("GlobalAverage", (*onnx.Graph).GlobalAverage, drawn(2, 3, 4, 5)))
}
