// Package ingraph is AdamW as ONNX graphs: what package optim does in Go, ONNX Runtime
// does here, on whatever it runs on.
//
// # Two graphs
//
// One computes the length of the gradient, of all parameters at once. The caller is told
// it before anything moves, and a gradient that is not finite moves nothing: so this is a
// run of its own, and the factor that clips goes into the second graph with the other
// constants of an update, which are numbers that it is given (learning rate, decay,
// epsilon and the corrections of the means; see [optim.Factors]).
//
// The second is the update of some numbers: weights, gradient and means in, new weights
// and means out. It is run once for each batch of parameters that are updated alike; small
// ones are put together for that, large ones cut.
//
// # Memory
//
// A run must never write what it reads: ONNX Runtime would not say so, and the numbers
// would be wrong. Twice the weights and means, taking turns, would be the simple way
// (12 or 16 bytes a parameter more). Here a run's results have memory of their own, a
// batch long, and are copied from there: 28 to 36 bytes for each of [Options.Batch]
// numbers, 9 MB at most as it is, however large the network. The slices that a caller
// holds stay where they are.
//
// # What it does not do
//
// The state stays in the host's memory. The binding to ONNX Runtime makes values of the
// host's memory only: an IoBinding takes them for inputs and outputs, but there is no way
// to bind an output to a device, nor to give what a run has left there to the next. So
// with a provider of a device all of it crosses the bus at every update: 20 bytes a
// parameter there, 4 of them for the length, and 12 back; with a mean 24 and 16. On the
// processor package optim takes a seventh of the time: this one goes through memory for
// every operator, and that one once.
package ingraph
