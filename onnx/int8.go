package onnx

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
)

// Int8 linear layers. Weights have one scale for each output; what is multiplied
// with them has one for each of its rows, taken when the graph runs: so a row's
// product does not depend on the rows beside it, which a scale for the whole tensor,
// as DynamicQuantizeLinear takes it, does. The rows' scale is common to a row of the
// product and is multiplied last.
//
// On x86 without VNNI a kernel adds the products of two neighbouring weights in 16
// bits. Weights are bounded so that the sum fits: see [QuantizeWeight].

// Int8Rows is a value [M,K] by rows in uint8: (q − zero)·scale.
type Int8Rows struct {
	q     *Value
	scale *Value // [M,1]
	zero  uint8
}

// smallestScale is that of a row of zeros, and of one that is nearly so.
const smallestScale = 1e-30

// QuantizeRows quantizes x [M,K] evenly around zero: the step of a row is the 127th
// part of its largest magnitude.
func (g *Graph) QuantizeRows(x *Value) Int8Rows {
	up, down := g.ReduceMax(x, true, 1), g.unary("Neg", g.reduce("ReduceMin", x, true, []int{1}))
	largest := g.node("Max", Float, up.shape, []*Value{up, down, g.scalar(smallestScale)})
	return g.quantizeRows(x, g.Mul(largest, g.scalar(1./127)), 128)
}

// QuantizeRowsAbove quantizes x [M,K] of which no element is below −depth, as what
// comes out of a GELU: the eighth part of the steps is for what is negative. With
// depth 0 all are for what is not.
func (g *Graph) QuantizeRowsAbove(x *Value, depth float64) Int8Rows {
	zero, least := uint8(0), smallestScale
	if depth > 0 {
		zero = 32
		least = depth / float64(zero)
	}
	scale := g.Mul(g.ReduceMax(x, true, 1), g.scalar(float32(1/float64(255-int(zero)))))
	return g.quantizeRows(x, g.Max(scale, g.scalar(float32(least))), zero)
}

func (g *Graph) quantizeRows(x, scale *Value, zero uint8) Int8Rows {
	if len(x.shape) != 2 || x.typ != Float {
		g.failf("quantize the rows of %v", x)
	}
	zeros := g.once(fmt.Sprint("zeros", zero, x.shape[0]), func() *Value {
		return g.node("ConstantOfShape", Uint8, x.shape[:1], []*Value{g.DimOf(x, 0)}, Attr{"value", Uint8s("", []uint8{zero}, 1)})
	})
	domain := ""
	if g.opset < 13 { // ONNX's own knows no axis
		domain = microsoft
	}
	q := g.domainNode(domain, "QuantizeLinear", Uint8, x.shape, []*Value{x, g.Reshape(scale, x.shape[0]), zeros}, Attr{"axis", int64(0)})
	return Int8Rows{q, scale, zero}
}

// MatMulInt8 multiplies rows by a weight, int8 [K,N], whose columns have scales
// [N]: float32 [M,N].
func (g *Graph) MatMulInt8(x Int8Rows, w, scale *Value) *Value {
	if len(w.shape) != 2 || w.typ != Int8 || w.shape[0] != x.q.shape[1] || !slices.Equal(scale.shape, w.shape[1:]) {
		g.failf("product of int8 rows %v and %v with %v", x.q, w, scale)
	}
	g.countRows(x.q)
	zero := g.once(fmt.Sprint("zero", x.zero), func() *Value { return g.Const(Uint8s("", []uint8{x.zero})) })
	y := g.domainNode(microsoft, "MatMulIntegerToFloat", Float, Shape{x.q.shape[0], w.shape[1]}, []*Value{x.q, w, g.scalar(1), scale, zero})
	return g.Mul(y, x.scale)
}

// scalar is Scalar, once for each number.
func (g *Graph) scalar(v float32) *Value {
	return g.once(fmt.Sprint("scalar", math.Float32bits(v)), func() *Value { return g.Scalar(v) })
}

// QuantizedWeight is a weight in int8, Q [K,N], and the scales of its columns.
type QuantizedWeight struct {
	Q     []int8
	Scale []float32
}

// block is how many columns of a weight are turned at once.
const block = 64

// QuantizeWeight quantizes w by columns: [N,K] where transposed is set, as PyTorch
// keeps the weights of a linear layer, or else [K,N]. A column's scale is the
// smallest at which no weight exceeds ±127 and no two neighbours of one sign, 2i and
// 2i+1, exceed 128 together: then 255 times both fits 16 bits. It returns an error
// if a weight is not finite.
func QuantizeWeight(w []float32, k, n int, transposed bool) (QuantizedWeight, error) {
	if k < 1 || n < 1 || len(w) != k*n {
		return QuantizedWeight{}, fmt.Errorf("a weight of %d × %d has %d numbers", k, n, len(w))
	}
	q := QuantizedWeight{make([]int8, k*n), make([]float32, n)}
	var wait sync.WaitGroup
	var wrong error
	var once sync.Once
	starts := make(chan int)
	for range min(runtime.GOMAXPROCS(0), (n+block-1)/block) {
		wait.Go(func() {
			column := make([]float32, k)
			for from := range starts {
				for j := from; j < min(from+block, n); j++ {
					for i := range column {
						if transposed {
							column[i] = w[j*k+i]
						} else {
							column[i] = w[i*n+j]
						}
					}
					if err := q.column(column, j, n); err != nil {
						once.Do(func() { wrong = err })
					}
				}
			}
		})
	}
	for from := 0; from < n; from += block {
		starts <- from
	}
	close(starts)
	wait.Wait()
	return q, wrong
}

// column quantizes column j of n.
func (q *QuantizedWeight) column(w []float32, j, n int) error {
	steps, err := columnSteps(w)
	if err != nil {
		return fmt.Errorf("column %d: %w", j, err)
	}
	q.Scale[j] = float32(steps)
	inverse := 1 / steps
	for i := 0; i < len(w); i += 2 {
		a, b := math.RoundToEven(float64(w[i])*inverse), 0.
		if i+1 < len(w) {
			b = math.RoundToEven(float64(w[i+1]) * inverse)
		}
		if math.Abs(a+b) > 128 { // both were rounded up
			a, b = shorten(a, b)
		}
		q.Q[i*n+j] = int8(a)
		if i+1 < len(w) {
			q.Q[(i+1)*n+j] = int8(b)
		}
	}
	return nil
}

// columnSteps returns the scale of a column.
func columnSteps(w []float32) (float64, error) {
	var single, pair float64
	for i := 0; i < len(w); i += 2 {
		a, b := float64(w[i]), 0.
		if i+1 < len(w) {
			b = float64(w[i+1])
		}
		single = max(single, math.Abs(a), math.Abs(b)) // NaN stays NaN
		pair = max(pair, math.Abs(a+b))
	}
	if math.IsNaN(single) || math.IsInf(single, 0) {
		return 0, fmt.Errorf("a weight is not finite")
	}
	return max(single/127, pair/128, smallestScale), nil
}

// shorten takes a step off the larger of two numbers.
func shorten(a, b float64) (float64, float64) {
	if math.Abs(a) < math.Abs(b) {
		a, b = shorten(b, a)
		return b, a
	}
	return a - math.Copysign(1, a), b
}

// QuantizeTable quantizes each row of a table [V,D] by itself, evenly around zero.
func QuantizeTable(w []float32, d int) (q []int8, scale []float32, err error) {
	if d < 1 || len(w)%d != 0 {
		return nil, nil, fmt.Errorf("a table of rows of %d has %d numbers", d, len(w))
	}
	q, scale = make([]int8, len(w)), make([]float32, len(w)/d)
	for i := range scale {
		row := w[i*d : (i+1)*d]
		var largest float64
		for _, x := range row {
			largest = max(largest, math.Abs(float64(x)))
		}
		if math.IsNaN(largest) || math.IsInf(largest, 0) {
			return nil, nil, fmt.Errorf("row %d: a number is not finite", i)
		}
		step := max(largest/127, smallestScale)
		scale[i] = float32(step)
		for j, x := range row {
			q[i*d+j] = int8(math.RoundToEven(float64(x) / step))
		}
	}
	return q, scale, nil
}
