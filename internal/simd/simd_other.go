//go:build !amd64 && !arm64

package simd

func highest() level { return inGo }

func scoreRun(out []int32, codes []byte, q []int8) { scoreRunGo(out, codes, q) }

func scoreRows(out []int32, chunks []*byte, shift uint, rows []uint32, q []int8) {
	scoreRowsGo(out, chunks, shift, rows, q)
}

func scoreQueries(out []int32, code []byte, queries []int8) { scoreQueriesGo(out, code, queries) }

func coarseRun(out []int32, codes []byte, q []int8) { coarseRunGo(out, codes, q) }

func coarseRows(out []int32, chunks []*byte, shift uint, rows []uint32, q []int8) {
	coarseRowsGo(out, chunks, shift, rows, q)
}

func coarseQueries(out []int32, code []byte, queries []int8) { coarseQueriesGo(out, code, queries) }

func fold(q []int8, code []byte, a, b []float32) { foldGo(q, code, a, b) }

func dotFine(code []byte, fine []uint16, w []float32) float32 { return dotFineGo(code, fine, w) }

func dot(a, b []float32) float32 { return dotGo(a, b) }

func hadamard(x []float32, scale float32) { hadamardGo(x, scale) }

func prefetch(*byte, int) {}
