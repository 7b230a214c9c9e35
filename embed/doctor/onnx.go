package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// graph is what the doctor reads of an ONNX file: its weights, and which of them
// are the scales of quantized numbers.
type graph struct {
	tensors []tensor
	scales  map[string]bool
	outside []string // files of external data, each once
}

// scaleInputs tells which inputs of an operator are scales.
var scaleInputs = map[string][]int{
	"QuantizeLinear": {1}, "DequantizeLinear": {1}, "QLinearConv": {1, 4, 6}, "QLinearMatMul": {1, 4, 6},
	"QLinearAdd": {1, 4, 6}, "QLinearMul": {1, 4, 6}, "QLinearGlobalAveragePool": {1, 3}, "QGemm": {1, 4, 7},
	"DynamicQuantizeMatMul": {2}, "MatMulIntegerToFloat": {2, 3}, "QAttention": {3, 4},
}

// onnxKinds names TensorProto.DataType as far as it matters here.
var onnxKinds = map[uint64]kind{1: float32s, 2: uint8s, 3: int8s, 10: float16s, 11: float64s, 16: bfloat16s}

// onnxReader reads a model that is in memory, or mapped as one slice.
type onnxReader struct {
	graph
	open func(name string) (io.ReaderAt, int64, error) // a file beside the model
	file io.ReaderAt                                   // that data was read from
	base []byte
}

// readONNX lists the weights of an ONNX model. open gives a file that lies beside it.
func readONNX(data []byte, open func(string) (io.ReaderAt, int64, error)) (graph, error) {
	r := onnxReader{graph: graph{scales: map[string]bool{}}, open: open, file: bytes.NewReader(data), base: data}
	found := false
	err := fields(data, func(f field) error {
		if f.number != 7 {
			return nil
		}
		found = true
		return r.graphProto(f.body, 0)
	})
	if err == nil && !found {
		err = errors.New("it holds no graph")
	}
	if err != nil {
		return graph{}, fmt.Errorf("it is cut off, or no ONNX model: %w", err)
	}
	return r.graph, nil
}

const maxDepth = 16

func (r *onnxReader) graphProto(b []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("graphs are nested more than %d deep", maxDepth)
	}
	return fields(b, func(f field) error {
		switch f.number {
		case 1:
			return r.node(f.body, depth)
		case 5:
			return r.tensor(f.body, "")
		}
		return nil
	})
}

// node notes which weights a node takes as scales, and reads those in its attributes.
func (r *onnxReader) node(b []byte, depth int) error {
	var inputs []string
	var op, output string
	err := fields(b, func(f field) error {
		switch f.number {
		case 1:
			inputs = append(inputs, string(f.body))
		case 2:
			output = string(f.body)
		case 4:
			op = string(f.body)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, i := range scaleInputs[op] {
		if i < len(inputs) {
			r.scales[inputs[i]] = true
		}
	}
	return fields(b, func(f field) error {
		if f.number != 5 {
			return nil
		}
		return fields(f.body, func(f field) error { // AttributeProto
			switch f.number {
			case 5, 10:
				return r.tensor(f.body, output)
			case 6, 11:
				return r.graphProto(f.body, depth+1)
			}
			return nil
		})
	})
}

// tensor reads a TensorProto; a constant is called as its node's output is.
func (r *onnxReader) tensor(b []byte, name string) error {
	t := tensor{name: name}
	outside := map[string]string{}
	err := fields(b, func(f field) error {
		switch f.number {
		case 1:
			return dims(&t.shape, f)
		case 2:
			t.kind = onnxKinds[f.value]
		case 4:
			if f.body != nil { // float_data, packed
				t.place(r.file, r.base, f.body)
			}
		case 8:
			if name == "" {
				t.name = string(f.body)
			}
		case 9:
			t.place(r.file, r.base, f.body)
		case 13:
			var key, value string
			err := fields(f.body, func(f field) error {
				switch f.number {
				case 1:
					key = string(f.body)
				case 2:
					value = string(f.body)
				}
				return nil
			})
			outside[key] = value
			return err
		}
		return nil
	})
	if err == nil && outside["location"] != "" {
		err = r.external(&t, outside)
	}
	r.tensors = append(r.tensors, t)
	return err
}

// place says that the numbers of t are part, which is a part of base.
func (t *tensor) place(file io.ReaderAt, base, part []byte) {
	t.at, t.from, t.bytes = file, int64(cap(base)-cap(part)), int64(len(part))
}

// external finds a weight that lies in a file beside the model.
func (r *onnxReader) external(t *tensor, where map[string]string) error {
	name := where["location"]
	if !fs.ValidPath(name) {
		return fmt.Errorf("the weight %s lies at %q, which is outside the model", t.name, name)
	}
	file, size, err := r.open(name)
	if err != nil {
		return fmt.Errorf("the weight %s lies in %s: %w", t.name, name, err)
	}
	from, to := int64(0), size
	if s := where["offset"]; s != "" {
		if from, err = strconv.ParseInt(s, 10, 64); err != nil || from < 0 {
			return fmt.Errorf("the weight %s lies at %q of %s", t.name, s, name)
		}
	}
	if s := where["length"]; s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64-from {
			return fmt.Errorf("the weight %s takes %q bytes of %s", t.name, s, name)
		}
		to = from + n
	}
	if from > to || to > size {
		return fmt.Errorf("the weight %s lies at %d to %d of %s, which ends at %d: it is cut off", t.name, from, to, name, size)
	}
	t.at, t.from, t.bytes = file, from, to-from
	return nil
}

// dims reads a dimension, or several that are packed.
func dims(shape *[]int64, f field) error {
	if f.body == nil {
		*shape = append(*shape, int64(f.value))
		return nil
	}
	for b := f.body; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		*shape, b = append(*shape, int64(v)), b[n:]
	}
	return nil
}

// field is one field of a message: a body, or else a number.
type field struct {
	number protowire.Number
	value  uint64
	body   []byte // not nil where the field has one
}

// fields calls f for those of a message, in their order.
func fields(b []byte, f func(field) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		one := field{number: number}
		switch kind {
		case protowire.VarintType:
			one.value, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			one.body, n = protowire.ConsumeBytes(b)
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
