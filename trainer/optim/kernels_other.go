//go:build !amd64

package optim

func update(w, g, m, v []float32, k *Factors)    { updateGo(w, g, m, v, k) }
func squares(sums *[chains]float64, g []float32) { squaresGo(sums, g) }
func add(sum, x []float32)                       { addGo(sum, x) }
func average(mean, w []float32, share float32)   { averageGo(mean, w, share) }
