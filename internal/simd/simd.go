package simd

import "math"

// ScoreRun computes out[r] = Σ codes[r*len(q)+i]·q[i] for the rows that out has
// room for. codes holds exactly as many.
func ScoreRun(out []int32, codes []byte, q []int8) {
	if len(codes) != len(out)*len(q) || len(q)%Align != 0 {
		panic("simd: rows of another length than the query")
	}
	if len(out) > 0 && len(q) > 0 {
		scoreRun(out, codes, q)
	}
}

// ScoreRows computes out[i] as [ScoreRun] does, for the row rows[i]: it is row
// rows[i]&(1<<shift-1) of chunks[rows[i]>>shift], which is there and holds 1<<shift
// rows. It fetches rows ahead, since they lie anywhere.
func ScoreRows(out []int32, chunks []*byte, shift uint, rows []uint32, q []int8) {
	if len(out) < len(rows) || len(q)%Align != 0 {
		panic("simd: no room for the scores, or a query of a wrong length")
	}
	if !within(rows, len(chunks), shift) {
		panic("simd: a row beyond the last chunk")
	}
	if len(rows) > 0 && len(q) > 0 {
		scoreRows(out, chunks, shift, rows, q)
	}
}

// within reports whether rows lie in so many chunks.
func within(rows []uint32, chunks int, shift uint) bool {
	var last uint32
	for _, r := range rows {
		last = max(last, r)
	}
	return len(rows) == 0 || int(last>>shift) < chunks
}

// ScoreQueries computes out[r] = Σ code[i]·queries[r*len(code)+i]: one row against
// the queries that out has room for.
func ScoreQueries(out []int32, code []byte, queries []int8) {
	if len(queries) != len(out)*len(code) || len(code)%Align != 0 {
		panic("simd: queries of another length than the row")
	}
	if len(out) > 0 && len(code) > 0 {
		scoreQueries(out, code, queries)
	}
}

// CoarseRun is [ScoreRun] for codes of 4 bits, 0 to 15, two a byte: of 64 numbers the
// first 32 are the lower halves of 32 bytes and the others the upper halves. The
// length of a query is a multiple of 2·[Align], that of a row half of it.
func CoarseRun(out []int32, codes []byte, q []int8) {
	if 2*len(codes) != len(out)*len(q) || len(q)%(2*Align) != 0 {
		panic("simd: rows of another length than the query")
	}
	if len(out) > 0 && len(q) > 0 {
		coarseRun(out, codes, q)
	}
}

// CoarseRows is [ScoreRows] for codes of 4 bits, packed as for [CoarseRun].
func CoarseRows(out []int32, chunks []*byte, shift uint, rows []uint32, q []int8) {
	if len(out) < len(rows) || len(q)%(2*Align) != 0 {
		panic("simd: no room for the scores, or a query of a wrong length")
	}
	if !within(rows, len(chunks), shift) {
		panic("simd: a row beyond the last chunk")
	}
	if len(rows) > 0 && len(q) > 0 {
		coarseRows(out, chunks, shift, rows, q)
	}
}

// CoarseQueries is [ScoreQueries] for a row of codes of 4 bits, packed as for
// [CoarseRun].
func CoarseQueries(out []int32, code []byte, queries []int8) {
	if len(queries) != 2*len(out)*len(code) || len(code)%Align != 0 {
		panic("simd: queries of another length than the row")
	}
	if len(out) > 0 && len(code) > 0 {
		coarseQueries(out, code, queries)
	}
}

// Fold computes q[i] = a[i]·code[i] + b[i], product and sum rounded as float32, kept
// within [Limit] and rounded to the nearest (a half to the even one). a and b are
// finite. All have the same length, a multiple of [Align].
func Fold(q []int8, code []byte, a, b []float32) {
	if len(code) != len(q) || len(a) != len(q) || len(b) != len(q) || len(q)%Align != 0 {
		panic("simd: fold slices of different lengths")
	}
	if len(q) > 0 {
		fold(q, code, a, b)
	}
}

// DotFine computes Σ w[i]·(65536·code[i] + fine[i] − 2^23): the inner product with
// a vector of 24-bit fixed-point numbers. All have the same length, a multiple of
// [Align].
func DotFine(code []byte, fine []uint16, w []float32) float32 {
	if len(fine) != len(code) || len(w) != len(code) || len(w)%Align != 0 {
		panic("simd: fine slices of different lengths")
	}
	if len(w) == 0 {
		return 0
	}
	return dotFine(code, fine, w)
}

// Dot computes Σ a[i]·b[i]. Both have the same length, whichever.
func Dot(a, b []float32) float32 {
	if len(a) != len(b) {
		panic("simd: dot of slices of different lengths")
	}
	n := len(a) &^ 31
	var sum float32
	if n > 0 {
		sum = dot(a[:n], b[:n])
	}
	for i := n; i < len(a); i++ {
		sum += a[i] * b[i]
	}
	return sum
}

// Hadamard multiplies x, whose length is a power of two, with the Walsh-Hadamard
// matrix that keeps its length. All versions compute the same bits.
func Hadamard(x []float32) {
	n := len(x)
	if n == 0 || n&(n-1) != 0 {
		panic("simd: a length that is no power of two")
	}
	hadamard(x, float32(1/math.Sqrt(float64(n))))
}

// Prefetch asks for the n bytes at p, which will be read soon. It changes nothing,
// and any p will do.
func Prefetch(p *byte, n int) { prefetch(p, n) }
