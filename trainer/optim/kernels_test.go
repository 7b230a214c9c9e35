package optim

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// numbers are of all sizes that do not overflow when squared, some of them zero and
// some with less than all digits.
func numbers(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		switch r.IntN(8) {
		case 0:
			x[i] = float32(math.Copysign(0, r.Float64()-0.5))
		case 1:
			x[i] = float32(r.NormFloat64() * 1e-39)
		default:
			x[i] = float32(r.NormFloat64() * math.Pow(10, float64(r.IntN(50)-40)))
		}
	}
	return x
}

// same compares bits, so that 0 and -0 differ.
func same(t *testing.T, what string, n int, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s of %d numbers: number %d is %g, in Go %g", what, n, i, got[i], want[i])
		}
	}
}

// TestKernels: what runs computes the bits that the loops in Go do, and leaves what lies
// behind its numbers alone.
func TestKernels(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		list := make([][]float32, 4)
		for i := range list {
			list[i] = numbers(r, n+9)
		}
		for i, v := range list[3] {
			list[3][i] = float32(math.Abs(float64(v)))
		}
		fresh := func() (a, b, c, d []float32) {
			return slices.Clone(list[0]), slices.Clone(list[1]), slices.Clone(list[2]), slices.Clone(list[3])
		}
		w, g, m, v := fresh()
		w2, _, m2, v2 := fresh()
		k := Factors{Keep: 0.99, Rate: 0.01, Epsilon: 1e-7, M: 0.9, GM: 0.07, V: 0.98, GV: 0.015}
		update(w[1:n+1], g[1:n+1], m[1:n+1], v[1:n+1], &k)
		updateGo(w2[1:n+1], g[1:n+1], m2[1:n+1], v2[1:n+1], &k)
		same(t, "weights", n, w, w2)
		same(t, "means", n, m, m2)
		same(t, "means of squares", n, v, v2)

		sums, sums2 := [chains]float64{1, 2, 3}, [chains]float64{1, 2, 3}
		squares(&sums, g[1:n+1])
		squaresGo(&sums2, g[1:n+1])
		if sums != sums2 {
			t.Fatalf("squares of %d numbers: sums %v, in Go %v", n, sums, sums2)
		}
		w, g, m, v = fresh()
		w2, _, m2, _ = fresh()
		add(w[1:n+1], g[1:n+1])
		addGo(w2[1:n+1], g[1:n+1])
		same(t, "sums", n, w, w2)
		average(m[1:n+1], v[1:n+1], 0.01)
		averageGo(m2[1:n+1], v[1:n+1], 0.01)
		same(t, "averages", n, m, m2)
	}
}

// TestRest: means of what has no gradient any more become zero. At less than all digits
// they would stay where they are, a number and nine tenths of it being rounded to the
// same, and every update of them would take thirty times as long.
func TestRest(t *testing.T) {
	const n = 17 // 16 at once, and one
	a, err := New(n, []Group{{0, n, 1, true}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	w, g := make([]float32, n), make([]float32, n)
	for i := range g {
		g[i] = float32(i) - 8.5
	}
	for range 6000 {
		a.Update(w, g, 1e-3)
		clear(g)
	}
	if zero := make([]float32, n); !slices.Equal(a.M, zero) || !slices.Equal(a.V, zero) {
		t.Errorf("after 6000 steps the means are %g and %g, want zeros", a.M, a.V)
	}
}

func TestZeros(t *testing.T) {
	for _, n := range []int{0, 1, 1 << 19, 3<<19 + 5} {
		x := Zeros(n)
		if len(x) != n || slices.ContainsFunc(x, func(v float32) bool { return v != 0 }) {
			t.Errorf("Zeros(%d) has %d numbers, or others than zero", n, len(x))
		}
	}
}
