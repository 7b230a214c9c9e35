package optim

import "golang.org/x/sys/cpu"

var wide = cpu.X86.HasAVX2

// whole is how many of n numbers the assembly does, 16 at a time. Go does the rest.
func whole(n int) int {
	if !wide {
		return 0
	}
	return n &^ 15
}

func update(w, g, m, v []float32, k *Factors) {
	n := whole(len(g))
	if n > 0 {
		updateAVX2(&w[:n][0], &g[0], &m[:n][0], &v[:n][0], n, k)
	}
	updateGo(w[n:], g[n:], m[n:], v[n:], k)
}

func squares(sums *[chains]float64, g []float32) {
	n := whole(len(g))
	if n > 0 {
		squaresAVX2(sums, &g[0], n)
	}
	squaresGo(sums, g[n:])
}

func add(sum, x []float32) {
	n := whole(len(x))
	if n > 0 {
		addAVX2(&sum[:n][0], &x[0], n)
	}
	addGo(sum[n:], x[n:])
}

func average(mean, w []float32, share float32) {
	n := whole(len(w))
	if n > 0 {
		averageAVX2(&mean[:n][0], &w[0], n, share)
	}
	averageGo(mean[n:], w[n:], share)
}

// In all of these n is a multiple of 16 and not zero.

//go:noescape
func updateAVX2(w, x, m, v *float32, n int, k *Factors)

//go:noescape
func squaresAVX2(sums *[chains]float64, x *float32, n int)

//go:noescape
func addAVX2(sum, x *float32, n int)

//go:noescape
func averageAVX2(mean, w *float32, n int, share float32)
