package optim

import "math"

// The loops over numbers: in Go here, and in assembly where the processor has wide
// registers. Both compute the same bits. So that they do, every product is rounded
// before it is added, which float32() tells the compiler, and a sum of squares has
// its order: chain j of sixteen has the numbers j, j+16, j+32, ...

const chains = 16

// least is the least number that has all its digits: below it processors are thirty
// times slower, and a mean of gradients that are zero would come to rest there.
const least = 0x1p-126

func updateGo(w, g, m, v []float32, k *Factors) {
	keep, rate, epsilon := k.Keep, k.Rate, k.Epsilon // which the compiler then holds in registers
	m0, m1, v0, v1 := k.M, k.GM, k.V, k.GV
	w, m, v = w[:len(g)], m[:len(g)], v[:len(g)]
	for i, x := range g {
		// All is read before anything is written: slices lie at the same place of their
		// pages, and a processor takes a read for one of what it writes there.
		wi := float32(w[i] * keep)
		mi := flush(float32(m[i]*m0) + float32(x*m1))
		vi := flush(float32(v[i]*v0) + float32(float32(x*x)*v1))
		m[i], v[i] = mi, vi
		w[i] = wi - float32(mi*rate)/(float32(math.Sqrt(float64(vi)))+epsilon)
	}
}

func flush(x float32) float32 {
	if x < least && x > -least {
		return 0
	}
	return x
}

// squaresGo adds squares to their chains. A square of a float32 is exact in a float64.
func squaresGo(sums *[chains]float64, g []float32) {
	for ; len(g) >= chains; g = g[chains:] {
		for j, x := range g[:chains] {
			sums[j] += float64(x) * float64(x)
		}
	}
	for j, x := range g {
		sums[j] += float64(x) * float64(x)
	}
}

func addGo(sum, x []float32) {
	sum = sum[:len(x)]
	for i, v := range x {
		sum[i] += v
	}
}

func averageGo(mean, w []float32, share float32) {
	mean = mean[:len(w)]
	for i, x := range w {
		mean[i] += float32((x - mean[i]) * share)
	}
}
