package simd

import "golang.org/x/sys/cpu"

// wide says that the AVX2 versions can run.
var wide = cpu.X86.HasAVX2 && cpu.X86.HasFMA

func scoreRun(out []int32, codes []byte, q []int8) {
	if wide {
		scoreRunAVX2(&out[0], &codes[0], len(out), &q[0], len(q))
		return
	}
	scoreRunGo(out, codes, q)
}

func scoreRows(out []int32, chunks []*byte, shift uint, rows []uint32, q []int8) {
	if wide {
		scoreRowsAVX2(&out[0], &chunks[0], uint64(shift), &rows[0], len(rows), &q[0], len(q))
		return
	}
	scoreRowsGo(out, chunks, shift, rows, q)
}

func scoreQueries(out []int32, code []byte, queries []int8) {
	if wide {
		scoreQueriesAVX2(&out[0], &code[0], len(out), &queries[0], len(code))
		return
	}
	scoreQueriesGo(out, code, queries)
}

func coarseRun(out []int32, codes []byte, q []int8) {
	if wide {
		coarseRunAVX2(&out[0], &codes[0], len(out), &q[0], len(q))
		return
	}
	coarseRunGo(out, codes, q)
}

func coarseRows(out []int32, chunks []*byte, shift uint, rows []uint32, q []int8) {
	if wide {
		coarseRowsAVX2(&out[0], &chunks[0], uint64(shift), &rows[0], len(rows), &q[0], len(q))
		return
	}
	coarseRowsGo(out, chunks, shift, rows, q)
}

func coarseQueries(out []int32, code []byte, queries []int8) {
	if wide {
		coarseQueriesAVX2(&out[0], &code[0], len(out), &queries[0], 2*len(code))
		return
	}
	coarseQueriesGo(out, code, queries)
}

func fold(q []int8, code []byte, a, b []float32) {
	if wide {
		foldAVX2(&q[0], &code[0], &a[0], &b[0], len(q))
		return
	}
	foldGo(q, code, a, b)
}

func dotFine(code []byte, fine []uint16, w []float32) float32 {
	if wide {
		return dotFineAVX2(&code[0], &fine[0], &w[0], len(w))
	}
	return dotFineGo(code, fine, w)
}

func dot(a, b []float32) float32 {
	if wide {
		return dotAVX2(&a[0], &b[0], len(a))
	}
	return dotGo(a, b)
}

func hadamard(x []float32, scale float32) {
	if wide && len(x) >= 32 {
		hadamardAVX2(&x[0], len(x), scale)
		return
	}
	hadamardGo(x, scale)
}

// In all of these the lengths are those of the slices behind the pointers: n rows
// of width numbers, width a multiple of 32 and neither zero.

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
