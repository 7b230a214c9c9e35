package doctor

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// tensor is a weight where it lies in a file.
type tensor struct {
	name  string
	kind  kind
	shape []int64
	at    io.ReaderAt // nil: its values are not stored as plain bytes
	from  int64
	bytes int64
}

// kind is the type of a tensor's numbers.
type kind string

const (
	float32s  kind = "float32"
	float16s  kind = "float16"
	bfloat16s kind = "bfloat16"
	float64s  kind = "float64"
	int8s     kind = "int8"
	uint8s    kind = "uint8"
	others    kind = "" // integers that are no weights
)

func (k kind) size() int64 {
	switch k {
	case float64s:
		return 8
	case float32s:
		return 4
	case float16s, bfloat16s:
		return 2
	case int8s, uint8s:
		return 1
	}
	return 0
}

func (k kind) floats() bool { return k.size() > 1 }

// count is how many numbers a tensor's shape makes, or -1 where that is absurd.
func (t tensor) count() int64 {
	n := int64(1)
	for _, d := range t.shape {
		if d < 0 || d > 0 && n > math.MaxInt64/8/d {
			return -1
		}
		n *= d
	}
	return n
}

// whole says why the bytes of t are not those of its shape, or "".
func (t tensor) whole() string {
	n := t.count()
	switch {
	case t.at == nil || t.kind == others:
		return ""
	case n < 0:
		return fmt.Sprintf("%s has the shape %v", t.name, t.shape)
	case n*t.kind.size() != t.bytes:
		return fmt.Sprintf("%s has %d bytes, and %v of %s takes %d", t.name, t.bytes, t.shape, t.kind, n*t.kind.size())
	}
	return ""
}

// chunk is how many bytes of a tensor are read at once.
const chunk = 256 << 10

// values calls f with the numbers of t, in order and some at a time; what f is given
// it must not keep.
func (t tensor) values(f func([]float32)) error {
	size := t.kind.size()
	if t.at == nil || size == 0 {
		return nil
	}
	raw := make([]byte, min(t.bytes/size*size, chunk))
	out := make([]float32, 0, len(raw)/int(size))
	for done := int64(0); done+size <= t.bytes; {
		part := raw[:min(int64(len(raw)), (t.bytes-done)/size*size)]
		if _, err := t.at.ReadAt(part, t.from+done); err != nil {
			return fmt.Errorf("read %s: %w", t.name, cutOff(err))
		}
		out = t.kind.decode(out[:0], part)
		f(out)
		done += int64(len(part))
	}
	return nil
}

func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// decode appends the numbers in raw to out.
func (k kind) decode(out []float32, raw []byte) []float32 {
	le := binary.LittleEndian
	switch k {
	case float64s:
		for ; len(raw) >= 8; raw = raw[8:] {
			out = append(out, float32(math.Float64frombits(le.Uint64(raw))))
		}
	case float32s:
		for ; len(raw) >= 4; raw = raw[4:] {
			out = append(out, math.Float32frombits(le.Uint32(raw)))
		}
	case float16s:
		for ; len(raw) >= 2; raw = raw[2:] {
			out = append(out, half(le.Uint16(raw)))
		}
	case bfloat16s:
		for ; len(raw) >= 2; raw = raw[2:] {
			out = append(out, math.Float32frombits(uint32(le.Uint16(raw))<<16))
		}
	case int8s:
		for _, b := range raw {
			out = append(out, float32(int8(b)))
		}
	case uint8s:
		for _, b := range raw {
			out = append(out, float32(b))
		}
	}
	return out
}

// half widens an IEEE number of 16 bits.
func half(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10&31), uint32(h&1023)
	switch exp {
	case 0:
		v := float32(frac) / (1 << 24)
		if sign != 0 {
			v = -v
		}
		return v
	case 31:
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// matrix reads a corner of t, of at most rows × cols numbers, taking what lies behind
// its first dimension as columns. It is nil where t is no matrix.
func (t tensor) matrix(rows, cols int) ([][]float32, error) {
	size := t.kind.size()
	if t.at == nil || size == 0 || len(t.shape) < 2 || t.shape[0] == 0 || t.whole() != "" {
		return nil, nil
	}
	width := t.count() / t.shape[0]
	m := make([][]float32, min(int64(rows), t.shape[0]))
	raw := make([]byte, min(int64(cols), width)*size)
	for i := range m {
		if _, err := t.at.ReadAt(raw, t.from+int64(i)*width*size); err != nil {
			return nil, fmt.Errorf("read %s: %w", t.name, cutOff(err))
		}
		m[i] = t.kind.decode(nil, raw)
	}
	return m, nil
}
