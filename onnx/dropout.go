package onnx

import "fmt"

// DropoutMask is an input of a training graph that drops elements out (Srivastava et
// al. 2014): whoever runs the graph fills it, with 0 for each element at the
// probability Ratio and 1/(1−Ratio) otherwise.
type DropoutMask struct {
	Name  string // of the float32 input
	Shape []int64
	Ratio float64
}

// Masks returns the masks that the graph has as inputs, in the order of their making.
func (g *Graph) Masks() []DropoutMask { return g.masks }

// Dropout drops elements of x out, ratio of them, and scales the others up. In a
// graph that [BuildTraining] makes it is a product with a mask; in others a Dropout
// node, which does nothing when it runs, and by which [Graph.Replay] knows where to
// drop.
func (g *Graph) Dropout(x *Value, ratio float64) *Value {
	if !(ratio >= 0 && ratio < 1) || x.typ != Float {
		g.failf("drop %v of %v", ratio, x)
	}
	if !g.training {
		return g.node("Dropout", x.typ, x.shape, []*Value{x, g.Scalar(float32(ratio))})
	}
	if ratio == 0 {
		return x
	}
	mask := DropoutMask{Name: fmt.Sprintf("dropout/%d", len(g.masks)), Ratio: ratio}
	for _, d := range x.shape {
		n, known := d.Known()
		if !known {
			g.failf("drop out of %v, whose shape is not known", x)
		}
		mask.Shape = append(mask.Shape, n)
	}
	g.masks = append(g.masks, mask)
	return g.Mul(x, g.Input(mask.Name, Float, x.shape...))
}
