package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Model is an ONNX file: one graph and the operator sets that it is written in.
// [Build] makes one, [Read] reads one; it may be changed in between.
type Model struct {
	IR       int64 // version of the format
	Producer string
	Opsets   []Opset

	Name            string
	Inputs, Outputs []Port
	Nodes           []*Node
	Initializers    []*Tensor
	Info            []Port // what the file says of inner values; may be empty

	// Rows is how many rows the largest product of matrices has for one of a batch, as
	// far as [Build] knows: the patches of a picture. It is not written.
	Rows int64

	functions [][]byte // as they were read
	metadata  [][]byte
}

// Opset names a set of operators: "" is ONNX's own.
type Opset struct {
	Domain  string
	Version int64
}

// Port is an input or output of a graph.
type Port struct {
	Name  string
	Type  Type
	Shape Shape
}

// Node is one operation. An input that is left out is named "".
type Node struct {
	Name, Op, Domain string
	Inputs, Outputs  []string
	Attrs            []Attr
}

// Attr is an attribute of a node. Value is a float32, int64, string, *Tensor,
// []float32, []int64, []string, or what [Read] met and passes on as it is.
type Attr struct {
	Name  string
	Value any
}

// Attr returns the value of an attribute, or nil.
func (n *Node) Attr(name string) any {
	for _, a := range n.Attrs {
		if a.Name == name {
			return a.Value
		}
	}
	return nil
}

// Type is the type of a tensor's elements, by its number in onnx.proto.
type Type int32

const (
	Float    Type = 1
	Uint8    Type = 2
	Int8     Type = 3
	Int32    Type = 6
	Int64    Type = 7
	Bool     Type = 9
	Float16  Type = 10
	Double   Type = 11
	BFloat16 Type = 16
)

var typeNames = map[Type]string{
	Float: "float32", Uint8: "uint8", Int8: "int8", Int32: "int32", Int64: "int64",
	Bool: "bool", Float16: "float16", Double: "float64", BFloat16: "bfloat16",
}

func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("type %d", int32(t))
}

// Size returns the bytes of one element, 0 if they are not known here.
func (t Type) Size() int64 {
	switch t {
	case Uint8, Int8, Bool:
		return 1
	case Float16, BFloat16:
		return 2
	case Float, Int32:
		return 4
	case Int64, Double:
		return 8
	}
	return 0
}

// Tensor is a constant: its bytes, little endian and in row-major order, or else
// the file that they lie in.
type Tensor struct {
	Name     string
	Type     Type
	Dims     []int64
	Raw      []byte
	External *External // nil: Raw holds the bytes
}

// External says where a tensor's bytes lie.
type External struct {
	Location       string // a file beside the model, with slashes
	Offset, Length int64
}

// Len returns the number of elements, or an error if the dimensions are negative
// or their product is no int64.
func (t *Tensor) Len() (int64, error) {
	n := int64(1)
	for _, d := range t.Dims {
		if d < 0 || d > 0 && n > math.MaxInt64/8/d {
			return 0, fmt.Errorf("tensor %s has the shape %v", t.Name, t.Dims)
		}
		n *= d
	}
	return n, nil
}

// Float32s returns a copy of the elements of a float32 tensor that is in memory.
func (t *Tensor) Float32s() ([]float32, error) {
	n, err := t.Len()
	if err != nil {
		return nil, err
	}
	if t.Type != Float || t.External != nil || int64(len(t.Raw)) != 4*n {
		return nil, fmt.Errorf("tensor %s (%v %v) holds no float32 in memory", t.Name, t.Type, t.Dims)
	}
	out := make([]float32, n)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[4*i:]))
	}
	return out, nil
}

// Int64s returns a copy of the elements of an int64 tensor that is in memory.
func (t *Tensor) Int64s() ([]int64, error) {
	n, err := t.Len()
	if err != nil {
		return nil, err
	}
	if t.Type != Int64 || t.External != nil || int64(len(t.Raw)) != 8*n {
		return nil, fmt.Errorf("tensor %s (%v %v) holds no int64 in memory", t.Name, t.Type, t.Dims)
	}
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(binary.LittleEndian.Uint64(t.Raw[8*i:]))
	}
	return out, nil
}

// Floats returns a float32 tensor of the given shape.
func Floats(name string, values []float32, dims ...int64) *Tensor {
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return &Tensor{Name: name, Type: Float, Dims: slices.Clone(dims), Raw: raw}
}

// Ints returns an int64 tensor of the given shape.
func Ints(name string, values []int64, dims ...int64) *Tensor {
	raw := make([]byte, 0, 8*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return &Tensor{Name: name, Type: Int64, Dims: slices.Clone(dims), Raw: raw}
}

// Int8s returns an int8 tensor of the given shape.
func Int8s(name string, values []int8, dims ...int64) *Tensor {
	raw := make([]byte, len(values))
	for i, v := range values {
		raw[i] = byte(v)
	}
	return &Tensor{Name: name, Type: Int8, Dims: slices.Clone(dims), Raw: raw}
}

// Uint8s returns an uint8 tensor of the given shape.
func Uint8s(name string, values []uint8, dims ...int64) *Tensor {
	return &Tensor{Name: name, Type: Uint8, Dims: slices.Clone(dims), Raw: slices.Clone(values)}
}
