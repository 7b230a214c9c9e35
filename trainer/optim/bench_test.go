package optim

import (
	"fmt"
	"testing"
)

// sizes are those of a small network and of CLIP ViT-B/32.
var sizes = []int{16_800_000, 151_000_000}

// benchmark runs f, which reads and writes so many bytes of memory for each number.
func benchmark(b *testing.B, bytes int, f func(b *testing.B, n, threads int)) {
	for _, n := range sizes {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("n=%dM/threads=%d", n/1_000_000, threads), func(b *testing.B) {
				b.SetBytes(int64(n) * int64(bytes))
				f(b, n, threads)
			})
		}
	}
}

func filled(n int) []float32 {
	x := Zeros(n)
	for i := range x {
		x[i] = float32(i%7) - 3
	}
	return x
}

func BenchmarkUpdate(b *testing.B) {
	benchmark(b, 32, func(b *testing.B, n, threads int) {
		w, g := filled(n), filled(n)
		a, err := New(n, []Group{{0, n, 1, true}}, Options{Decay: 0.1, Clip: 1, Threads: threads})
		if err != nil {
			b.Fatal(err)
		}
		a.Update(w, g, 1e-4) // touches all memory
		for b.Loop() {
			a.Update(w, g, 1e-4)
		}
	})
}

// BenchmarkUpdateMean has the mean of the weights moved in the same pass.
func BenchmarkUpdateMean(b *testing.B) {
	benchmark(b, 40, func(b *testing.B, n, threads int) {
		w, g := filled(n), filled(n)
		a, err := New(n, []Group{{0, n, 1, true}}, Options{Decay: 0.1, Clip: 1, Average: 0.99, Threads: threads})
		if err != nil {
			b.Fatal(err)
		}
		a.Mean = filled(n)
		a.Update(w, g, 1e-4)
		for b.Loop() {
			a.Update(w, g, 1e-4)
		}
	})
}

func BenchmarkNorm(b *testing.B) {
	benchmark(b, 4, func(b *testing.B, n, threads int) {
		g := filled(n)
		a, err := New(n, []Group{{0, n, 1, true}}, Options{Threads: threads})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			a.norm(g)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	benchmark(b, 12, func(b *testing.B, n, threads int) {
		sum, x := filled(n), filled(n)
		for b.Loop() {
			Add(sum, x, threads)
		}
	})
}

func BenchmarkAverage(b *testing.B) {
	benchmark(b, 12, func(b *testing.B, n, threads int) {
		mean, w := filled(n), filled(n)
		for b.Loop() {
			Average(mean, w, 0.99, threads)
		}
	})
}
