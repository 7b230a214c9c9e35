package simd

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func BenchmarkScoreRun(b *testing.B) {
	for _, n := range []int{64, 100_000} {
		b.Run(fmt.Sprintf("512x%d", n), func(b *testing.B) {
			codes, q, out := slab(b, n*512), make([]int8, 512), make([]int32, n)
			fill(rand.New(rand.NewPCG(1, 2)), codes, q, 0)
			for b.Loop() {
				ScoreRun(out, codes, q)
			}
			perRow(b, n)
		})
	}
}

func BenchmarkCoarseRun(b *testing.B) {
	for _, n := range []int{64, 100_000} {
		b.Run(fmt.Sprintf("512x%d", n), func(b *testing.B) {
			codes, q, out := slab(b, n*256), make([]int8, 512), make([]int32, n)
			fill(rand.New(rand.NewPCG(1, 2)), codes, q, 0)
			for b.Loop() {
				CoarseRun(out, codes, q)
			}
			perRow(b, n)
		})
	}
}

func perRow(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/row")
}

// steps are how many new neighbours a step of a walk scores.
var steps = []int{4, 8, 16, 24, 32}

// benchRows scores random rows of n, so many at a time as a step of a walk does.
func benchRows(b *testing.B, width, n int, score func(out []int32, chunks []*byte, shift uint, rows []uint32, q []int8)) {
	const shift = 14
	r := rand.New(rand.NewPCG(1, 2))
	codes, q := slab(b, (n>>shift+1)<<shift*width), make([]int8, 512)
	fill(r, codes, q, 0)
	var chunks []*byte
	for i := 0; i < n; i += 1 << shift {
		chunks = append(chunks, &codes[i*width])
	}
	rows := make([]uint32, 1<<16)
	for i := range rows {
		rows[i] = r.Uint32N(uint32(n))
	}
	for _, step := range steps {
		b.Run(fmt.Sprintf("%dx%d", n, step), func(b *testing.B) {
			out := make([]int32, step)
			at := 0
			for b.Loop() {
				score(out, chunks, shift, rows[at:at+step], q)
				if at += step; at+step > len(rows) {
					at = 0
				}
			}
			perRow(b, step)
		})
	}
}

func BenchmarkCoarseRows(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		benchRows(b, 256, n, CoarseRows)
	}
}

func BenchmarkScoreRows(b *testing.B) { benchRows(b, 512, 100_000, ScoreRows) }

func BenchmarkDotFine(b *testing.B) {
	code, fine, w := make([]byte, 512), make([]uint16, 512), make([]float32, 512)
	for b.Loop() {
		DotFine(code, fine, w)
	}
}

func BenchmarkFold(b *testing.B) {
	code, q, w := make([]byte, 512), make([]int8, 512), make([]float32, 512)
	for b.Loop() {
		Fold(q, code, w, w)
	}
}

func BenchmarkHadamard(b *testing.B) {
	x := make([]float32, 512)
	b.Run("go", func(b *testing.B) {
		for b.Loop() {
			hadamardGo(x, 1)
		}
	})
	b.Run("512", func(b *testing.B) {
		for b.Loop() {
			Hadamard(x)
		}
	})
}

func BenchmarkDot(b *testing.B) {
	v, w := make([]float32, 512), make([]float32, 512)
	b.Run("go", func(b *testing.B) {
		for b.Loop() {
			dotGo(v, w)
		}
	})
	b.Run("512", func(b *testing.B) {
		for b.Loop() {
			Dot(v, w)
		}
	})
}
