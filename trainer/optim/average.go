package optim

// Average moves the mean of the weights of all steps towards those of this one:
// each step back counts decay times less.
func Average(mean, w []float32, decay float64, threads int) {
	d := float32(1 - decay)
	Blocks(len(w), threads, func(from, to int) {
		average(mean[from:to], w[from:to], d)
	})
}

// Add adds x to sum.
func Add(sum, x []float32, threads int) {
	Blocks(len(x), threads, func(from, to int) {
		add(sum[from:to], x[from:to])
	})
}
