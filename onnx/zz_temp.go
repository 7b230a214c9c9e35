package onnx

// Clip is taken over by w/grad's.
func (g *Graph) Clip(x *Value, low, high float64) *Value {
	return g.node("Clip", x.typ, x.shape, []*Value{x, g.Scalar(float32(low)), g.Scalar(float32(high))})
}
