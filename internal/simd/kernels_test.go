package simd

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// memory is where a test puts what the kernels read and write.
type memory struct {
	taken int // since the last check began
	take  func(n int) []byte
}

// unaligned is memory that begins at any byte.
func unaligned() *memory {
	return &memory{take: func(n int) []byte { return make([]byte, n+1)[1:] }}
}

func place[T any](m *memory, n int) []T {
	var x T
	if n == 0 {
		return nil
	}
	b := m.take(n * int(unsafe.Sizeof(x)))
	m.taken++
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), n)
}

// floats returns numbers at an address that is a multiple of their size.
func floats[T float32 | uint16 | int32 | uint32](m *memory, n int) []T {
	if b := place[T](m, n); n == 0 || uintptr(unsafe.Pointer(&b[0]))%unsafe.Sizeof(b[0]) == 0 {
		return b
	}
	return make([]T, n)
}

// eachLevel runs f with the versions of every level that this processor has.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	now := using
	defer func() { using = now }()
	for l := highest(); l >= inGo; l-- {
		using = l
		t.Run(fmt.Sprintf("level=%d", l), f)
	}
}

func TestKernels(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, m := range append(fenced(t), unaligned()) {
			for _, width := range []int{32, 64, 96, 128, 192, 256, 320, 512, 576, 768, 1024, 2048} {
				for mode := range 3 {
					for n := range 14 {
						checkScores(t, m, r, width, n, mode)
						if width%64 == 0 {
							checkCoarse(t, m, r, width, n, mode)
						}
					}
				}
				checkFold(t, m, r, width)
				checkFloats(t, m, r, width)
			}
		}
	})
}

func FuzzKernels(f *testing.F) {
	f.Add(uint64(1), uint8(7), uint8(5), uint8(0))
	f.Add(uint64(2), uint8(0), uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, seed uint64, blocks, rows, mode uint8) {
		r := rand.New(rand.NewPCG(seed, 1))
		width, n := 32*(1+int(blocks)%40), int(rows)%40
		memories := append(fenced(t), unaligned())
		for using = highest(); using >= inGo; using-- {
			for _, m := range memories {
				checkScores(t, m, r, width, n, int(mode)%3)
				checkCoarse(t, m, r, 2*width, min(n, 20), int(mode)%3)
				checkFold(t, m, r, width)
				checkFloats(t, m, r, width)
			}
		}
		using = highest()
	})
}

// fill makes codes and numbers of a query; mode 1 makes the largest there are, 2 the
// smallest.
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

// A scorer is the entry points for one kind of codes.
type scorer struct {
	name    string
	perByte int // codes
	naive   func(code []byte, q []int8) int32
	run     func(out []int32, codes []byte, q []int8)
	rows    func(out []int32, chunks []*byte, shift uint, rows []uint32, q []int8)
	queries func(out []int32, code []byte, queries []int8)
}

func checkScores(t *testing.T, m *memory, r *rand.Rand, width, n, mode int) {
	t.Helper()
	scorer{"Score", 1, naive, ScoreRun, ScoreRows, ScoreQueries}.check(t, m, r, width, n, mode)
}

func checkCoarse(t *testing.T, m *memory, r *rand.Rand, width, n, mode int) {
	t.Helper()
	scorer{"Coarse", 2, naiveCoarse, CoarseRun, CoarseRows, CoarseQueries}.check(t, m, r, width, n, mode)
}

func (s scorer) check(t *testing.T, m *memory, r *rand.Rand, width, n, mode int) {
	t.Helper()
	m.taken = 0
	row := width / s.perByte
	codes, q, queries := place[byte](m, n*row), place[int8](m, width), place[int8](m, n*width)
	out, code := floats[int32](m, n), place[byte](m, row)
	fill(r, codes, q, mode)
	fill(r, code, queries, mode)
	want := make([]int32, n)
	s.run(out, codes, q)
	for i := range want {
		want[i] = s.naive(codes[i*row:], q)
	}
	same(t, fmt.Sprintf("%sRun(%d rows of %d, mode %d)", s.name, n, width, mode), out, want)
	s.queries(out, code, queries)
	for i := range want {
		want[i] = s.naive(code, queries[i*width:][:width])
	}
	same(t, fmt.Sprintf("%sQueries(%d of %d, mode %d)", s.name, n, width, mode), out, want)
	if n == 0 {
		return
	}
	const shift = 1 // two rows a chunk
	var chunks []*byte
	for i := 0; i < n; i += 2 {
		chunks = append(chunks, &codes[i*row])
	}
	rows := floats[uint32](m, n)
	for i := range rows {
		rows[i] = r.Uint32N(uint32(n))
		want[i] = s.naive(codes[int(rows[i])*row:], q)
	}
	s.rows(out, chunks, shift, rows, q)
	same(t, fmt.Sprintf("%sRows(%v of %d, mode %d)", s.name, rows, width, mode), out, want)
}

func same(t *testing.T, call string, got, want []int32) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s = %v, want %v", call, got, want)
	}
}

func checkFold(t *testing.T, m *memory, r *rand.Rand, width int) {
	t.Helper()
	m.taken = 0
	code, a, b := place[byte](m, width), floats[float32](m, width), floats[float32](m, width)
	got, want := place[int8](m, width), make([]int8, width)
	for i := range code {
		code[i], a[i], b[i] = byte(r.Uint32()), float32(r.IntN(40)-20)/16, float32(r.IntN(2000)-1000)/8
		if i%7 == 0 {
			a[i], b[i] = float32(r.NormFloat64()*math.Pow(2, float64(r.IntN(250)-125))), float32(r.NormFloat64())*20
		}
	}
	Fold(got, code, a, b)
	foldGo(want, code, a, b)
	for i := range got {
		exact := max(-Limit, min(Limit, float64(a[i])*float64(code[i])+float64(b[i])))
		if got[i] != want[i] || math.Abs(float64(got[i])-exact) > 0.50001 {
			t.Fatalf("Fold, width %d: %d·%v+%v = %d, want %d", width, code[i], a[i], b[i], got[i], want[i])
		}
	}
}

func checkFloats(t *testing.T, m *memory, r *rand.Rand, width int) {
	t.Helper()
	m.taken = 0
	code, fine, w, v := place[byte](m, width), floats[uint16](m, width), floats[float32](m, width), floats[float32](m, width)
	var wantFine, want, size, sizeFine float64
	for i := range code {
		code[i], fine[i], w[i], v[i] = byte(r.Uint32()), uint16(r.Uint32()), float32(r.NormFloat64()), float32(r.NormFloat64())
		x := float64(w[i]) * float64(int(code[i])<<16+int(fine[i])-1<<23)
		wantFine, sizeFine = wantFine+x, sizeFine+math.Abs(x)
		x = float64(w[i]) * float64(v[i])
		want, size = want+x, size+math.Abs(x)
	}
	if got := DotFine(code, fine, w); math.Abs(float64(got)-wantFine) > 1e-6*sizeFine {
		t.Fatalf("DotFine, width %d: %v, want %v", width, got, wantFine)
	}
	for cut := range 3 {
		got := Dot(w[cut:], v[cut:])
		for i := range cut {
			got += w[i] * v[i]
		}
		if math.Abs(float64(got)-want) > 1e-6*size {
			t.Fatalf("Dot of %d numbers: %v, want %v", width-cut, got, want)
		}
	}
	checkHadamard(t, v[width-1<<(bits.Len(uint(width))-1):])
}

// checkHadamard leaves x transformed.
func checkHadamard(t *testing.T, x []float32) {
	t.Helper()
	want := slices.Clone(x)
	hadamardGo(want, float32(1/math.Sqrt(float64(len(x)))))
	Hadamard(x)
	for i := range x {
		if math.Float32bits(x[i]) != math.Float32bits(want[i]) {
			t.Fatalf("Hadamard of %d numbers: number %d is %v, in Go %v", len(x), i, x[i], want[i])
		}
	}
}

func TestHadamard(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 7))
		for n := 1; n <= 4096; n *= 2 {
			x, exact := make([]float32, n), make([]float64, n)
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
			for i := range exact {
				for j, y := range x {
					exact[i] += float64(y) * float64(1-2*(bits.OnesCount(uint(i&j))&1)) / math.Sqrt(float64(n))
				}
			}
			checkHadamard(t, x)
			for i := range x {
				if math.Abs(float64(x[i])-exact[i]) > 1e-5 {
					t.Fatalf("Hadamard of %d numbers: number %d is %v, want %v", n, i, x[i], exact[i])
				}
			}
		}
	})
}
