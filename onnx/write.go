package onnx

import (
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// MaxBytes is what a protobuf message, and so an .onnx file, may have at most.
const MaxBytes = math.MaxInt32

// message is a protobuf message as it is written: pieces whose bytes follow one
// another. Weights are pieces by themselves and never copied.
type message struct {
	pieces [][]byte
	size   int64
	open   []byte // what is appended to
}

func (w *message) flush() {
	if len(w.open) > 0 {
		w.pieces = append(w.pieces, w.open)
		w.open = nil
	}
}

func (w *message) varint(field protowire.Number, v int64) {
	before := len(w.open)
	w.open = protowire.AppendVarint(protowire.AppendTag(w.open, field, protowire.VarintType), uint64(v))
	w.size += int64(len(w.open) - before)
}

func (w *message) float(field protowire.Number, v float32) {
	w.open = protowire.AppendFixed32(protowire.AppendTag(w.open, field, protowire.Fixed32Type), math.Float32bits(v))
	w.size += int64(protowire.SizeTag(field)) + 4
}

func (w *message) text(field protowire.Number, s string) { w.bytes(field, []byte(s)) }

func (w *message) bytes(field protowire.Number, b []byte) {
	w.head(field, int64(len(b)))
	if len(b) < 4096 {
		w.open = append(w.open, b...)
	} else {
		w.flush()
		w.pieces = append(w.pieces, b)
	}
	w.size += int64(len(b))
}

func (w *message) head(field protowire.Number, n int64) {
	before := len(w.open)
	w.open = protowire.AppendVarint(protowire.AppendTag(w.open, field, protowire.BytesType), uint64(n))
	w.size += int64(len(w.open) - before)
}

// message adds a message within this one.
func (w *message) message(field protowire.Number, f func(*message)) {
	var in message
	f(&in)
	in.flush()
	w.head(field, in.size)
	for _, p := range in.pieces {
		if len(p) < 4096 {
			w.open = append(w.open, p...)
			continue
		}
		w.flush()
		w.pieces = append(w.pieces, p)
	}
	w.size += in.size
}

// Marshal returns the model as the bytes of an .onnx file.
func (m *Model) Marshal() ([]byte, error) {
	w := m.message()
	if w.size > MaxBytes {
		return nil, m.tooLarge(w.size)
	}
	b := make([]byte, 0, w.size)
	for _, p := range w.pieces {
		b = append(b, p...)
	}
	return b, nil
}

// WriteTo writes the model as an .onnx file.
func (m *Model) WriteTo(to io.Writer) (int64, error) {
	w := m.message()
	if w.size > MaxBytes {
		return 0, m.tooLarge(w.size)
	}
	var sum int64
	for _, p := range w.pieces {
		n, err := to.Write(p)
		sum += int64(n)
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}

func (m *Model) tooLarge(size int64) error {
	return fmt.Errorf("graph %s has %d bytes, and an ONNX file at most %d: its weights must lie in another file", m.Name, size, MaxBytes)
}

// message writes the ModelProto; the numbers here and below are those of
// onnx.proto's fields.
func (m *Model) message() *message {
	w := &message{}
	w.varint(1, m.IR)
	w.text(2, m.Producer)
	for _, o := range m.Opsets {
		w.message(8, func(w *message) {
			w.text(1, o.Domain)
			w.varint(2, o.Version)
		})
	}
	for _, b := range m.metadata {
		w.bytes(14, b)
	}
	for _, b := range m.functions {
		w.bytes(25, b)
	}
	w.message(7, m.graph)
	w.flush()
	return w
}

func (m *Model) graph(w *message) {
	for _, n := range m.Nodes {
		w.message(1, n.write)
	}
	w.text(2, m.Name)
	for _, t := range m.Initializers {
		w.message(5, t.write)
	}
	for _, p := range m.Inputs {
		w.message(11, p.write)
	}
	for _, p := range m.Outputs {
		w.message(12, p.write)
	}
	for _, p := range m.Info {
		w.message(13, p.write)
	}
}

func (n *Node) write(w *message) {
	for _, s := range n.Inputs {
		w.text(1, s)
	}
	for _, s := range n.Outputs {
		w.text(2, s)
	}
	w.text(3, n.Name)
	w.text(4, n.Op)
	for _, a := range n.Attrs {
		if raw, ok := a.Value.(rawAttr); ok {
			w.bytes(5, raw)
			continue
		}
		w.message(5, a.write)
	}
	w.text(7, n.Domain)
}

func (a Attr) write(w *message) {
	w.text(1, a.Name)
	switch v := a.Value.(type) {
	case float32:
		w.float(2, v)
		w.varint(20, 1)
	case int64:
		w.varint(3, v)
		w.varint(20, 2)
	case string:
		w.text(4, v)
		w.varint(20, 3)
	case *Tensor:
		w.message(5, v.write)
		w.varint(20, 4)
	case []float32:
		for _, x := range v {
			w.float(7, x)
		}
		w.varint(20, 6)
	case []int64:
		for _, x := range v {
			w.varint(8, x)
		}
		w.varint(20, 7)
	case []string:
		for _, x := range v {
			w.text(9, x)
		}
		w.varint(20, 8)
	default:
		panic(fmt.Sprintf("onnx: attribute %s is a %T", a.Name, a.Value))
	}
}

func (t *Tensor) write(w *message) {
	for _, d := range t.Dims {
		w.varint(1, d)
	}
	w.varint(2, int64(t.Type))
	w.text(8, t.Name)
	if t.External == nil {
		w.bytes(9, t.Raw)
		return
	}
	for _, kv := range [][2]string{
		{"location", t.External.Location}, {"offset", fmt.Sprint(t.External.Offset)}, {"length", fmt.Sprint(t.External.Length)},
	} {
		w.message(13, func(w *message) {
			w.text(1, kv[0])
			w.text(2, kv[1])
		})
	}
	w.varint(14, 1)
}

func (p Port) write(w *message) {
	w.text(1, p.Name)
	w.message(2, func(w *message) {
		w.message(1, func(w *message) {
			w.varint(1, int64(p.Type))
			w.message(2, func(w *message) {
				for _, d := range p.Shape {
					w.message(1, func(w *message) {
						if n, known := d.Known(); known {
							w.varint(1, n)
						} else {
							w.text(2, d.String())
						}
					})
				}
			})
		})
	})
}
