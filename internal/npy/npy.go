// Package npy reads and writes arrays as NumPy's .npy files, so that vectors,
// pixels and scores go to and from Python without a detour.
//
// Versions 1 to 3 of the format are read, of either byte order and of rows or
// columns first; what is written is version 1, little-endian, rows first. A
// header is not believed: memory grows with the bytes that are really there.
package npy

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// Array is a tensor, rows first: the last index moves fastest.
type Array[T any] struct {
	Shape []int // empty for a single number
	Data  []T
}

// Number is what can be written.
type Number interface {
	float32 | float64 | int64 | int32 | uint8 | bool
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, clipsearch.ErrInvalid)...)
}

// Write writes x. It is an error if its data is not as long as its shape says.
func Write[T Number](w io.Writer, x Array[T]) error {
	n, err := elements(x.Shape)
	if err != nil {
		return err
	}
	if n != len(x.Data) {
		return invalid("npy array of the shape %v has %d numbers, not %d", x.Shape, len(x.Data), n)
	}
	descr, size, put := codec[T]()
	out := bufio.NewWriterSize(w, 1<<16)
	if _, err := out.WriteString(header(descr, x.Shape)); err != nil {
		return err
	}
	buf := make([]byte, size)
	for _, v := range x.Data {
		put(buf, v)
		if _, err := out.Write(buf); err != nil {
			return err
		}
	}
	return out.Flush()
}

// header is padded to a multiple of 64, as NumPy does for those who map files.
func header(descr string, shape []int) string {
	var dims strings.Builder
	for _, d := range shape {
		fmt.Fprintf(&dims, "%d, ", d)
	}
	tuple := dims.String()
	if len(shape) > 1 {
		tuple = strings.TrimSuffix(tuple, ", ")
	}
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, strings.TrimSuffix(tuple, " "))
	const fixed = len(magic) + 2 + 2
	dict += strings.Repeat(" ", 63-(fixed+len(dict))%64) + "\n"
	return magic + "\x01\x00" + string(binary.LittleEndian.AppendUint16(nil, uint16(len(dict)))) + dict
}

// codec returns how T is called, how many bytes it takes, and how to write it.
func codec[T Number]() (descr string, size int, put func([]byte, T)) {
	le := binary.LittleEndian
	switch any(*new(T)).(type) {
	case float32:
		return "<f4", 4, func(b []byte, v T) { le.PutUint32(b, math.Float32bits(any(v).(float32))) }
	case float64:
		return "<f8", 8, func(b []byte, v T) { le.PutUint64(b, math.Float64bits(any(v).(float64))) }
	case int64:
		return "<i8", 8, func(b []byte, v T) { le.PutUint64(b, uint64(any(v).(int64))) }
	case int32:
		return "<i4", 4, func(b []byte, v T) { le.PutUint32(b, uint32(any(v).(int32))) }
	case uint8:
		return "|u1", 1, func(b []byte, v T) { b[0] = any(v).(uint8) }
	}
	return "|b1", 1, func(b []byte, v T) {
		b[0] = 0
		if any(v).(bool) {
			b[0] = 1
		}
	}
}
