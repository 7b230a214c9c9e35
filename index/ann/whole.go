package ann

import (
	"encoding/binary"
	"hash/crc32"
	"unsafe"

	"github.com/clipsearch/clipsearch/internal/simd"
)

// place is where the whole numbers of rows lie.
type place interface {
	// chunk returns size bytes for chunk c: those that are there already, or zeros.
	chunk(c, size int, s *slabs) ([]byte, error)
	summed() bool // rows carry checksums, since what the system hands back may be another
	name() string // of its file, if it has one
}

// inMemory keeps them in memory.
type inMemory struct{}

func (inMemory) summed() bool { return false }

func (inMemory) name() string { return "" }

func (inMemory) chunk(_, size int, s *slabs) ([]byte, error) { return s.allocate(size) }

// wholes are the whole numbers of the rows of a chunk: of each the upper parts, the
// lower parts and, if summed, a checksum.
type wholes struct {
	bytes  []byte
	width  int
	stride int
	summed bool
}

func newWholes(place place, c, width int, s *slabs) (*wholes, error) {
	w := &wholes{width: width, stride: 3 * width, summed: place.summed()}
	if w.summed {
		w.stride += sumSize
	}
	var err error
	w.bytes, err = place.chunk(c, chunkRows*w.stride, s)
	return w, err
}

const sumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (w *wholes) row(i uint32) []byte {
	at := int(i) * w.stride
	return w.bytes[at : at+w.stride : at+w.stride]
}

// numbers returns the parts of row i.
func (w *wholes) numbers(i uint32) (codes []byte, fine []uint16) {
	b := w.row(i)
	return b[:w.width:w.width], unsafe.Slice((*uint16)(unsafe.Pointer(&b[w.width])), w.width)
}

// fetch asks for row i, which will be read soon.
func (w *wholes) fetch(i uint32) {
	simd.Prefetch(&w.bytes[int(i)*w.stride], w.stride)
}

// seal notes that row i, with these coarse codes, is complete. The codes are part
// of the sum, so that a row left from an earlier index in the same place does not
// pass for this one.
func (w *wholes) seal(i uint32, coarse []byte) {
	if b := w.row(i); w.summed {
		binary.LittleEndian.PutUint32(b[3*w.width:], rowSum(coarse, b[:3*w.width]))
	}
}

// sound reports whether row i is as it was sealed.
func (w *wholes) sound(i uint32, coarse []byte) bool {
	b := w.row(i)
	return binary.LittleEndian.Uint32(b[3*w.width:]) == rowSum(coarse, b[:3*w.width])
}

func rowSum(coarse, whole []byte) uint32 {
	return crc32.Update(crc32.Checksum(coarse, castagnoli), castagnoli, whole)
}
