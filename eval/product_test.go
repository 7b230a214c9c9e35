package eval

import (
	"math"
	"math/rand/v2"
	"testing"
)

// A block's sums are those of float64, whatever the length.
func TestMultiply(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	row := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	for _, n := range []int{1, 2, 7, 8, 9, 16, 31, 255, 512} {
		var b block
		for i := range b.rows {
			b.rows[i] = row(n)
		}
		for i := range b.cols {
			b.cols[i] = row(n)
		}
		b.multiply()
		for i, r := range b.rows {
			for j, c := range b.cols {
				if got, want := float64(b.sums[j*blockRows+i]), exact(r, c); math.Abs(got-want) > 1e-4 {
					t.Errorf("%d numbers: row %d times column %d is %v, want %v", n, i, j, got, want)
				}
			}
		}
	}
}

func BenchmarkMultiply(b *testing.B) {
	x := Matrix{Dim: 512, Data: make([]float32, 512*tileImages)}
	out := make([]float32, tileTexts*tileImages)
	for b.Loop() {
		products(out, x, x, 0, tileTexts, 0, tileImages)
	}
	b.ReportMetric(float64(b.N)*tileTexts*tileImages*512/b.Elapsed().Seconds()/1e9, "Gmul/s")
}
