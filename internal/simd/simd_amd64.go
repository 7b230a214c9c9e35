package simd

import "golang.org/x/sys/cpu"

const (
	inAVX2   level = 1 // and FMA
	inAVX512 level = 2 // F, BW, VL and VNNI
)

func highest() level {
	switch x := &cpu.X86; {
	case !x.HasAVX2 || !x.HasFMA:
		return inGo
	case !x.HasAVX512F || !x.HasAVX512BW || !x.HasAVX512VL || !x.HasAVX512VNNI:
		return inAVX2
	}
	return inAVX512
}

func (k kernel) score(out *int32, rows *group, other *byte, width int) {
	switch k {
	case scoreKernel:
		scoreFourVNNI(out, rows, other, width)
	case scoreQueriesKernel:
		scoreQueriesFourVNNI(out, rows, other, width)
	case coarseKernel:
		coarseFourVNNI(out, rows, other, width)
	case coarseQueriesKernel:
		coarseQueriesFourVNNI(out, rows, other, width)
	}
}

func scoreRun(out []int32, codes []byte, q []int8) {
	switch using {
	case inAVX512:
		scoreKernel.run(out, &codes[0], len(q), first(q), len(q))
	case inAVX2:
		scoreRunAVX2(&out[0], &codes[0], len(out), &q[0], len(q))
	default:
		scoreRunGo(out, codes, q)
	}
}

func scoreRows(out []int32, chunks []*byte, shift uint, rows []uint32, q []int8) {
	switch using {
	case inAVX512:
		scoreKernel.rows(out, chunks, shift, rows, len(q), first(q), len(q))
	case inAVX2:
		scoreRowsAVX2(&out[0], &chunks[0], uint64(shift), &rows[0], len(rows), &q[0], len(q))
	default:
		scoreRowsGo(out, chunks, shift, rows, q)
	}
}

func scoreQueries(out []int32, code []byte, queries []int8) {
	switch using {
	case inAVX512:
		scoreQueriesKernel.run(out, first(queries), len(code), &code[0], len(code))
	case inAVX2:
		scoreQueriesAVX2(&out[0], &code[0], len(out), &queries[0], len(code))
	default:
		scoreQueriesGo(out, code, queries)
	}
}

func coarseRun(out []int32, codes []byte, q []int8) {
	switch using {
	case inAVX512:
		coarseKernel.run(out, &codes[0], len(q)/2, first(q), len(q))
	case inAVX2:
		coarseRunAVX2(&out[0], &codes[0], len(out), &q[0], len(q))
	default:
		coarseRunGo(out, codes, q)
	}
}

func coarseRows(out []int32, chunks []*byte, shift uint, rows []uint32, q []int8) {
	switch using {
	case inAVX512:
		coarseKernel.rows(out, chunks, shift, rows, len(q)/2, first(q), len(q))
	case inAVX2:
		coarseRowsAVX2(&out[0], &chunks[0], uint64(shift), &rows[0], len(rows), &q[0], len(q))
	default:
		coarseRowsGo(out, chunks, shift, rows, q)
	}
}

func coarseQueries(out []int32, code []byte, queries []int8) {
	switch using {
	case inAVX512:
		coarseQueriesKernel.run(out, first(queries), 2*len(code), &code[0], 2*len(code))
	case inAVX2:
		coarseQueriesAVX2(&out[0], &code[0], len(out), &queries[0], 2*len(code))
	default:
		coarseQueriesGo(out, code, queries)
	}
}

// fold, dot and hadamard take so little of a search that AVX2 will do.

func fold(q []int8, code []byte, a, b []float32) {
	if using >= inAVX2 {
		foldAVX2(&q[0], &code[0], &a[0], &b[0], len(q))
		return
	}
	foldGo(q, code, a, b)
}

func dotFine(code []byte, fine []uint16, w []float32) float32 {
	switch using {
	case inAVX512:
		return dotFineAVX512(&code[0], &fine[0], &w[0], len(w))
	case inAVX2:
		return dotFineAVX2(&code[0], &fine[0], &w[0], len(w))
	}
	return dotFineGo(code, fine, w)
}

func dot(a, b []float32) float32 {
	if using >= inAVX2 {
		return dotAVX2(&a[0], &b[0], len(a))
	}
	return dotGo(a, b)
}

func hadamard(x []float32, scale float32) {
	if using >= inAVX2 && len(x) >= 32 {
		hadamardAVX2(&x[0], len(x), scale)
		return
	}
	hadamardGo(x, scale)
}

// In all of these the lengths are those of the slices behind the pointers: n rows
// of width numbers, width a multiple of 32, of 64 for codes of 4 bits, neither zero.

//go:noescape
func scoreRunAVX2(out *int32, codes *byte, n int, q *int8, width int)

//go:noescape
func scoreRowsAVX2(out *int32, chunks **byte, shift uint64, rows *uint32, n int, q *int8, width int)

//go:noescape
func scoreQueriesAVX2(out *int32, code *byte, n int, queries *int8, width int)

//go:noescape
func coarseRunAVX2(out *int32, codes *byte, n int, q *int8, width int)

//go:noescape
func coarseRowsAVX2(out *int32, chunks **byte, shift uint64, rows *uint32, n int, q *int8, width int)

//go:noescape
func coarseQueriesAVX2(out *int32, code *byte, n int, queries *int8, width int)

//go:noescape
func foldAVX2(q *int8, code *byte, a, b *float32, width int)

//go:noescape
func dotFineAVX2(code *byte, fine *uint16, w *float32, width int) float32

//go:noescape
func dotAVX2(a, b *float32, width int) float32

//go:noescape
func hadamardAVX2(x *float32, n int, scale float32)

//go:noescape
func prefetch(p *byte, n int)

//go:noescape
func scoreFourVNNI(out *int32, rows *group, q *byte, width int)

//go:noescape
func scoreQueriesFourVNNI(out *int32, rows *group, code *byte, width int)

//go:noescape
func coarseFourVNNI(out *int32, rows *group, q *byte, width int)

//go:noescape
func coarseQueriesFourVNNI(out *int32, rows *group, code *byte, width int)

//go:noescape
func dotFineAVX512(code *byte, fine *uint16, w *float32, width int) float32
