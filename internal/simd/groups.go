//go:build amd64 || arm64

package simd

import "unsafe"

// A group is what a kernel scores at once: four rows, while it fetches as many bytes
// from where four more begin. What it fetches may lie anywhere.
type group struct {
	rows [4]*byte
	soon [4]uintptr
}

// ahead is how many rows before its turn a row is fetched.
const ahead = 8

// A kernel scores the rows of a group against other, of width numbers.
type kernel int

const (
	scoreKernel         kernel = iota // rows of codes, other is a query
	scoreQueriesKernel                // rows are queries, other is a row of codes
	coarseKernel                      // as scoreKernel, for codes of 4 bits
	coarseQueriesKernel               // as scoreQueriesKernel, for codes of 4 bits
)

func first(q []int8) *byte { return (*byte)(unsafe.Pointer(&q[0])) }

// run scores rows from first on, each length bytes after the one before.
func (k kernel) run(out []int32, first *byte, length int, other *byte, width int) {
	var g group
	var left [4]int32
	for at := 0; at < len(out); at += 4 {
		for i := range g.rows {
			row := min(at+i, len(out)-1) // a group that is not full holds the last row again
			g.rows[i] = (*byte)(unsafe.Add(unsafe.Pointer(first), row*length))
			g.soon[i] = uintptr(unsafe.Pointer(g.rows[i])) + uintptr(ahead*length)
		}
		if at+4 <= len(out) {
			k.score(&out[at], &g, other, width)
		} else {
			k.score(&left[0], &g, other, width)
			copy(out[at:], left[:])
		}
	}
}

// rows scores rows that lie in chunks.
func (k kernel) rows(out []int32, chunks []*byte, shift uint, rows []uint32, length int, other *byte, width int) {
	address := func(i int) *byte {
		r := rows[min(i, len(rows)-1)]
		return (*byte)(unsafe.Add(unsafe.Pointer(chunks[r>>shift]), int(r&(1<<shift-1))*length))
	}
	for i := range min(ahead, len(rows)) {
		prefetch(address(i), length)
	}
	var g group
	var left [4]int32
	for at := 0; at < len(rows); at += 4 {
		for i := range g.rows {
			g.rows[i] = address(at + i)
			g.soon[i] = uintptr(unsafe.Pointer(address(at + i + ahead)))
		}
		if at+4 <= len(rows) {
			k.score(&out[at], &g, other, width)
		} else {
			k.score(&left[0], &g, other, width)
			copy(out[at:len(rows)], left[:])
		}
	}
}
