package onnx

import (
	"maps"
	"slices"
)

// Differentiable lists the operators that have gradients.
func Differentiable() []string { return slices.Sorted(maps.Keys(vjps)) }

// ReplayedOps returns the names of the operators that Replay knows, in order.
func ReplayedOps() []string { return slices.Sorted(maps.Keys(replayed)) }
