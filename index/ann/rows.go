package ann

import (
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"unsafe"
)

const (
	chunkShift = 14
	chunkRows  = 1 << chunkShift
	chunkMask  = chunkRows - 1
	maxChunks  = 1 << 12 // so at most 67 million rows

	none = math.MaxUint32 // no row, no doc
)

// rows are vectors, numbered in the order of their coming. One goroutine appends;
// any number read the rows below len. What a row holds never changes, but for dead
// and twin.
type rows struct {
	quant *quantizer
	n     atomic.Uint32
	dead  atomic.Uint32 // how many rows are

	// Of each chunk; set before the first row in it is published by n.
	coarse [maxChunks]*byte
	wholes [maxChunks]wholeChunk
	infos  [maxChunks]*[chunkRows]info
	tombs  [maxChunks]*[chunkRows / 64]atomic.Uint64

	place    place
	overflow atomic.Pointer[map[uint32][]float32] // rows with numbers outside of the ranges, whole
	slabs    *slabs
}

// info is what else is known of a row.
type info struct {
	doc  uint32
	lean float32       // product with the quantizer's body
	twin atomic.Uint32 // the next row with the same vector, one more; 0 ends the list
}

// slabs is memory outside of the heap, given back when nobody refers to it any more.
type slabs struct{ list [][]byte }

func (s *slabs) allocate(n int) ([]byte, error) {
	b, err := allocate(n)
	if err != nil {
		return nil, fmt.Errorf("ask the system for %d MB: %w", n>>20, err)
	}
	s.list = append(s.list, b)
	return b, nil
}

func newSlabs() *slabs {
	s := &slabs{}
	runtime.SetFinalizer(s, func(s *slabs) {
		for _, b := range s.list {
			free(b)
		}
	})
	return s
}

func newRows(q *quantizer, place place) *rows {
	return &rows{quant: q, place: place, slabs: newSlabs()}
}

func (r *rows) len() int { return int(r.n.Load()) }

// grow makes room for row n.
func (r *rows) grow(n int) error {
	c := n >> chunkShift
	if c >= maxChunks {
		return fmt.Errorf("an index of more than %d vectors", maxChunks<<chunkShift)
	}
	if r.coarse[c] != nil {
		return nil
	}
	coarse, err := r.slabs.allocate(chunkRows * r.quant.width / 2)
	if err != nil {
		return err
	}
	if r.wholes[c], err = r.place.chunk(c, r.quant.width, r.slabs); err != nil {
		return err
	}
	r.infos[c], r.tombs[c] = new([chunkRows]info), new([chunkRows / 64]atomic.Uint64)
	r.coarse[c] = &coarse[0]
	return nil
}

// set writes row n, which grow has made room for and publish has not shown yet.
func (r *rows) set(n uint32, doc uint32, v []float32) (within bool) {
	chunk := r.wholes[n>>chunkShift]
	codes, fine := chunk.edit(n & chunkMask)
	within = r.quant.encode(v, r.code(n), codes, fine)
	chunk.done(n & chunkMask)
	in := r.info(n)
	in.doc, in.lean = doc, r.quant.lean(v)
	return within
}

// append adds a row and shows it.
func (r *rows) append(doc uint32, v []float32) (uint32, error) {
	n := r.n.Load()
	if err := r.grow(int(n)); err != nil {
		return 0, err
	}
	if !r.set(n, doc, v) {
		r.keepWhole(n, v)
	}
	r.n.Store(n + 1)
	return n, nil
}

// keepWhole notes a vector that the ranges do not hold.
func (r *rows) keepWhole(n uint32, v []float32) {
	more := map[uint32][]float32{n: append([]float32(nil), v...)}
	if old := r.overflow.Load(); old != nil {
		for k, v := range *old {
			more[k] = v
		}
	}
	r.overflow.Store(&more)
}

// code returns the coarse codes of row n.
func (r *rows) code(n uint32) []byte {
	w := r.quant.width / 2
	return bytesAt(r.coarse[n>>chunkShift], int(n&chunkMask)*w, w)
}

// numbers returns the whole numbers of row n, their upper and their lower parts.
func (r *rows) numbers(n uint32) (codes []byte, fine []uint16) {
	return r.wholes[n>>chunkShift].row(n & chunkMask)
}

func bytesAt(p *byte, at, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(p), at)), n)
}

func (r *rows) info(n uint32) *info { return &r.infos[n>>chunkShift][n&chunkMask] }

func (r *rows) isDead(n uint32) bool {
	return r.tombs[n>>chunkShift][n&chunkMask>>6].Load()&(1<<(n&63)) != 0
}

// kill marks row n as deleted.
func (r *rows) kill(n uint32) {
	if !r.isDead(n) {
		r.tombs[n>>chunkShift][n&chunkMask>>6].Or(1 << (n & 63))
		r.dead.Add(1)
	}
}

// whole reads row n back into v.
func (r *rows) whole(v []float32, n uint32) {
	if o := r.overflow.Load(); o != nil {
		if kept, ok := (*o)[n]; ok {
			copy(v, kept)
			return
		}
	}
	codes, fine := r.numbers(n)
	r.quant.decode(v, codes, fine)
}
