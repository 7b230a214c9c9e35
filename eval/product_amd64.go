package eval

import "golang.org/x/sys/cpu"

var wide = cpu.X86.HasAVX2 && cpu.X86.HasFMA

// multiply computes the sums of b.
func (b *block) multiply() {
	b.sums = [len(b.sums)]float32{}
	n := 0
	if wide {
		n = len(b.cols[0]) &^ 7
	}
	if n > 0 {
		rows := [blockRows]*float32{&b.rows[0][0], &b.rows[1][0], &b.rows[2][0], &b.rows[3][0]}
		cols := [blockCols]*float32{&b.cols[0][0], &b.cols[1][0], &b.cols[2][0]}
		multiplyAVX2(&rows, &cols, n, &b.sums)
	}
	if n < len(b.cols[0]) {
		b.scalar(n)
	}
}

// multiplyAVX2 computes the sums over the first n numbers, eight at a time: n is
// a multiple of eight and not zero.
//
//go:noescape
func multiplyAVX2(rows *[blockRows]*float32, cols *[blockCols]*float32, n int, sums *[blockRows * blockCols]float32)
