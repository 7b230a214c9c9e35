// Package graphtest writes small ONNX models for the tests of whoever reads or runs
// them.
package graphtest

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Types of values, by their numbers in onnx.proto3.
const (
	Float32 = 1
	Uint8   = 2
	Int32   = 6
	Int64   = 7
)

// Port is an input or an output. A dimension below one is free.
type Port struct {
	Name  string
	Type  int
	Shape []int64
}

// Node is one operator. Its attributes are ints, lists of ints, floats or strings.
type Node struct {
	Op         string
	In, Out    []string
	Attributes map[string]any
}

// Weight is a tensor of float32, or of int64 where Ints is set, with its elements or
// with the name of the file beside the model that holds them.
type Weight struct {
	Name  string
	Shape []int64
	Data  []float32
	Ints  []int64
	File  string
}

// Model is one graph.
type Model struct {
	Inputs, Outputs []Port
	Nodes           []Node
	Weights         []Weight
}

type message []byte

func (m *message) body(n protowire.Number, b []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, n, protowire.BytesType), b)
}

func (m *message) text(n protowire.Number, s string) { m.body(n, []byte(s)) }

func (m *message) number(n protowire.Number, v int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, n, protowire.VarintType), uint64(v))
}

// Bytes writes the model, of opset 17.
func (m Model) Bytes() []byte {
	var graph, opset, model message
	for _, n := range m.Nodes {
		graph.body(1, n.bytes())
	}
	graph.text(2, "test")
	for _, w := range m.Weights {
		graph.body(5, w.bytes())
	}
	for _, p := range m.Inputs {
		graph.body(11, p.bytes())
	}
	for _, p := range m.Outputs {
		graph.body(12, p.bytes())
	}
	opset.number(2, 17)
	model.number(1, 8) // the version of the format
	model.body(7, graph)
	model.body(8, opset)
	return model
}

func (n Node) bytes() []byte {
	var m message
	for _, name := range n.In {
		m.text(1, name)
	}
	for _, name := range n.Out {
		m.text(2, name)
	}
	m.text(4, n.Op)
	for name, value := range n.Attributes {
		var a message
		a.text(1, name)
		switch v := value.(type) {
		case int:
			a.number(3, int64(v))
			a.number(20, 2)
		case []int64:
			for _, i := range v {
				a.number(8, i)
			}
			a.number(20, 7)
		case float32:
			a = protowire.AppendFixed32(protowire.AppendTag(a, 2, protowire.Fixed32Type), math.Float32bits(v))
			a.number(20, 1)
		case string:
			a.text(4, v)
			a.number(20, 3)
		default:
			panic("graphtest: an attribute of a type that is not known")
		}
		m.body(5, a)
	}
	return m
}

func (p Port) bytes() []byte {
	var m, kind, tensor, shape message
	for _, n := range p.Shape {
		var dim message
		if n > 0 {
			dim.number(1, n)
		} else {
			dim.text(2, "free")
		}
		shape.body(1, dim)
	}
	tensor.number(1, int64(p.Type))
	tensor.body(2, shape)
	kind.body(1, tensor)
	m.text(1, p.Name)
	m.body(2, kind)
	return m
}

func (w Weight) bytes() []byte {
	var m message
	for _, n := range w.Shape {
		m.number(1, n)
	}
	raw, kind := make([]byte, 0, 4*len(w.Data)), int64(Float32)
	for _, v := range w.Data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	for _, v := range w.Ints {
		raw, kind = binary.LittleEndian.AppendUint64(raw, uint64(v)), Int64
	}
	m.number(2, kind)
	m.text(8, w.Name)
	if w.File == "" {
		m.body(9, raw)
		return m
	}
	var place message
	place.text(1, "location")
	place.text(2, w.File)
	m.body(13, place)
	m.number(14, 1)
	return m
}
