package eval

import (
	"fmt"
	"math"

	"github.com/clipsearch/clipsearch"
)

// Matrix is a table of numbers, row after row.
type Matrix struct {
	Dim  int // numbers in a row
	Data []float32
}

// Rows returns how many rows m has.
func (m Matrix) Rows() int {
	if m.Dim == 0 {
		return 0
	}
	return len(m.Data) / m.Dim
}

// Row returns row i; it is not copied.
func (m Matrix) Row(i int) []float32 { return m.Data[i*m.Dim : (i+1)*m.Dim : (i+1)*m.Dim] }

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, clipsearch.ErrInvalid)...)
}

// normalize brings every row of m to length one, in place. Rows that have it
// already, as far as float32 can say, stay as they are: to round them once more
// would change the order of near ties.
func (m Matrix) normalize(what string) error {
	const close = 1e-5
	for i := range m.Rows() {
		row := m.Row(i)
		norm := math.Sqrt(exact(row, row))
		if norm == 0 || math.IsNaN(norm) || math.IsInf(norm, 0) {
			return invalid("%s %d: its embedding has length %v and no direction", what, i, norm)
		}
		if math.Abs(norm-1) < close {
			continue
		}
		for j := range row {
			row[j] = float32(float64(row[j]) / norm)
		}
	}
	return nil
}

// exact is the inner product in float64.
func exact(a, b []float32) float64 {
	b = b[:len(a)]
	var s float64
	for i, x := range a {
		s += float64(x) * float64(b[i])
	}
	return s
}
