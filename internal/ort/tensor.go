package ort

import (
	"errors"
	"fmt"
	"runtime"

	onnx "github.com/yalue/onnxruntime_go"
)

// Tensor is a value in or out: its shape and, in row-major order, the elements
// of one of the types.
type Tensor struct {
	Shape []int64
	F32   []float32
	I64   []int64
	I32   []int32
	U8    []uint8
}

func (t Tensor) value(pinned *runtime.Pinner) (onnx.Value, error) {
	switch {
	case len(t.F32) > 0:
		return newValue(pinned, t.Shape, t.F32)
	case len(t.I64) > 0:
		return newValue(pinned, t.Shape, t.I64)
	case len(t.I32) > 0:
		return newValue(pinned, t.Shape, t.I32)
	case len(t.U8) > 0:
		return newValue(pinned, t.Shape, t.U8)
	}
	return nil, fmt.Errorf("a tensor of shape %v without elements", t.Shape)
}

func newValue[T onnx.TensorData](pinned *runtime.Pinner, shape []int64, data []T) (onnx.Value, error) {
	if len(shape) == 0 {
		return nil, errors.New("a tensor without a shape")
	}
	left := int64(len(data))
	for _, d := range shape {
		if d <= 0 || left%d != 0 {
			return nil, fmt.Errorf("%d elements for the shape %v", len(data), shape)
		}
		left /= d
	}
	if left != 1 {
		return nil, fmt.Errorf("%d elements for the shape %v", len(data), shape)
	}
	pinned.Pin(&data[0])
	return onnx.NewTensor(onnx.Shape(shape), data)
}

// destroy frees values; those of a run that failed may be nil.
func destroy(values []onnx.Value) {
	for _, v := range values {
		if v != nil {
			v.Destroy()
		}
	}
}

// tensorsOf frees the results. The binding has copied their elements to Go's
// memory already.
func tensorsOf(values []onnx.Value) ([]Tensor, error) {
	tensors := make([]Tensor, 0, len(values))
	var wrong error
	for _, v := range values {
		t, err := tensorOf(v)
		wrong = errors.Join(wrong, err, v.Destroy())
		tensors = append(tensors, t)
	}
	return tensors, wrong
}

func tensorOf(v onnx.Value) (Tensor, error) {
	t := Tensor{Shape: append([]int64(nil), v.GetShape()...)}
	switch v := v.(type) {
	case *onnx.Tensor[float32]:
		t.F32 = v.GetData()
	case *onnx.Tensor[int64]:
		t.I64 = v.GetData()
	case *onnx.Tensor[int32]:
		t.I32 = v.GetData()
	case *onnx.Tensor[uint8]:
		t.U8 = v.GetData()
	default:
		return Tensor{}, fmt.Errorf("the graph answers with %T, not with float32, int64, int32 or uint8", v)
	}
	return t, nil
}
