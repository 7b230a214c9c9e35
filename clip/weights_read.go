package clip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/clipsearch/clipsearch"
)

// own returns t as it is in w.
func (w *Weights) own(t Tensor) (Tensor, error) {
	own, ok := w.tensors[t.Name]
	if !ok || own.of != t.of {
		return own, fmt.Errorf("weights: tensor %q is not in them: %w", t.Name, clipsearch.ErrInvalid)
	}
	return own, nil
}

// Raw returns a reader of a tensor's bytes.
func (w *Weights) Raw(t Tensor) (*io.SectionReader, error) {
	own, err := w.own(t)
	if err != nil {
		return nil, err
	}
	if own.of == nil {
		return nil, fmt.Errorf("weights: tensor %q was changed: it is in no file", t.Name)
	}
	return io.NewSectionReader(own.of, own.Offset, own.Bytes), nil
}

// Float32s reads a tensor, whatever its numbers are, as float32: rounded to the
// nearest, and infinite where they are beyond it.
func (w *Weights) Float32s(t Tensor) ([]float32, error) {
	own, err := w.own(t)
	if err != nil {
		return nil, err
	}
	numbers := make([]float32, own.Len())
	if err := w.ReadFloat32s(t, 0, numbers); err != nil {
		return nil, err
	}
	return numbers, nil
}

// ReadFloat32s reads the numbers of a tensor from number from on, as Float32s does,
// as many as dst has room for.
func (w *Weights) ReadFloat32s(t Tensor, from int, dst []float32) error {
	const chunk = 1 << 16 // numbers
	t, err := w.own(t)
	if err != nil {
		return err
	}
	if from < 0 || from+len(dst) > t.Len() {
		return fmt.Errorf("weights %q: tensor %q has %d numbers, not %d from %d on", t.File, t.Name, t.Len(), len(dst), from)
	}
	if x := w.changed[t.Name]; x != nil {
		copy(dst, x[from:])
		return nil
	}
	raw, err := w.Raw(t)
	if err != nil {
		return err
	}
	size := int(tensorSizes[t.Type])
	if _, err := raw.Seek(int64(from)*int64(size), io.SeekStart); err != nil {
		return err
	}
	buf := make([]byte, size*min(chunk, len(dst)))
	for rest := dst; len(rest) > 0; {
		n := min(chunk, len(rest))
		if _, err := io.ReadFull(raw, buf[:n*size]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("the file has become shorter: get it again: %w", clipsearch.ErrInvalid)
			}
			return fmt.Errorf("weights %q: tensor %q: %w", t.File, t.Name, err)
		}
		if !toFloat32(rest[:n], buf, t.Type) {
			return fmt.Errorf("weights %q: tensor %q: numbers of type %q do not become float32 here: get the model in F32, F16 or BF16: %w", t.File, t.Name, t.Type, clipsearch.ErrInvalid)
		}
		rest = rest[n:]
	}
	return nil
}

// toFloat32 fills dst from the numbers in b; it reports whether it knows them.
func toFloat32(dst []float32, b []byte, kind string) bool {
	le := binary.LittleEndian
	switch kind {
	case "F32":
		fill(dst, func(i int) float32 { return math.Float32frombits(le.Uint32(b[4*i:])) })
	case "F16":
		fill(dst, func(i int) float32 { return fromHalf(le.Uint16(b[2*i:])) })
	case "BF16":
		fill(dst, func(i int) float32 { return math.Float32frombits(uint32(le.Uint16(b[2*i:])) << 16) })
	case "F64":
		fill(dst, func(i int) float32 { return float32(math.Float64frombits(le.Uint64(b[8*i:]))) })
	case "I64":
		fill(dst, func(i int) float32 { return float32(int64(le.Uint64(b[8*i:]))) })
	case "U64":
		fill(dst, func(i int) float32 { return float32(le.Uint64(b[8*i:])) })
	case "I32":
		fill(dst, func(i int) float32 { return float32(int32(le.Uint32(b[4*i:]))) })
	case "U32":
		fill(dst, func(i int) float32 { return float32(le.Uint32(b[4*i:])) })
	case "I16":
		fill(dst, func(i int) float32 { return float32(int16(le.Uint16(b[2*i:]))) })
	case "U16":
		fill(dst, func(i int) float32 { return float32(le.Uint16(b[2*i:])) })
	case "I8":
		fill(dst, func(i int) float32 { return float32(int8(b[i])) })
	case "U8", "BOOL":
		fill(dst, func(i int) float32 { return float32(b[i]) })
	default:
		return false
	}
	return true
}

func fill(dst []float32, at func(i int) float32) {
	for i := range dst {
		dst[i] = at(i)
	}
}

// fromHalf widens an IEEE 754 binary16.
func fromHalf(h uint16) float32 {
	const bias = 127 - 15
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exponent {
	case 0: // zero, and those below the smallest normal number
		f := float32(fraction) / (1 << 24)
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 0x1f: // infinite, or no number
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+bias)<<23 | fraction<<13)
}
