package ann

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/clipsearch/clipsearch/internal/simd"
)

const (
	chunkShift = 14
	chunkRows  = 1 << chunkShift
	chunkMask  = chunkRows - 1
	maxChunks  = 1 << 12 // so at most 67 million rows, and docs
)

// rows are vectors, numbered in the order of their coming, and whose they are. One
// goroutine writes; any number read the rows below len. What a row holds never
// changes, but for dead and twin.
type rows struct {
	quant *quantizer
	n     atomic.Uint32
	dead  atomic.Uint32 // how many rows are
	owned atomic.Uint32 // how many docs have rows
	many  atomic.Bool   // a doc has, or had, several rows

	// Of each chunk; set before the first row in it is published by n.
	coarse [maxChunks]*byte
	wholes [maxChunks]atomic.Pointer[wholes] // of a file at first, and then in memory if that is wished
	infos  [maxChunks]*[chunkRows]info
	tombs  [maxChunks]*[chunkRows / 64]atomic.Uint64

	docs    [maxChunks]atomic.Pointer[[chunkRows]atomic.Uint32] // the last row of each doc, one more; 0: none
	epoch   int64                                               // tells these rows apart from others that had the same numbers
	place   place
	clipped atomic.Pointer[[]clip]
	slabs   *slabs
}

// info is what else is known of a row.
type info struct {
	doc     uint32
	lean    float32       // product with the quantizer's mean
	sibling uint32        // the row before of the same doc, one more; 0: none
	twin    atomic.Uint32 // the next row with the same vector, one more; 0 ends the list
}

const infoSize = int(unsafe.Sizeof(info{}))

// clip is a row with numbers beyond what whole numbers hold, and its vector.
type clip struct {
	row    uint32
	vector []float32
}

// slabs is memory outside of the heap, given back when nobody refers to it any more.
type slabs struct {
	mu   sync.Mutex
	list [][]byte
}

func (s *slabs) allocate(n int) ([]byte, error) {
	b, err := allocate(n)
	if err != nil {
		return nil, fmt.Errorf("ask the system for %d MB: %w", n>>20, err)
	}
	s.keep(b)
	return b, nil
}

// keep has s give b back in the end.
func (s *slabs) keep(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, b)
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
	return &rows{quant: q, place: place, slabs: newSlabs(), epoch: rand.Int64()}
}

func (r *rows) len() int { return int(r.n.Load()) }

func (r *rows) live() int {
	dead := r.dead.Load() // first: it never exceeds what n is afterwards
	return int(r.n.Load() - dead)
}

// grow makes room for row n.
func (r *rows) grow(n int) error {
	c := n >> chunkShift
	if c >= maxChunks {
		return fmt.Errorf("an index of more than %d vectors", maxChunks<<chunkShift)
	}
	if r.infos[c] != nil {
		return nil
	}
	if r.coarse[c] == nil { // else an attempt before this one has made it
		coarse, err := r.slabs.allocate(chunkRows * r.quant.width / 2)
		if err != nil {
			return err
		}
		r.coarse[c] = &coarse[0]
	}
	w, err := newWholes(r.place, c, r.quant.width, r.slabs)
	if err != nil {
		return err
	}
	r.wholes[c].Store(w)
	r.infos[c], r.tombs[c] = new([chunkRows]info), new([chunkRows / 64]atomic.Uint64)
	return nil
}

// set writes row n, which grow has made room for and publish has not shown yet.
func (r *rows) set(n, doc uint32, v []float32) (within bool) {
	w := r.wholes[n>>chunkShift].Load()
	codes, fine := w.numbers(n & chunkMask)
	within = r.quant.encode(v, r.code(n), codes, fine)
	w.seal(n&chunkMask, r.code(n))
	in := r.info(n)
	in.doc, in.lean = doc, r.quant.lean(v)
	return within
}

// append adds a row and shows it.
func (r *rows) append(doc uint32, v []float32) error {
	n := r.n.Load()
	if err := r.grow(int(n)); err != nil {
		return err
	}
	if !r.set(n, doc, v) {
		r.keep(clip{n, slices.Clone(v)})
	}
	r.publish(n)
	return nil
}

// publish shows row n, which is set, as one of its doc's.
func (r *rows) publish(n uint32) {
	in := r.info(n)
	last := r.lastOf(in.doc)
	if in.sibling = last.Load(); in.sibling != 0 {
		r.many.Store(true)
	} else {
		r.owned.Add(1)
	}
	r.n.Store(n + 1)
	last.Store(n + 1)
}

// keep notes a vector that whole numbers do not hold. Rows come in order.
func (r *rows) keep(c clip) {
	var list []clip
	if old := r.clipped.Load(); old != nil {
		list = *old
	}
	list = append(list, c) // whoever reads the old one does not see it
	r.clipped.Store(&list)
}

func (r *rows) clips() []clip {
	if list := r.clipped.Load(); list != nil {
		return *list
	}
	return nil
}

// clip returns the vector of row n if it is kept apart.
func (r *rows) clip(n uint32) ([]float32, bool) {
	list := r.clips()
	at, ok := slices.BinarySearchFunc(list, n, func(c clip, n uint32) int { return int(c.row) - int(n) })
	if !ok {
		return nil, false
	}
	return list[at].vector, true
}

// lastOf returns where the last row of doc is noted.
func (r *rows) lastOf(doc uint32) *atomic.Uint32 {
	p := &r.docs[doc>>chunkShift]
	if p.Load() == nil {
		p.Store(new([chunkRows]atomic.Uint32))
	}
	return &p.Load()[doc&chunkMask]
}

// rowsOf calls fn with each row of doc that is not dead.
func (r *rows) rowsOf(doc uint32, fn func(n uint32)) {
	if doc>>chunkShift >= maxChunks {
		return
	}
	p := r.docs[doc>>chunkShift].Load()
	if p == nil {
		return
	}
	for at := p[doc&chunkMask].Load(); at != 0; at = r.info(at - 1).sibling {
		if !r.isDead(at - 1) {
			fn(at - 1)
		}
	}
}

// rowsOfAll appends the rows of docs that are not dead.
func (r *rows) rowsOfAll(list, docs []uint32) []uint32 {
	many := r.many.Load() // read first: a doc that has several rows later has its last one now
	for _, doc := range docs {
		if many {
			r.rowsOf(doc, func(n uint32) { list = append(list, n) })
			continue
		}
		if doc >= maxDocs {
			return list
		}
		if p := r.docs[doc>>chunkShift].Load(); p != nil {
			if last := p[doc&chunkMask].Load(); last != 0 {
				list = append(list, last-1)
			}
		}
	}
	return list
}

// code returns the coarse codes of row n.
func (r *rows) code(n uint32) []byte {
	w := r.quant.width / 2
	return bytesAt(r.coarse[n>>chunkShift], int(n&chunkMask)*w, w)
}

// numbers returns the whole numbers of row n, their upper and their lower parts.
func (r *rows) numbers(n uint32) (codes []byte, fine []uint16) {
	return r.wholes[n>>chunkShift].Load().numbers(n & chunkMask)
}

// fetch asks for what row n is scored and named by, which will be read soon.
func (r *rows) fetch(n uint32) {
	r.wholes[n>>chunkShift].Load().fetch(n & chunkMask)
	simd.Prefetch((*byte)(unsafe.Pointer(r.info(n))), infoSize)
}

// sound reports whether the whole numbers of row n are what was written.
func (r *rows) sound(n uint32) bool {
	w := r.wholes[n>>chunkShift].Load()
	return !w.summed || w.sound(n&chunkMask, r.code(n))
}

func bytesAt(p *byte, at, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(p), at)), n)
}

func (r *rows) info(n uint32) *info { return &r.infos[n>>chunkShift][n&chunkMask] }

func (r *rows) isDead(n uint32) bool {
	return r.tombs[n>>chunkShift][n&chunkMask>>6].Load()&(1<<(n&63)) != 0
}

// kill marks row n as deleted, and its doc where that was the last.
func (r *rows) kill(n uint32) {
	if r.isDead(n) {
		return
	}
	r.tombs[n>>chunkShift][n&chunkMask>>6].Or(1 << (n & 63))
	r.dead.Add(1)
	doc, rest := r.info(n).doc, false
	r.rowsOf(doc, func(uint32) { rest = true })
	if !rest && doc != noDoc {
		r.lastOf(doc).Store(0)
		r.owned.Add(^uint32(0))
	}
}

// whole reads row n back into v.
func (r *rows) whole(v []float32, n uint32) {
	if kept, ok := r.clip(n); ok {
		copy(v, kept)
		return
	}
	codes, fine := r.numbers(n)
	r.quant.decode(v, codes, fine)
}

// score returns the product of row n with the vector that weights were made of.
func (r *rows) score(n uint32, weights []float32) float32 {
	codes, fine := r.numbers(n)
	return simd.DotFine(codes, fine, weights)
}
