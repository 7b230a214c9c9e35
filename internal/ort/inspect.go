package ort

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Graph is what a model file says of itself, read from its protobuf without
// building a session. Weights are skipped, not copied.
type Graph struct {
	Inputs, Outputs []Port
	// DynamicQuantized graphs take their quantization scales from the whole
	// batch: a result depends on what shares it.
	DynamicQuantized bool
}

// Port is an input or output of a graph.
type Port struct {
	Name  string
	Type  string  // "float32", "uint8", "int32", "int64", or "type N" by ONNX's number
	Shape []int64 // -1 where a dimension is free
}

func (p Port) String() string { return fmt.Sprintf("%s %s%v", p.Name, p.Type, p.Shape) }

// maxGraph bounds what InspectFile reads. Larger models keep their weights in
// external data: protobuf itself ends at 2 GiB.
const maxGraph = 2 << 30

// InspectFile reads the graph of an .onnx file.
func InspectFile(path string) (Graph, error) {
	st, err := os.Stat(path)
	if err != nil {
		return Graph{}, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxGraph {
		return Graph{}, fmt.Errorf("%s is no ONNX file", path)
	}
	model, err := os.ReadFile(path)
	if err != nil {
		return Graph{}, err
	}
	return Inspect(model)
}

// Inspect reads the graph of a model. The numbers are those of onnx.proto3.
func Inspect(model []byte) (Graph, error) {
	var g Graph
	var found bool
	err := eachField(model, func(f field) error {
		if f.number != 7 { // ModelProto.graph
			return nil
		}
		found = true
		return g.read(f.bytes)
	})
	if err != nil {
		return Graph{}, fmt.Errorf("this is no ONNX model: %w", err)
	}
	if !found || len(g.Outputs) == 0 {
		return Graph{}, errors.New("this is no ONNX model: it holds no graph")
	}
	return g, nil
}

func (g *Graph) read(graph []byte) error {
	weights := map[string]bool{}
	err := eachField(graph, func(f field) error {
		switch f.number {
		case 1: // node
			return eachField(f.bytes, func(n field) error {
				if n.number == 4 && string(n.bytes) == "DynamicQuantizeLinear" { // op_type
					g.DynamicQuantized = true
				}
				return nil
			})
		case 5: // initializer
			return eachField(f.bytes, func(t field) error {
				if t.number == 8 { // name
					weights[string(t.bytes)] = true
				}
				return nil
			})
		case 11, 12: // input, output
			p, err := readPort(f.bytes)
			if f.number == 11 {
				g.Inputs = append(g.Inputs, p)
			} else {
				g.Outputs = append(g.Outputs, p)
			}
			return err
		}
		return nil
	})
	g.Inputs = slices.DeleteFunc(g.Inputs, func(p Port) bool { return weights[p.Name] }) // old files list them twice
	return err
}

// readPort reads a ValueInfoProto.
func readPort(b []byte) (Port, error) {
	var p Port
	err := eachField(b, func(f field) error {
		switch f.number {
		case 1:
			p.Name = string(f.bytes)
		case 2: // TypeProto
			return eachField(f.bytes, func(f field) error {
				if f.number != 1 { // tensor_type
					return nil
				}
				return eachField(f.bytes, p.readTensor)
			})
		}
		return nil
	})
	return p, err
}

func (p *Port) readTensor(f field) error {
	switch f.number {
	case 1: // elem_type
		p.Type = elementType(f.value)
	case 2: // TensorShapeProto
		return eachField(f.bytes, func(dim field) error {
			n := int64(-1)
			err := eachField(dim.bytes, func(f field) error {
				if f.number == 1 && int64(f.value) > 0 { // dim_value
					n = int64(f.value)
				}
				return nil
			})
			p.Shape = append(p.Shape, n)
			return err
		})
	}
	return nil
}

func elementType(n uint64) string {
	switch n {
	case 1:
		return "float32"
	case 2:
		return "uint8"
	case 6:
		return "int32"
	case 7:
		return "int64"
	}
	return fmt.Sprintf("type %d", n)
}

// field is one field of a protobuf message: bytes, or else a number.
type field struct {
	number protowire.Number
	bytes  []byte
	value  uint64
}

// eachField calls f for the fields of a message, in their order.
func eachField(b []byte, f func(field) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		one := field{number: number}
		switch kind {
		case protowire.BytesType:
			one.bytes, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			one.value, n = protowire.ConsumeVarint(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := f(one); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
