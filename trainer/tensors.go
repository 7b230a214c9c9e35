package trainer

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/clipsearch/clipsearch/clip"
)

// Tensor is a view of numbers that have a name and a shape.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC-32C of the numbers of tensors, as their file has them.
func checksum(tensors []Tensor) uint32 {
	var sum uint32
	buf := make([]byte, 0, 1<<18)
	for _, t := range tensors {
		for part := range slices.Chunk(t.Data, cap(buf)/4) {
			buf = buf[:0]
			for _, x := range part {
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(x))
			}
			sum = crc32.Update(sum, castagnoli, buf)
		}
	}
	return sum
}

// bytes is how long the file of tensors is, but for its header.
func bytesOf(tensors []Tensor) (n int64) {
	for _, t := range tensors {
		n += 4 * int64(len(t.Data))
	}
	return n
}

// writeTensors writes a safetensors file through to the disk.
func writeTensors(name string, tensors []Tensor) (sum uint32, err error) {
	list := make([]clip.NewTensor, len(tensors))
	for i, t := range tensors {
		list[i] = clip.FloatTensor(t.Name, t.Data, t.Shape...)
	}
	return checksum(tensors), clip.WriteTensors(name, list, nil)
}

// readTensors fills tensors from such a file. An error leaves some of them filled.
func readTensors(name string, tensors []Tensor, want uint32) error {
	w, err := clip.OpenWeights(os.DirFS(filepath.Dir(name)), filepath.Base(name))
	if err != nil {
		return err
	}
	defer w.Close()
	for _, t := range tensors {
		from, ok := w.Tensor(t.Name)
		if !ok || from.Type != "F32" || !slices.Equal(from.Shape, t.Shape) {
			return fmt.Errorf("it has no tensor %s of %v: it is of another run", t.Name, t.Shape)
		}
		if err := w.ReadFloat32s(from, 0, t.Data); err != nil {
			return err
		}
	}
	if got := checksum(tensors); got != want {
		return fmt.Errorf("the checksum of its numbers is %08x, not %08x", got, want)
	}
	return nil
}
