package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a message.
type field struct {
	number protowire.Number
	kind   protowire.Type
	value  uint64 // of a number
	body   []byte // of a message, string or packed list
}

func each(data []byte, f func(field) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		one := field{number: number, kind: kind}
		switch kind {
		case protowire.VarintType:
			one.value, n = protowire.ConsumeVarint(data)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(data)
			one.value = uint64(v)
		case protowire.Fixed64Type:
			one.value, n = protowire.ConsumeFixed64(data)
		case protowire.BytesType:
			one.body, n = protowire.ConsumeBytes(data)
		default:
			return fmt.Errorf("field %d has the wire type %d", number, kind)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		if err := f(one); err != nil {
			return err
		}
	}
	return nil
}

// The lists may be packed or not.

func appendInts(list []int64, f field) ([]int64, error) {
	if f.kind != protowire.BytesType {
		return append(list, int64(f.value)), nil
	}
	for b := f.body; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		list, b = append(list, int64(v)), b[n:]
	}
	return list, nil
}

func appendFloats(list []float32, f field) ([]float32, error) {
	if f.kind != protowire.BytesType {
		return append(list, math.Float32frombits(uint32(f.value))), nil
	}
	if len(f.body)%4 != 0 {
		return nil, errors.New("a list of float32 is cut off")
	}
	for b := f.body; len(b) > 0; b = b[4:] {
		list = append(list, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return list, nil
}

func appendFixed64(list []uint64, f field) ([]uint64, error) {
	if f.kind != protowire.BytesType {
		return append(list, f.value), nil
	}
	if len(f.body)%8 != 0 {
		return nil, errors.New("a list of float64 is cut off")
	}
	for b := f.body; len(b) > 0; b = b[8:] {
		list = append(list, binary.LittleEndian.Uint64(b))
	}
	return list, nil
}
