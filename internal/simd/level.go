package simd

import (
	"math"
	"slices"
)

// A level is a set of versions; a higher one needs more of the processor.
type level int

const inGo level = 0

// using is the level whose versions run: the highest that the processor has and that
// computes what the versions in Go do.
var using level

func init() { using = choose(highest(), agrees) }

// choose returns l, or the next level below it that can be trusted: a processor or an
// emulator may have an instruction and err in it.
func choose(l level, trusted func() bool) level {
	for ; l > inGo; l-- {
		if using = l; trusted() {
			break
		}
	}
	return l
}

// agrees reports whether the versions in use compute what those in Go do: on seven
// rows, of more than one block and a half, whose numbers reach their limits.
func agrees() bool {
	const n, width = 7, 576
	codes, queries := make([]byte, n*width), make([]int8, n*width)
	x := uint32(1)
	for i := range codes {
		x = x*1664525 + 1013904223
		codes[i], queries[i] = byte(x>>24), int8(x>>8%(2*Limit+1))-Limit
	}
	for i := range 64 {
		codes[i], codes[64+i], queries[i], queries[64+i] = 255, 255, Limit, -Limit
	}
	return agreeOnScores(codes, queries, n, width) && agreeOnFloats(codes[:width], queries[:width])
}

func agreeOnScores(codes []byte, queries []int8, n, width int) bool {
	half, odd := codes[:n*width/2], width-Align
	q, whole := queries[:width], codes[:n*odd]
	rows, chunks := []uint32{6, 0, 3, 3, 5, 1, 2}, []*byte{&codes[0], &codes[4*odd]}
	pairs := []struct{ version, inGo func(out []int32) }{
		{func(o []int32) { scoreRun(o, whole, q[:odd]) }, func(o []int32) { scoreRunGo(o, whole, q[:odd]) }},
		{func(o []int32) { scoreRows(o, chunks, 2, rows, q[:odd]) }, func(o []int32) { scoreRowsGo(o, chunks, 2, rows, q[:odd]) }},
		{func(o []int32) { scoreQueries(o, codes[:odd], queries[:n*odd]) }, func(o []int32) { scoreQueriesGo(o, codes[:odd], queries[:n*odd]) }},
		{func(o []int32) { coarseRun(o, half, q) }, func(o []int32) { coarseRunGo(o, half, q) }},
		{func(o []int32) { coarseRows(o, chunks, 2, rows, q) }, func(o []int32) { coarseRowsGo(o, chunks, 2, rows, q) }},
		{func(o []int32) { coarseQueries(o, codes[:width/2], queries) }, func(o []int32) { coarseQueriesGo(o, codes[:width/2], queries) }},
	}
	got, want := make([]int32, n), make([]int32, n)
	for _, p := range pairs {
		p.version(got)
		p.inGo(want)
		if !slices.Equal(got, want) {
			return false
		}
	}
	return true
}

// agreeOnFloats uses numbers of so few digits that no sum is rounded: whatever its
// order, it is the same.
func agreeOnFloats(code []byte, numbers []int8) bool {
	n := len(code)
	fine, v, w := make([]uint16, n), make([]float32, n), make([]float32, n)
	for i, c := range code {
		fine[i], v[i], w[i] = uint16(c)<<12, float32(numbers[i])/8, float32(c&3)
	}
	q, folded := make([]int8, n), make([]int8, n)
	fold(q, code, w, v)
	foldGo(folded, code, w, v)
	x, y := v[:512], slices.Clone(v[:512])
	agree := slices.Equal(q, folded) && dotFine(code, fine, w) == dotFineGo(code, fine, w) && dot(v, w) == dotGo(v, w)
	hadamard(x, math.Sqrt2)
	hadamardGo(y, math.Sqrt2)
	return agree && slices.Equal(x, y)
}
