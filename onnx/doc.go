// Package onnx holds ONNX graphs as Go values: a typed builder that knows the
// shape of every value, a writer and a reader of the wire format. It runs nothing;
// internal/ort does.
//
//	m, err := onnx.Build("relu", func(g *onnx.Graph) {
//		x := g.Input("x", onnx.Float, onnx.Sym("batch"), onnx.N(8))
//		g.Output("y", g.Relu(x))
//	})
//
// Build is how networks are written (package clip): an operator that is given
// shapes which do not fit ends it with an error that names the operator and the
// shapes, so that the networks themselves read as the formulas do.
//
// Dimensions are numbers or products of names and numbers ("batch·49"). Where the
// format has several ways to say a thing, the builder has the one that ONNX Runtime
// runs fastest: linear layers are Gemm over rows, with the weights as PyTorch
// stores them, and attention, GELU and layer normalization are one node each.
//
// [BuildTraining] makes graphs that compute gradients: [Graph.Replay] takes a network
// into one, and [Graph.Backward] adds the way back, one rule an operator
// (grad_*.go). ONNX Runtime then does all the arithmetic of a training step.
//
// Weights need not be in memory: a [Tensor] may say in which file, at what offset,
// its bytes lie ([External]), as ONNX Runtime maps them.
//
// # Training
//
// A network that is trained is an inference graph. [Graph.Replay] adds it to a graph
// that [BuildTraining] makes, with its weights as inputs, and [Graph.Backward] adds
// the gradients. [Model.Split] takes off what is frozen, which runs once.
package onnx
