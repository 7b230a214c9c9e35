// Package engine computes the loss of a step and its gradients.
//
// Towers are inference graphs. The engine replays them into training graphs, in which
// the weights that are trained are inputs, adds a loss and the whole backward pass,
// and lets ONNX Runtime run the result. All weights lie in one slice, W, and their
// gradients in another, G; the graphs' inputs and outputs are views of them, so that
// nothing is copied between a step and the optimizer's update.
//
// # Halves, chunks and parts
//
// A batch goes through the towers in two halves, side by side, each on its own half of
// the threads: forward, then the loss of the whole batch, then backward. What the
// backward pass needs is kept in between. Within a half, chunks of a few pictures or
// texts follow one another in one graph, since what is worked on then stays in the
// caches. With GradCache (Gao et al. 2021) there are parts in the place of halves, one
// after the other, and nothing is kept but the features: the backward pass begins with
// the inputs again. The memory that takes does not grow with the batch.
package engine
