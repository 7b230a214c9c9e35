package clip

import "github.com/clipsearch/clipsearch/onnx"

// smallestInt8 is how many weights a layer must have to be worth quantizing.
const smallestInt8 = 1 << 14

// quantized is a value by rows: uint8 around 128, and what one step is worth in
// each row.
type quantized struct{ x, zero, scale *onnx.Value }

// gemmInt8 is to be replaced: see the issue.
func (p *params) gemmInt8(x *onnx.Value, t Tensor, from, to int, bias *onnx.Value) *onnx.Value {
	return p.g.Gemm(x, p.part(t, from*t.Shape[1], to*t.Shape[1], to-from, t.Shape[1]), bias, true)
}
