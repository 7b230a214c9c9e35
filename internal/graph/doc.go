// Package graph reads what an ONNX file says of itself, its inputs, outputs and
// the files of its weights, without running it, and cuts from a graph with several
// answers the part that makes one of them.
package graph
