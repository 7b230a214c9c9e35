package optim

// Average moves the mean of the weights of all steps towards those of this one:
// each step back counts decay times less.
func Average(mean, w []float32, decay float64, threads int) {
	d := float32(1 - decay)
	blocks(len(w), threads, func(_, from, to int) {
		m := mean[from:to]
		for i, x := range w[from:to] {
			m[i] += (x - m[i]) * d
		}
	})
}
