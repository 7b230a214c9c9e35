package onnx

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// foldBinary is an operator of two arrays, element by element, that are broadcast to
// dims; false where the operator is not one of these.
func foldBinary(op string, a, b *array, dims []int64) (*array, error) {
	if a.typ != b.typ {
		return nil, fmt.Errorf("%s of %v and %v", op, a.typ, b.typ)
	}
	a, b = a.expand(dims), b.expand(dims)
	if holds := comparisons[op]; holds != nil {
		out := newArray(Bool, dims)
		for i := range out.ints {
			var c int
			if a.isFloat() {
				if math.IsNaN(a.floats[i]) || math.IsNaN(b.floats[i]) {
					continue
				}
				c = cmp.Compare(a.floats[i], b.floats[i])
			} else {
				c = cmp.Compare(a.ints[i], b.ints[i])
			}
			out.ints[i] = flag(holds(c))
		}
		return out, nil
	}
	out := newArray(a.typ, dims)
	for i := range out.floats {
		f := floatOps[op]
		if f == nil {
			return nil, fmt.Errorf("%s of %v", op, a.typ)
		}
		out.floats[i] = f(a.floats[i], b.floats[i])
	}
	for i := range out.ints {
		v, ok := foldInts(op, a.ints[i], b.ints[i])
		if !ok {
			return nil, fmt.Errorf("%s of %d and %d", op, a.ints[i], b.ints[i])
		}
		out.ints[i] = v
	}
	out.narrow()
	return out, nil
}

var comparisons = map[string]func(int) bool{
	"Equal":          func(c int) bool { return c == 0 },
	"Less":           func(c int) bool { return c < 0 },
	"LessOrEqual":    func(c int) bool { return c <= 0 },
	"Greater":        func(c int) bool { return c > 0 },
	"GreaterOrEqual": func(c int) bool { return c >= 0 },
}

var floatOps = map[string]func(a, b float64) float64{
	"Add": func(a, b float64) float64 { return a + b },
	"Sub": func(a, b float64) float64 { return a - b },
	"Mul": func(a, b float64) float64 { return a * b },
	"Div": func(a, b float64) float64 { return a / b },
	"Max": func(a, b float64) float64 { return max(a, b) },
	"Min": func(a, b float64) float64 { return min(a, b) },
	"Pow": math.Pow,
	"Mod": math.Mod, // fmod; of floats there is no other
}

// foldInts is integer arithmetic as C has it, but Mod, whose sign is b's.
func foldInts(op string, a, b int64) (int64, bool) {
	switch op {
	case "Add":
		return a + b, true
	case "Sub":
		return a - b, true
	case "Mul":
		return a * b, true
	case "Max":
		return max(a, b), true
	case "Min":
		return min(a, b), true
	case "And":
		return a & b, true
	case "Or":
		return a | b, true
	case "Xor":
		return a ^ b, true
	case "Pow":
		return int64(math.Pow(float64(a), float64(b))), true
	}
	if b == 0 {
		return 0, false
	}
	switch op {
	case "Div":
		return a / b, true
	case "Mod":
		if r := a % b; r != 0 && (r < 0) != (b < 0) {
			return r + b, true
		}
		return a % b, true
	}
	return 0, false
}

var floatUnary = map[string]func(float64) float64{
	"Neg": func(v float64) float64 { return -v }, "Abs": math.Abs, "Sqrt": math.Sqrt,
	"Exp": math.Exp, "Log": math.Log, "Erf": math.Erf, "Tanh": math.Tanh, "Sin": math.Sin, "Cos": math.Cos,
	"Floor": math.Floor, "Ceil": math.Ceil, "Round": math.RoundToEven,
	"Reciprocal": func(v float64) float64 { return 1 / v },
	"Sigmoid":    func(v float64) float64 { return 1 / (1 + math.Exp(-v)) },
	"Relu":       func(v float64) float64 { return max(v, 0) },
	"Sign":       func(v float64) float64 { return float64(cmp.Compare(v, 0)) },
}

var intUnary = map[string]func(int64) int64{
	"Neg":  func(v int64) int64 { return -v },
	"Abs":  func(v int64) int64 { return max(v, -v) },
	"Relu": func(v int64) int64 { return max(v, 0) },
	"Sign": func(v int64) int64 { return int64(cmp.Compare(v, 0)) },
	"Not":  func(v int64) int64 { return 1 - v },
}

// foldUnary is an operator of one array, or nil where it is not one of these.
func foldUnary(op string, a *array) *array {
	if op == "IsNaN" && a.isFloat() {
		out := newArray(Bool, a.dims)
		for i, v := range a.floats {
			out.ints[i] = flag(math.IsNaN(v))
		}
		return out
	}
	f, g := floatUnary[op], intUnary[op]
	if a.isFloat() && f == nil || !a.isFloat() && g == nil {
		return nil
	}
	out := newArray(a.typ, a.dims)
	for i, v := range a.floats {
		out.floats[i] = f(v)
	}
	for i, v := range a.ints {
		out.ints[i] = g(v)
	}
	out.narrow()
	return out
}

// foldWhere takes a where cond is true and b elsewhere; all are of the shape dims.
func foldWhere(cond, a, b *array, dims []int64) *array {
	cond, a, b = cond.expand(dims), a.expand(dims), b.expand(dims)
	out := newArray(a.typ, dims)
	for i, c := range cond.ints {
		if c != 0 {
			out.set(int64(i), a, int64(i))
		} else {
			out.set(int64(i), b, int64(i))
		}
	}
	return out
}

// reductions are what adds an element up, and what it begins with.
var reductions = map[string]struct {
	op    string
	start float64
}{"ReduceSum": {"Add", 0}, "ReduceMean": {"Add", 0}, "ReduceProd": {"Mul", 1}, "ReduceMax": {"Max", math.Inf(-1)}, "ReduceMin": {"Min", math.Inf(1)}}

// foldReduce is a reduction over the dimensions that over names, which stay as 1.
func foldReduce(op string, a *array, over []int) (*array, error) {
	dims, s := slices.Clone(a.dims), strides(a.dims)
	count := int64(1)
	for _, d := range over {
		count *= dims[d]
		dims[d] = 1
	}
	to := strides(dims)
	for _, d := range over {
		to[d] = 0
	}
	rule, ok := reductions[op]
	if !ok || count == 0 && math.IsInf(rule.start, 0) || count == 0 && op == "ReduceMean" {
		return nil, fmt.Errorf("%s over %d elements", op, count)
	}
	out := newArray(a.typ, dims)
	seen := make([]bool, out.len())
	for i := range out.len() {
		out.put(i, rule.start)
	}
	for i := range a.len() {
		at, rest := int64(0), i
		for d := range s {
			at += rest / s[d] * to[d]
			rest %= s[d]
		}
		if !seen[at] && math.IsInf(rule.start, 0) {
			out.set(at, a, i)
		} else {
			out.join(rule.op, at, a, i)
		}
		seen[at] = true
	}
	if op == "ReduceMean" {
		for i := range out.floats {
			out.floats[i] /= float64(count)
		}
		for i := range out.ints {
			out.ints[i] /= count
		}
	}
	out.narrow()
	return out, nil
}

func (a *array) put(i int64, v float64) {
	if a.isFloat() {
		a.floats[i] = v
	} else {
		a.ints[i] = int64(v)
	}
}

// join applies an operator to element i and element j of b.
func (a *array) join(op string, i int64, b *array, j int64) {
	if a.isFloat() {
		a.floats[i] = floatOps[op](a.floats[i], b.floats[j])
	} else {
		a.ints[i], _ = foldInts(op, a.ints[i], b.ints[j])
	}
}

// foldTriangle keeps what lies on and above the k-th diagonal of the last two
// dimensions, or on and below it.
func foldTriangle(a *array, k int64, upper bool) *array {
	out := newArray(a.typ, a.dims)
	rows, cols := a.dims[len(a.dims)-2], a.dims[len(a.dims)-1]
	for i := range out.len() {
		row, col := i/cols%rows, i%cols
		if upper && col-row >= k || !upper && col-row <= k {
			out.set(i, a, i)
		}
	}
	return out
}

// foldSum adds up along a dimension.
func foldSum(a *array, axis int) *array {
	out := newArray(a.typ, a.dims)
	s := strides(a.dims)[axis]
	for i := range out.len() {
		out.set(i, a, i)
		if i/s%a.dims[axis] > 0 {
			out.join("Add", i, out, i-s)
		}
	}
	return out
}

// foldArgMax returns the first index of the largest element of a dimension, which
// becomes 1.
func foldArgMax(a *array, axis int) *array {
	dims := slices.Clone(a.dims)
	dims[axis] = 1
	out := newArray(Int64, dims)
	s, n := strides(a.dims)[axis], a.dims[axis]
	for i := range out.len() {
		first, best := i/s*s*n+i%s, int64(0)
		for j := range n {
			x, y := first+j*s, first+best*s
			if a.isFloat() && a.floats[x] > a.floats[y] || !a.isFloat() && a.ints[x] > a.ints[y] {
				best = j
			}
		}
		out.ints[i] = best
	}
	return out
}
