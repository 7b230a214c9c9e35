// Package engine computes the loss of a step and its gradients.
//
// Towers are inference graphs. The engine replays them into training graphs, in which
// the weights that are trained are inputs, adds a loss and the whole backward pass,
// and lets ONNX Runtime run the result. All weights lie in one slice, W, and their
// gradients in another, G; the graphs' inputs and outputs are views of them, so that
// nothing is copied between a step and the optimizer's update.
//
// # Chunks and parts
//
// A batch is cut into chunks of a few pictures or texts, which follow one another in
// one graph, since what is worked on then stays in the caches. With GradCache (Gao et
// al. 2021) it is cut into parts, too, and each is run twice: once for its features,
// and, when the loss of the whole batch has said how these should move, once more for
// the gradients. The memory that takes does not grow with the batch.
package engine
