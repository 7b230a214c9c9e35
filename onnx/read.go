package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// rawAttr is an AttributeProto that is passed on as it was read: one with a graph
// in it, or of a kind that has no Go value here.
type rawAttr []byte

// Read parses the bytes of an .onnx file. Weights that lie in the file are views
// of data, which must not change while the model is in use; those in other files
// are not read. Memory is bounded by the length of data.
func Read(data []byte) (*Model, error) {
	m := &Model{}
	found := false
	err := each(data, func(f field) error {
		switch f.number {
		case 1:
			m.IR = int64(f.value)
		case 2:
			m.Producer = string(f.body)
		case 7:
			if found {
				return errors.New("it has two graphs")
			}
			found = true
			return m.readGraph(f.body)
		case 8:
			var o Opset
			err := each(f.body, func(f field) error {
				switch f.number {
				case 1:
					o.Domain = string(f.body)
				case 2:
					o.Version = int64(f.value)
				}
				return nil
			})
			m.Opsets = append(m.Opsets, o)
			return err
		case 14:
			m.metadata = append(m.metadata, f.body)
		case 25:
			m.functions = append(m.functions, f.body)
		}
		return nil
	})
	if err == nil && !found {
		err = errors.New("it holds no graph")
	}
	if err != nil {
		return nil, fmt.Errorf("this is no ONNX model: %w", err)
	}
	return m, nil
}

func (m *Model) readGraph(data []byte) error {
	return each(data, func(f field) error {
		switch f.number {
		case 1:
			n, err := readNode(f.body)
			m.Nodes = append(m.Nodes, n)
			return err
		case 2:
			m.Name = string(f.body)
		case 5:
			t, err := readTensor(f.body)
			m.Initializers = append(m.Initializers, t)
			return err
		case 11, 12, 13:
			p, err := readPort(f.body)
			list := map[protowire.Number]*[]Port{11: &m.Inputs, 12: &m.Outputs, 13: &m.Info}[f.number]
			*list = append(*list, p)
			return err
		}
		return nil
	})
}

func readNode(data []byte) (*Node, error) {
	n := &Node{}
	err := each(data, func(f field) error {
		switch f.number {
		case 1:
			n.Inputs = append(n.Inputs, string(f.body))
		case 2:
			n.Outputs = append(n.Outputs, string(f.body))
		case 3:
			n.Name = string(f.body)
		case 4:
			n.Op = string(f.body)
		case 5:
			a, err := readAttr(f.body)
			n.Attrs = append(n.Attrs, a)
			return err
		case 7:
			n.Domain = string(f.body)
		}
		return nil
	})
	return n, err
}

// attrs collects the fields of an AttributeProto.
type attrs struct {
	f      float32
	i      int64
	s      string
	t      *Tensor
	floats []float32
	ints   []int64
	texts  []string
}

func readAttr(data []byte) (Attr, error) {
	var name string
	var kind int64
	var v attrs
	err := each(data, func(f field) (err error) {
		switch f.number {
		case 1:
			name = string(f.body)
		case 2:
			v.f = math.Float32frombits(uint32(f.value))
		case 3:
			v.i = int64(f.value)
		case 4:
			v.s = string(f.body)
		case 5:
			v.t, err = readTensor(f.body)
		case 7:
			v.floats, err = appendFloats(v.floats, f)
		case 8:
			v.ints, err = appendInts(v.ints, f)
		case 9:
			v.texts = append(v.texts, string(f.body))
		case 20:
			kind = int64(f.value)
		}
		return err
	})
	if err != nil {
		return Attr{}, err
	}
	switch {
	case kind == 1:
		return Attr{name, v.f}, nil
	case kind == 2:
		return Attr{name, v.i}, nil
	case kind == 3:
		return Attr{name, v.s}, nil
	case kind == 4 && v.t != nil:
		return Attr{name, v.t}, nil
	case kind == 6:
		return Attr{name, v.floats}, nil
	case kind == 7:
		return Attr{name, v.ints}, nil
	case kind == 8:
		return Attr{name, v.texts}, nil
	}
	return Attr{name, rawAttr(data)}, nil
}

// typed collects a tensor's elements where they are not in raw_data.
type typed struct {
	floats []float32
	ints   []int64
	double []uint64
}

func readTensor(data []byte) (*Tensor, error) {
	t := &Tensor{}
	var v typed
	var where map[string]string
	external, raw := false, false
	err := each(data, func(f field) (err error) {
		switch f.number {
		case 1:
			t.Dims, err = appendInts(t.Dims, f)
		case 2:
			t.Type = Type(f.value)
		case 4:
			v.floats, err = appendFloats(v.floats, f)
		case 5, 7, 11:
			v.ints, err = appendInts(v.ints, f)
		case 8:
			t.Name = string(f.body)
		case 9:
			t.Raw, raw = f.body, true
		case 10:
			v.double, err = appendFixed64(v.double, f)
		case 13:
			if where == nil {
				where = map[string]string{}
			}
			err = readEntry(where, f.body)
		case 14:
			external = f.value == 1
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case external:
		t.External, err = readExternal(where)
		if n, wrong := t.Len(); err == nil && wrong == nil && t.External.Length == 0 { // it need not be told
			t.External.Length = n * t.Type.Size()
		}
		return t, err
	case !raw:
		t.Raw = v.bytes(t.Type)
	}
	n, err := t.Len()
	if size := t.Type.Size(); err == nil && size > 0 && int64(len(t.Raw)) != n*size {
		err = fmt.Errorf("tensor %s of %v%v has %d bytes", t.Name, t.Type, t.Dims, len(t.Raw))
	}
	return t, err
}

// bytes returns the elements as raw_data would have them.
func (v typed) bytes(t Type) []byte {
	var b []byte
	for _, x := range v.floats {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	for _, x := range v.double {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	for _, x := range v.ints {
		switch t.Size() {
		case 1:
			b = append(b, byte(x))
		case 2:
			b = binary.LittleEndian.AppendUint16(b, uint16(x))
		case 4:
			b = binary.LittleEndian.AppendUint32(b, uint32(x))
		case 8:
			b = binary.LittleEndian.AppendUint64(b, uint64(x))
		}
	}
	return b
}

func readEntry(to map[string]string, data []byte) error {
	var key, value string
	err := each(data, func(f field) error {
		switch f.number {
		case 1:
			key = string(f.body)
		case 2:
			value = string(f.body)
		}
		return nil
	})
	to[key] = value
	return err
}

func readExternal(where map[string]string) (*External, error) {
	e := &External{Location: where["location"]}
	for key, n := range map[string]*int64{"offset": &e.Offset, "length": &e.Length} {
		s, given := where[key]
		if !given {
			continue
		}
		var err error
		if *n, err = strconv.ParseInt(s, 10, 64); err != nil || *n < 0 {
			return nil, fmt.Errorf("external data of %s %q", key, s)
		}
	}
	return e, nil
}

func readPort(data []byte) (Port, error) {
	var p Port
	err := each(data, func(f field) error {
		switch f.number {
		case 1:
			p.Name = string(f.body)
		case 2:
			return each(f.body, func(f field) error {
				if f.number == 1 {
					return p.readTensorType(f.body)
				}
				return nil
			})
		}
		return nil
	})
	return p, err
}

func (p *Port) readTensorType(data []byte) error {
	return each(data, func(f field) error {
		switch f.number {
		case 1:
			p.Type = Type(f.value)
		case 2:
			return each(f.body, func(f field) error {
				d := Dim{1, "?"}
				err := each(f.body, func(f field) error {
					switch {
					case f.number == 1 && int64(f.value) >= 0:
						d = N(int64(f.value))
					case f.number == 2:
						d = readDim(string(f.body))
					}
					return nil
				})
				p.Shape = append(p.Shape, d)
				return err
			})
		}
		return nil
	})
}

// readDim reads the name of a dimension, or what String makes of a product.
func readDim(s string) Dim {
	names, last := s, ""
	if at := strings.LastIndex(s, "·"); at > 0 {
		names, last = s[:at], s[at+len("·"):]
	}
	if n, err := strconv.ParseInt(last, 10, 64); err == nil && n > 1 && Sym(names).Times(N(n)).String() == s {
		return Sym(names).Times(N(n))
	}
	return Sym(s)
}
