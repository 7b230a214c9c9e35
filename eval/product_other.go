//go:build !amd64

package eval

// multiply computes the sums of b.
func (b *block) multiply() {
	b.sums = [len(b.sums)]float32{}
	b.scalar(0)
}
