package clip

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/clipsearch/clipsearch"
)

// NewTensor is a tensor that is to be written. Write is called once, for its bytes as
// the format has them: little-endian, the last index moves fastest.
type NewTensor struct {
	Name  string
	Type  string // of safetensors' names
	Shape []int
	Write func(io.Writer) error
}

// FloatTensor is a tensor of float32, which are read when it is written.
func FloatTensor(name string, x []float32, shape ...int) NewTensor {
	return NewTensor{Name: name, Type: "F32", Shape: shape, Write: func(w io.Writer) error {
		if len(x) != elements(shape) {
			return fmt.Errorf("%d numbers of the shape %v", len(x), shape)
		}
		return writeFloats(w, x)
	}}
}

func writeFloats(w io.Writer, x []float32) error {
	const chunk = 1 << 14 // numbers
	buf := make([]byte, 0, 4*min(chunk, len(x)))
	for part := range slices.Chunk(x, chunk) {
		buf = buf[:0]
		for _, v := range part {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// WriteTensors writes a safetensors file. It is written aside and renamed, so that
// whatever lay there is there until the new one is whole and on the disk. Tensors
// whose numbers are larger come first, so that each lies at a multiple of its
// number's size, as the format's own writer has it.
func WriteTensors(file string, tensors []NewTensor, metadata map[string]string) (err error) {
	tensors = slices.Clone(tensors)
	slices.SortStableFunc(tensors, func(a, b NewTensor) int { return int(tensorSizes[b.Type] - tensorSizes[a.Type]) })
	header, err := tensorHeader(tensors, metadata)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".part")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = writeTensors(f, header, tensors)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.Rename(f.Name(), file)
}

func writeTensors(f io.Writer, header []byte, tensors []NewTensor) error {
	w := bufio.NewWriterSize(f, 1<<16)
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, t := range tensors {
		want, _ := product(tensorSizes[t.Type], t.Shape)
		c := &counter{w: w}
		if err := t.Write(c); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if c.n != want {
			return fmt.Errorf("tensor %q: %s%v is %d bytes, and %d were written", t.Name, t.Type, t.Shape, want, c.n)
		}
	}
	return w.Flush()
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// tensorEntry is what a header says of a tensor.
type tensorEntry struct {
	Type  string   `json:"dtype"`
	Shape []int    `json:"shape"`
	Ends  [2]int64 `json:"data_offsets"`
}

// tensorHeader is all that lies before the first tensor. Spaces fill it up, so that
// the tensors begin at a multiple of eight.
func tensorHeader(tensors []NewTensor, metadata map[string]string) ([]byte, error) {
	var members []string
	list := func(key string, value any) {
		k, _ := json.Marshal(key)
		v, _ := json.Marshal(value) // numbers and strings only
		members = append(members, string(k)+":"+string(v))
	}
	if metadata != nil {
		list("__metadata__", metadata)
	}
	var end int64
	seen := map[string]bool{"__metadata__": true}
	for _, t := range tensors {
		size, known := tensorSizes[t.Type]
		n, fits := product(size, t.Shape)
		switch {
		case !known || !fits || n < 0 || n > math.MaxInt64-end:
			return nil, fmt.Errorf("tensor %q cannot be %.100s%v: %w", t.Name, t.Type, t.Shape, clipsearch.ErrInvalid)
		case len(t.Name) > maxName || !utf8.ValidString(t.Name) || len(tensors) > maxTensors:
			return nil, fmt.Errorf("tensor %.100q, one of %d: names are UTF-8 of %d bytes at most, and there are no more than %d: %w", t.Name, len(tensors), maxName, maxTensors, clipsearch.ErrInvalid)
		case seen[t.Name]:
			return nil, fmt.Errorf("tensor %q is there twice, or a name that is the format's own: %w", t.Name, clipsearch.ErrInvalid)
		}
		seen[t.Name] = true
		list(t.Name, tensorEntry{t.Type, append([]int{}, t.Shape...), [2]int64{end, end + n}})
		end += n
	}
	text := "{" + strings.Join(members, ",") + "}"
	text += strings.Repeat(" ", -len(text)&7)
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), nil
}
