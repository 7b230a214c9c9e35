package clip

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// Bounds of a safetensors header. The first is the format's own; the others are
// far above what any model has.
const (
	maxHeader  = 100_000_000
	maxTensors = 100_000
	maxRank    = 16
	maxName    = 1 << 10 // bytes
)

// tensorSizes are the bytes of a number of each of the format's types, but for
// those that share bytes.
var tensorSizes = map[string]int64{
	"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "F8_E8M0": 1,
	"I16": 2, "U16": 2, "F16": 2, "BF16": 2,
	"I32": 4, "U32": 4, "F32": 4,
	"I64": 8, "U64": 8, "F64": 8, "C64": 8,
}

// readHeader returns the tensors of a file in the order in which they lie there.
// Like the format's own reader, it takes only files that are filled exactly:
// without a gap, without an overlap, and nothing behind the last tensor.
func (f *weightsFile) readHeader() ([]Tensor, error) {
	text, err := f.headerText()
	if err != nil {
		return nil, err
	}
	r := newJSONReader(text)
	var tensors []Tensor
	seen := map[string]bool{}
	r.object(func(key string) {
		switch {
		case len(key) > maxName:
			r.fail("a name of more than %d bytes", maxName)
			return
		case seen[key]:
			r.fail("%q is there twice", key)
			return
		case len(tensors) == maxTensors:
			r.fail("more than %d tensors", maxTensors)
			return
		case key == "__metadata__":
			r.object(func(string) { r.str() })
		default:
			key = strings.Clone(key) // the header need not be kept
			tensors = append(tensors, readTensor(r, key))
		}
		seen[key] = true
	})
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	slices.SortStableFunc(tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Bytes, b.Bytes))
	})
	return tensors, f.place(tensors, int64(8+len(text)))
}

// headerText reads the header. It asks for no more memory than the file has bytes.
func (f *weightsFile) headerText() ([]byte, error) {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf(format+": %w", append(args, clipsearch.ErrInvalid)...)
	}
	start, err := f.bytes(0, min(f.size, 16))
	if err != nil {
		return nil, err
	}
	switch {
	case isPickle(start):
		return nil, pickled(f.name)
	case strings.HasPrefix(string(start), "version https://"):
		return nil, invalid("it is a Git LFS pointer, not the weights themselves: get those (git lfs pull)")
	case len(start) < 8:
		return nil, invalid("cut off: %d bytes, should be 8 at least: get it again", len(start))
	}
	n := binary.LittleEndian.Uint64(start)
	switch {
	case n > maxHeader:
		return nil, invalid("this is no safetensors file: its header would be of %d bytes, more than %d", n, maxHeader)
	case int64(n) > f.size-8:
		return nil, invalid("cut off: %d bytes, should be %d at least: get it again", f.size, n+8)
	case n < 2 || len(start) > 8 && start[8] != '{':
		return nil, invalid("this is no safetensors file: its header does not begin with {")
	}
	return f.bytes(8, int64(n))
}

// readTensor reads a tensor's entry. Its offset is still counted from the end of
// the header, and nothing is checked but that all is there.
func readTensor(r *jsonReader, name string) Tensor {
	t := Tensor{Name: name}
	var ends []int
	r.object(func(key string) {
		switch {
		case key == "dtype" && t.Type == "":
			t.Type = strings.Clone(r.str())
		case key == "shape" && t.Shape == nil:
			t.Shape = r.wholes(maxRank)
		case key == "data_offsets" && ends == nil:
			ends = r.wholes(2)
		case key == "dtype" || key == "shape" || key == "data_offsets":
			r.fail("tensor %q: %s is there twice", name, key)
		default:
			r.skip()
		}
	})
	if t.Type == "" || t.Shape == nil || len(ends) != 2 {
		r.fail("tensor %q: not all of dtype, shape and two data_offsets are there", name)
		return t
	}
	t.Offset, t.Bytes = int64(ends[0]), int64(ends[1])-int64(ends[0])
	return t
}

// place checks the tensors, which are sorted by their offsets, and moves these
// behind the header.
func (f *weightsFile) place(tensors []Tensor, header int64) error {
	invalid := func(t Tensor, format string, args ...any) error {
		return fmt.Errorf("tensor %q: %s: %w", t.Name, fmt.Sprintf(format, args...), clipsearch.ErrInvalid)
	}
	var end int64
	for i := range tensors {
		t := &tensors[i]
		size, known := tensorSizes[t.Type]
		want, fits := product(size, t.Shape)
		switch {
		case !known:
			return invalid(*t, "numbers of type %.100q are not known here", t.Type)
		case !fits:
			return invalid(*t, "its shape %v is impossible", t.Shape)
		case t.Bytes < 0:
			return invalid(*t, "it ends at %d, before it begins at %d", t.Offset+t.Bytes, t.Offset)
		case t.Offset != end:
			return invalid(*t, "it begins at %d, and what is before it ends at %d", t.Offset, end)
		case t.Bytes != want:
			return invalid(*t, "%s%v is %d bytes, and it lies in %d", t.Type, t.Shape, want, t.Bytes)
		}
		end += t.Bytes // no overflow: it is one of the offsets
		t.Offset += header
		t.File, t.of = f.name, f
	}
	switch rest := f.size - header; {
	case end > rest:
		return fmt.Errorf("cut off: %d bytes, should be %d: get it again: %w", f.size, uint64(header)+uint64(end), clipsearch.ErrInvalid)
	case end < rest:
		return fmt.Errorf("%d bytes lie behind the last tensor: get it again: %w", rest-end, clipsearch.ErrInvalid)
	}
	return nil
}

// product multiplies n by all of shape and reports whether that is a number.
func product(n int64, shape []int) (int64, bool) {
	for _, d := range shape {
		if d > 0 && n > math.MaxInt64/int64(d) {
			return 0, false
		}
		n *= int64(d)
	}
	return n, true
}
