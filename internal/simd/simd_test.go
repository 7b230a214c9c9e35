package simd

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
)

var widths = []int{32, 64, 96, 128, 256, 384, 512, 768, 1024, 2048}

// fill makes n codes and n numbers of a query; mode 1 makes the largest there are,
// 2 the smallest.
func fill(r *rand.Rand, codes []byte, q []int8, mode int) {
	for i := range codes {
		codes[i] = [3]byte{byte(r.Uint32()), 255, 255}[mode]
	}
	for i := range q {
		q[i] = [3]int8{int8(r.IntN(129) - 64), 64, -64}[mode]
	}
}

func naive(code []byte, q []int8) (s int32) {
	for i := range q {
		s += int32(code[i]) * int32(q[i])
	}
	return s
}

func TestScores(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, width := range widths {
		for mode := range 3 {
			for n := range 14 {
				codes, q := make([]byte, n*width+1)[1:], make([]int8, width)
				fill(r, codes, q, mode)
				out := make([]int32, n)
				ScoreRun(out, codes, q)
				for i, got := range out {
					if want := naive(codes[i*width:], q); got != want {
						t.Fatalf("ScoreRun: width %d, mode %d, row %d of %d: %d, want %d", width, mode, i, n, got, want)
					}
				}
				code, queries := make([]byte, width), make([]int8, n*width)
				fill(r, code, queries, mode)
				ScoreQueries(out, code, queries)
				for i, got := range out {
					if want := naive(code, queries[i*width:][:width]); got != want {
						t.Fatalf("ScoreQueries: width %d, mode %d, row %d of %d: %d, want %d", width, mode, i, n, got, want)
					}
				}
			}
		}
	}
}

func TestScoreRows(t *testing.T) {
	const shift = 3
	r := rand.New(rand.NewPCG(1, 3))
	for _, width := range widths {
		var chunks []*byte
		var codes [][]byte
		q := make([]int8, width)
		for range 5 {
			c := make([]byte, width<<shift)
			fill(r, c, q, 0)
			codes, chunks = append(codes, c), append(chunks, &c[0])
		}
		for n := range 40 {
			rows := make([]uint32, n)
			for i := range rows {
				rows[i] = r.Uint32N(5 << shift)
			}
			out := make([]int32, n+1)
			out[n] = 77
			ScoreRows(out, chunks, shift, rows, q)
			for i, row := range rows {
				if want := naive(codes[row>>shift][int(row&7)*width:], q); out[i] != want {
					t.Fatalf("ScoreRows: width %d, row %d of %d: %d, want %d", width, i, n, out[i], want)
				}
			}
			if out[n] != 77 {
				t.Fatalf("ScoreRows wrote beyond its %d rows", n)
			}
		}
	}
}

func naiveCoarse(code []byte, q []int8) (s int32) {
	for i := range q {
		b := code[i/64*32+i%32]
		if i%64 >= 32 {
			b >>= 4
		}
		s += int32(b&15) * int32(q[i])
	}
	return s
}

func TestCoarse(t *testing.T) {
	const shift = 4
	r := rand.New(rand.NewPCG(1, 6))
	for _, width := range widths {
		if width%64 != 0 {
			continue
		}
		for mode := range 3 {
			for n := range 16 {
				codes, q := make([]byte, width/2<<shift+1)[1:], make([]int8, width)
				fill(r, codes, q, mode)
				out := make([]int32, n)
				CoarseRun(out, codes[:n*width/2], q)
				for i, got := range out {
					if want := naiveCoarse(codes[i*width/2:], q); got != want {
						t.Fatalf("CoarseRun: width %d, mode %d, row %d of %d: %d, want %d", width, mode, i, n, got, want)
					}
				}
				rows := make([]uint32, n)
				for i := range rows {
					rows[i] = r.Uint32N(1 << shift)
				}
				CoarseRows(out, []*byte{&codes[0]}, shift, rows, q)
				for i, row := range rows {
					if want := naiveCoarse(codes[int(row)*width/2:], q); out[i] != want {
						t.Fatalf("CoarseRows: width %d, mode %d, row %d of %d: %d, want %d", width, mode, i, n, out[i], want)
					}
				}
				queries := make([]int8, n*width)
				fill(r, nil, queries, mode)
				CoarseQueries(out, codes[:width/2], queries)
				for i, got := range out {
					if want := naiveCoarse(codes, queries[i*width:][:width]); got != want {
						t.Fatalf("CoarseQueries: width %d, mode %d, row %d of %d: %d, want %d", width, mode, i, n, got, want)
					}
				}
			}
		}
	}
}

func TestFold(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	for _, width := range widths {
		code, a, b := make([]byte, width), make([]float32, width), make([]float32, width)
		got, want := make([]int8, width), make([]int8, width)
		for i := range code {
			code[i], a[i], b[i] = byte(r.Uint32()), float32(r.IntN(40)-20)/16, float32(r.IntN(2000)-1000)/8
		}
		Fold(got, code, a, b)
		foldGo(want, code, a, b)
		for i := range got {
			if got[i] != want[i] || got[i] > Limit || got[i] < -Limit {
				t.Fatalf("Fold, width %d: %d·%v+%v = %d, want %d", width, code[i], a[i], b[i], got[i], want[i])
			}
		}
	}
}

func TestFloats(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	for _, width := range widths {
		code, fine, w, v := make([]byte, width), make([]uint16, width), make([]float32, width), make([]float32, width)
		var wantFine, want, size, sizeFine float64
		for i := range code {
			code[i], fine[i], w[i], v[i] = byte(r.Uint32()), uint16(r.Uint32()), float32(r.NormFloat64()), float32(r.NormFloat64())
			x := float64(w[i]) * float64(int(code[i])<<16+int(fine[i])-1<<23)
			wantFine, sizeFine = wantFine+x, sizeFine+math.Abs(x)
			x = float64(w[i]) * float64(v[i])
			want, size = want+x, size+math.Abs(x)
		}
		if got := DotFine(code, fine, w); math.Abs(float64(got)-wantFine) > 1e-6*sizeFine {
			t.Errorf("DotFine, width %d: %v, want %v", width, got, wantFine)
		}
		for cut := range 3 {
			got := Dot(w[:width-cut], v[:width-cut])
			for i := range cut {
				got += w[width-1-i] * v[width-1-i]
			}
			if math.Abs(float64(got)-want) > 1e-6*size {
				t.Errorf("Dot of %d numbers: %v, want %v", width-cut, got, want)
			}
		}
	}
}

func TestHadamard(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 7))
	for n := 1; n <= 4096; n *= 2 {
		got, want, exact := make([]float32, n), make([]float32, n), make([]float64, n)
		for i := range got {
			got[i] = float32(r.NormFloat64())
			want[i] = got[i]
		}
		for i := range exact {
			for j, x := range want {
				exact[i] += float64(x) * float64(1-2*(bits.OnesCount(uint(i&j))&1)) / math.Sqrt(float64(n))
			}
		}
		Hadamard(got)
		hadamardGo(want, float32(1/math.Sqrt(float64(n))))
		for i := range got {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
				t.Fatalf("Hadamard of %d numbers: number %d is %v, in Go %v", n, i, got[i], want[i])
			}
			if math.Abs(float64(got[i])-exact[i]) > 1e-5 {
				t.Fatalf("Hadamard of %d numbers: number %d is %v, want %v", n, i, got[i], exact[i])
			}
		}
	}
}
