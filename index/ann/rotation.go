package ann

import "github.com/clipsearch/clipsearch/internal/simd"

// rotation turns vectors without changing their products, so that no dimension
// stands out: numbers of one size lose least when they are rounded with one step.
// It flips signs, then mixes with a Walsh-Hadamard transform; where the dimension
// is no power of two, the first and the last numbers in turn, so many as a power of
// two holds.
type rotation struct {
	dim, block int
	signs      [rounds][]float32
}

const rounds = 4 // of mixing one block where there are two that overlap

func newRotation(dim int) *rotation {
	t := &rotation{dim: dim, block: 1}
	for 2*t.block <= dim {
		t.block *= 2
	}
	x := uint64(0x9e3779b97f4a7c15)
	for i := range t.signs {
		t.signs[i] = make([]float32, dim)
		for j := range dim {
			x ^= x << 13 // xorshift64: part of the format, so not the library's
			x ^= x >> 7
			x ^= x << 17
			t.signs[i][j] = 1 - 2*float32(x>>63)
		}
	}
	return t
}

// turn writes v turned to dst, which may be v.
func (t *rotation) turn(dst, v []float32) {
	copy(dst[:t.dim], v)
	dst = dst[:t.dim]
	n := rounds
	if t.block == t.dim {
		n = 1
	}
	for i := range n {
		for j, s := range t.signs[i] {
			dst[j] *= s
		}
		if i%2 == 0 {
			simd.Hadamard(dst[:t.block])
		} else {
			simd.Hadamard(dst[t.dim-t.block:])
		}
	}
}
