package trainer

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
)

// Tensor is a view of numbers that have a name and a shape.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// tensorHeader is an entry of a safetensors header.
type tensorHeader struct {
	Type    string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// header returns the head of a safetensors file with these tensors, and how many bytes
// follow it. The same tensors always give the same bytes.
func header(tensors []Tensor) (head []byte, rest int64) {
	entries := map[string]tensorHeader{}
	for _, t := range tensors {
		n := int64(4 * len(t.Data))
		entries[t.Name] = tensorHeader{"F32", append([]int{}, t.Shape...), [2]int64{rest, rest + n}}
		rest += n
	}
	text, err := json.Marshal(entries)
	if err != nil {
		panic("trainer: header of tensors: " + err.Error()) // names and numbers
	}
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), rest
}

// writeTensors writes a safetensors file and returns its CRC-32C.
func writeTensors(w io.Writer, tensors []Tensor) (uint32, error) {
	sum := crc32.New(castagnoli)
	w = io.MultiWriter(w, sum)
	head, _ := header(tensors)
	if _, err := w.Write(head); err != nil {
		return 0, err
	}
	buf := make([]byte, 0, 1<<20)
	for _, t := range tensors {
		for part := range slices.Chunk(t.Data, cap(buf)/4) {
			buf = buf[:0]
			for _, x := range part {
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(x))
			}
			if _, err := w.Write(buf); err != nil {
				return 0, err
			}
		}
	}
	return sum.Sum32(), nil
}

// readTensors fills tensors from a file that writeTensors wrote of tensors of the same
// names and shapes. An error leaves them half filled.
func readTensors(r io.Reader, tensors []Tensor, want uint32) error {
	sum := crc32.New(castagnoli)
	r = io.TeeReader(r, sum)
	head, _ := header(tensors)
	got := make([]byte, len(head))
	if _, err := io.ReadFull(r, got); err != nil {
		return fmt.Errorf("cut off: %w", err)
	}
	if !bytes.Equal(got, head) {
		return fmt.Errorf("its tensors are not those of this run")
	}
	buf := make([]byte, 1<<20)
	for _, t := range tensors {
		for part := range slices.Chunk(t.Data, len(buf)/4) {
			b := buf[:4*len(part)]
			if _, err := io.ReadFull(r, b); err != nil {
				return fmt.Errorf("cut off: %w", err)
			}
			for i := range part {
				part[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
			}
		}
	}
	if n, _ := r.Read(buf[:1]); n > 0 {
		return fmt.Errorf("it is longer than it should be")
	}
	if got := sum.Sum32(); got != want {
		return fmt.Errorf("its checksum is %08x, not %08x", got, want)
	}
	return nil
}
