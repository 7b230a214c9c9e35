package onnx

import (
	"maps"
	"slices"
)

// Differentiable lists the operators that have gradients.
func Differentiable() []string { return slices.Sorted(maps.Keys(vjps)) }
