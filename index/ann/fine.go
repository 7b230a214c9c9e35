package ann

import "unsafe"

// finePlace is where the fine parts of rows lie.
type finePlace interface {
	// chunk makes or finds the fine parts of chunk c.
	chunk(c, width int, s *slabs) (fineChunk, error)
	mapped() bool // they lie in a file
}

// fineChunk holds the fine parts of chunkRows rows.
type fineChunk interface {
	row(i uint32, code []byte) []uint16 // of row i, with these codes
	edit(i uint32) []uint16
	done(i uint32, code []byte) // an edit is complete
}

// inMemory keeps fine parts in memory.
type inMemory struct{}

func (inMemory) mapped() bool { return false }

func (inMemory) chunk(_, width int, s *slabs) (fineChunk, error) {
	b, err := s.allocate(2 * chunkRows * width)
	if err != nil {
		return nil, err
	}
	return &memoryChunk{fine: unsafe.Slice((*uint16)(unsafe.Pointer(&b[0])), chunkRows*width), width: width}, nil
}

type memoryChunk struct {
	fine  []uint16
	width int
}

func (m *memoryChunk) edit(i uint32) []uint16 {
	at := int(i) * m.width
	return m.fine[at : at+m.width : at+m.width]
}

func (m *memoryChunk) row(i uint32, _ []byte) []uint16 { return m.edit(i) }

func (m *memoryChunk) done(uint32, []byte) {}
