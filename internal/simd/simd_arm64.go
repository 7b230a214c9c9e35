package simd

import "golang.org/x/sys/cpu"

const (
	inNEON level = 1 // every 64-bit ARM processor has it
	inSDOT level = 2 // those of 2018 and later
)

func highest() level {
	if cpu.ARM64.HasASIMDDP {
		return inSDOT
	}
	return inNEON
}

func (k kernel) score(out *int32, rows *group, other *byte, width int) {
	switch {
	case k == scoreKernel && using == inSDOT:
		scoreFourSDOT(out, rows, other, width)
	case k == scoreKernel:
		scoreFourNEON(out, rows, other, width)
	case k == scoreQueriesKernel && using == inSDOT:
		scoreQueriesFourSDOT(out, rows, other, width)
	case k == scoreQueriesKernel:
		scoreQueriesFourNEON(out, rows, other, width)
	case k == coarseKernel && using == inSDOT:
		coarseFourSDOT(out, rows, other, width)
	case k == coarseKernel:
		coarseFourNEON(out, rows, other, width)
	case k == coarseQueriesKernel && using == inSDOT:
		coarseQueriesFourSDOT(out, rows, other, width)
	case k == coarseQueriesKernel:
		coarseQueriesFourNEON(out, rows, other, width)
	}
}

func scoreRun(out []int32, codes []byte, q []int8) {
	if using == inGo {
		scoreRunGo(out, codes, q)
		return
	}
	scoreKernel.run(out, &codes[0], len(q), first(q), len(q))
}

func scoreRows(out []int32, chunks []*byte, shift uint, rows []uint32, q []int8) {
	if using == inGo {
		scoreRowsGo(out, chunks, shift, rows, q)
		return
	}
	scoreKernel.rows(out, chunks, shift, rows, len(q), first(q), len(q))
}

func scoreQueries(out []int32, code []byte, queries []int8) {
	if using == inGo {
		scoreQueriesGo(out, code, queries)
		return
	}
	scoreQueriesKernel.run(out, first(queries), len(code), &code[0], len(code))
}

func coarseRun(out []int32, codes []byte, q []int8) {
	if using == inGo {
		coarseRunGo(out, codes, q)
		return
	}
	coarseKernel.run(out, &codes[0], len(q)/2, first(q), len(q))
}

func coarseRows(out []int32, chunks []*byte, shift uint, rows []uint32, q []int8) {
	if using == inGo {
		coarseRowsGo(out, chunks, shift, rows, q)
		return
	}
	coarseKernel.rows(out, chunks, shift, rows, len(q)/2, first(q), len(q))
}

func coarseQueries(out []int32, code []byte, queries []int8) {
	if using == inGo {
		coarseQueriesGo(out, code, queries)
		return
	}
	coarseQueriesKernel.run(out, first(queries), 2*len(code), &code[0], 2*len(code))
}

func fold(q []int8, code []byte, a, b []float32) {
	if using == inGo {
		foldGo(q, code, a, b)
		return
	}
	foldNEON(&q[0], &code[0], &a[0], &b[0], len(q))
}

func dotFine(code []byte, fine []uint16, w []float32) float32 {
	if using == inGo {
		return dotFineGo(code, fine, w)
	}
	return dotFineNEON(&code[0], &fine[0], &w[0], len(w))
}

func dot(a, b []float32) float32 {
	if using == inGo {
		return dotGo(a, b)
	}
	return dotNEON(&a[0], &b[0], len(a))
}

func hadamard(x []float32, scale float32) {
	if using == inGo || len(x) < 16 {
		hadamardGo(x, scale)
		return
	}
	hadamardNEON(&x[0], len(x), scale)
}

// In all of these the lengths are those of the slices behind the pointers: a multiple
// of 32 numbers, of 64 for codes of 4 bits, and not zero.

//go:noescape
func scoreFourNEON(out *int32, rows *group, q *byte, width int)

//go:noescape
func scoreFourSDOT(out *int32, rows *group, q *byte, width int)

//go:noescape
func scoreQueriesFourNEON(out *int32, rows *group, code *byte, width int)

//go:noescape
func scoreQueriesFourSDOT(out *int32, rows *group, code *byte, width int)

//go:noescape
func coarseFourNEON(out *int32, rows *group, q *byte, width int)

//go:noescape
func coarseFourSDOT(out *int32, rows *group, q *byte, width int)

//go:noescape
func coarseQueriesFourNEON(out *int32, rows *group, code *byte, width int)

//go:noescape
func coarseQueriesFourSDOT(out *int32, rows *group, code *byte, width int)

//go:noescape
func foldNEON(q *int8, code *byte, a, b *float32, width int)

//go:noescape
func dotFineNEON(code *byte, fine *uint16, w *float32, width int) float32

//go:noescape
func dotNEON(a, b *float32, width int) float32

//go:noescape
func hadamardNEON(x *float32, n int, scale float32)

//go:noescape
func prefetch(p *byte, n int)
