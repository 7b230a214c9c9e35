package ann

import (
	"unsafe"

	"github.com/clipsearch/clipsearch/internal/simd"
)

// place is where whole numbers of rows lie.
type place interface {
	// chunk makes or finds those of chunk c.
	chunk(c, width int, s *slabs) (wholeChunk, error)
	mapped() bool // they lie in a file
}

// wholeChunk holds the whole numbers of chunkRows rows.
type wholeChunk interface {
	row(i uint32) (codes []byte, fine []uint16)
	edit(i uint32) (codes []byte, fine []uint16)
	done(i uint32)  // an edit is complete
	fetch(i uint32) // row i will be read soon
}

// inMemory keeps them in memory.
type inMemory struct{}

func (inMemory) mapped() bool { return false }

func (inMemory) chunk(_, width int, s *slabs) (wholeChunk, error) {
	b, err := s.allocate(3 * chunkRows * width)
	if err != nil {
		return nil, err
	}
	return &memoryChunk{bytes: b, width: width}, nil
}

type memoryChunk struct {
	bytes []byte
	width int
}

func (m *memoryChunk) row(i uint32) (codes []byte, fine []uint16) {
	return splitRow(m.bytes[3*int(i)*m.width:], m.width)
}

// splitRow splits a row of 3·width bytes: codes, then fine parts.
func splitRow(b []byte, width int) (codes []byte, fine []uint16) {
	return b[:width:width], unsafe.Slice((*uint16)(unsafe.Pointer(&b[width])), width)
}

func (m *memoryChunk) edit(i uint32) (codes []byte, fine []uint16) { return m.row(i) }

func (m *memoryChunk) done(uint32) {}

func (m *memoryChunk) fetch(i uint32) {
	simd.Prefetch(&m.bytes[3*int(i)*m.width], 3*m.width)
}
