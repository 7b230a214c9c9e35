package clip

import "github.com/clipsearch/clipsearch/onnx"

// field is a picture's features as rows [batch·h·w,D], one for each place.
type field struct {
	rows *onnx.Value
	h, w int64
}

// fieldOf returns x [batch,D,h,w] as rows.
func fieldOf(g *onnx.Graph, x *onnx.Value) field {
	s := x.Shape()
	h, _ := s[2].Known()
	w, _ := s[3].Known()
	return field{g.Reshape(g.Transpose(x, 0, 2, 3, 1), batch.Times(onnx.N(h*w)), s[1]), h, w}
}

// planes returns f as [batch,D,h,w].
func (f field) planes(g *onnx.Graph) *onnx.Value {
	return g.Transpose(g.Reshape(f.rows, batch, onnx.N(f.h), onnx.N(f.w), f.rows.Shape()[1]), 0, 3, 1, 2)
}

// sequence is the places of f, row by row of the picture.
func (f field) sequence() sequence { return sequence{length: onnx.N(f.h * f.w)} }
