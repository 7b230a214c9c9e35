// Package optim moves weights along gradients: AdamW, clipping, the schedule of the
// learning rate and the moving average, on flat slices that hold all parameters
// one after another.
//
// Slices are worked on in blocks of one size, whoever does it, and sums are taken
// per block and then in the order of the blocks: the number of threads does not show
// in the result.
package optim
