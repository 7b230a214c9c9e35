package optim

// Zeros returns memory for so many numbers that are worked on from end to end: in large
// pages, where the system has them.
func Zeros(n int) []float32 {
	x := make([]float32, n)
	wishLarge(x)
	return x
}
