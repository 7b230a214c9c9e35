package onnx

import (
	"fmt"
	"slices"
	"strings"
)

// Dim is a dimension: a number, or a number times names that stand for what is
// known when the graph runs. Equal dimensions compare equal.
type Dim struct {
	n    int64
	syms string // names in order, joined by "·"; "" where the dimension is n
}

// N returns a dimension of n.
func N[T int | int64](n T) Dim { return Dim{n: int64(n)} }

// Sym returns a dimension that is known when the graph runs.
func Sym(name string) Dim { return Dim{1, name} }

// Known returns the dimension's number, and whether it has one.
func (d Dim) Known() (int64, bool) { return d.n, d.syms == "" }

// Times returns the product of two dimensions.
func (d Dim) Times(e Dim) Dim {
	var names []string
	for _, s := range []string{d.syms, e.syms} {
		if s != "" {
			names = append(names, strings.Split(s, "·")...)
		}
	}
	slices.Sort(names)
	return Dim{d.n * e.n, strings.Join(names, "·")}
}

func (d Dim) String() string {
	switch {
	case d.syms == "":
		return fmt.Sprint(d.n)
	case d.n == 1:
		return d.syms
	}
	return fmt.Sprintf("%s·%d", d.syms, d.n)
}

// Shape is the dimensions of a value, the outermost first.
type Shape []Dim

// Of returns the shape of known dimensions.
func Of(dims ...int64) Shape {
	s := make(Shape, len(dims))
	for i, d := range dims {
		s[i] = N(d)
	}
	return s
}

// Size returns the product of the dimensions.
func (s Shape) Size() Dim {
	size := N(1)
	for _, d := range s {
		size = size.Times(d)
	}
	return size
}

func (s Shape) String() string {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = d.String()
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// broadcast returns the shape of an operator's result element by element, by
// ONNX's rule (as NumPy's), and whether the two fit.
func broadcast(a, b Shape) (Shape, bool) {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, d := range b {
		j := len(a) - len(b) + i
		switch {
		case a[j] == d || d == N(1):
		case a[j] == N(1):
			out[j] = d
		default:
			return nil, false
		}
	}
	return out, true
}
