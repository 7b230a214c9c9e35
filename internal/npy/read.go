package npy

import (
	"encoding/binary"
	"io"
	"io/fs"
	"math"
)

// ReadFloat32 reads an array of any numbers as float32; the nearest ones where
// they are wider.
func ReadFloat32(r io.Reader) (Array[float32], error) {
	return read(r, func(l layout) func([]byte) float32 {
		if l.kind == 'f' && l.size == 4 {
			order := l.order()
			return func(b []byte) float32 { return math.Float32frombits(order.Uint32(b)) }
		}
		float := l.float()
		return func(b []byte) float32 { return float32(float(b)) }
	})
}

// ReadFloat64 reads an array of any numbers as float64.
func ReadFloat64(r io.Reader) (Array[float64], error) {
	return read(r, layout.float)
}

// ReadInt64 reads an array of whole numbers or truth values; of floating point
// ones it is an error.
func ReadInt64(r io.Reader) (Array[int64], error) {
	return read(r, func(l layout) func([]byte) int64 {
		if l.kind == 'f' || l.kind == 'u' && l.size == 8 {
			return nil
		}
		return l.integer()
	})
}

// read reads an array; decoder returns how a number is read, or nil if such
// numbers are not wanted.
func read[T any](r io.Reader, decoder func(layout) func([]byte) T) (Array[T], error) {
	l, err := readHeader(r)
	if err != nil {
		return Array[T]{}, err
	}
	decode := decoder(l)
	if decode == nil {
		return Array[T]{}, invalid("npy dtype %c%d does not hold the whole numbers wanted here", l.kind, l.size)
	}
	const chunk = 1 << 16 // numbers; memory for them is taken as they come
	data := make([]T, 0, min(l.n, max(chunk, fileSize(r)/l.size)))
	buf := make([]byte, min(l.n, chunk)*l.size)
	for len(data) < l.n {
		part := buf[:min(l.n-len(data), chunk)*l.size]
		if _, err := io.ReadFull(r, part); err != nil {
			return Array[T]{}, short(err)
		}
		for i := 0; i < len(part); i += l.size {
			data = append(data, decode(part[i:]))
		}
	}
	if l.columnsFirst {
		data = rowsFirst(data, l.shape)
	}
	return Array[T]{Shape: l.shape, Data: data}, nil
}

// fileSize is how many bytes r can hold at most, or 0 if that is not known.
func fileSize(r io.Reader) int {
	f, ok := r.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return 0
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return int(info.Size())
}

func (l layout) order() binary.ByteOrder {
	if l.bigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// float returns how a number of l is read as a float64.
func (l layout) float() func([]byte) float64 {
	order := l.order()
	if l.kind != 'f' {
		if l.kind == 'u' && l.size == 8 {
			return func(b []byte) float64 { return float64(order.Uint64(b)) }
		}
		integer := l.integer()
		return func(b []byte) float64 { return float64(integer(b)) }
	}
	switch l.size {
	case 2:
		return func(b []byte) float64 { return half(order.Uint16(b)) }
	case 4:
		return func(b []byte) float64 { return float64(math.Float32frombits(order.Uint32(b))) }
	}
	return func(b []byte) float64 { return math.Float64frombits(order.Uint64(b)) }
}

// integer returns how a whole number of l is read.
func (l layout) integer() func([]byte) int64 {
	order := l.order()
	switch signed := l.kind == 'i'; l.size {
	case 1:
		if signed {
			return func(b []byte) int64 { return int64(int8(b[0])) }
		}
		return func(b []byte) int64 { return int64(b[0]) }
	case 2:
		if signed {
			return func(b []byte) int64 { return int64(int16(order.Uint16(b))) }
		}
		return func(b []byte) int64 { return int64(order.Uint16(b)) }
	case 4:
		if signed {
			return func(b []byte) int64 { return int64(int32(order.Uint32(b))) }
		}
		return func(b []byte) int64 { return int64(order.Uint32(b)) }
	}
	return func(b []byte) int64 { return int64(order.Uint64(b)) }
}

// half is the value of an IEEE 754 half-precision number.
func half(h uint16) float64 {
	sign, exponent, fraction := 1-2*float64(h>>15), int(h>>10&31), float64(h&1023)
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		if fraction == 0 {
			return math.Inf(int(sign))
		}
		return math.NaN()
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// rowsFirst returns data, whose first index moves fastest, with the last one
// doing so.
func rowsFirst[T any](data []T, shape []int) []T {
	if len(data) == 0 {
		return data
	}
	out := make([]T, len(data))
	index := make([]int, len(shape))
	for i := range out {
		from, stride := 0, 1
		for d, x := range index {
			from, stride = from+x*stride, stride*shape[d]
		}
		out[i] = data[from]
		for d := len(shape) - 1; d >= 0; d-- {
			if index[d]++; index[d] < shape[d] {
				break
			}
			index[d] = 0
		}
	}
	return out
}
