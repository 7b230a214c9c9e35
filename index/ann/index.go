package ann

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/clipsearch/clipsearch/internal/simd"
)

// Options of an index. Dim is required.
type Options struct {
	Dim            int
	M              int    // links of a node on the upper levels, half of those on level 0; 16 if zero
	EfConstruction int    // candidates for the links of a node; 200 if zero
	Seed           uint64 // of the levels
	Workers        int    // that build; GOMAXPROCS if zero
	GraphFrom      int    // vectors from which on there is a graph; 50,000 if zero
	Dir            string // for the file of whole numbers; in memory if empty
	DirFrom        int    // vectors from which on there is a file
	InMemory       int    // up to so many vectors the file's whole numbers are copied into memory

	// Less orders docs of equal scores; by number if nil.
	Less func(a, b uint32) bool

	// Vectors returns the vectors of a doc from where they are kept, for a row
	// whose whole numbers in the file are damaged; nil if they are not kept.
	Vectors func(doc uint32) [][]float32
}

// Index finds vectors. Its methods may be called from several goroutines; searches
// wait for nobody.
type Index struct {
	options Options
	turn    *rotation
	state   atomic.Pointer[state]
	working sync.Mutex // who brings the graph up to date

	writing    sync.Mutex // guards all below, and rows against two writers
	turned     []float32
	rebuilding bool
	killed     []uint32 // rows, since rebuilding
}

// state is what searches work on: rows, and the graph over them if there is one.
type state struct {
	rows  *rows
	graph *graph // nil if there is none
	probe *probe // how well the graph finds; nil while it is not known
}

// maxDocs is how many docs there can be: they are numbered from 0 on.
const maxDocs = maxChunks << chunkShift

// New returns an empty index.
func New(o Options) (*Index, error) {
	if o.Dim < 1 || o.M < 0 || o.M > 64 || o.EfConstruction < 0 {
		return nil, fmt.Errorf("an index of %d dimensions, M %d and ef_construction %d", o.Dim, o.M, o.EfConstruction)
	}
	if o.M == 1 {
		return nil, errors.New("a graph of M 1: its levels would not end")
	}
	o.M, o.EfConstruction = cmp.Or(o.M, 16), cmp.Or(o.EfConstruction, 200)
	o.Workers, o.GraphFrom = cmp.Or(o.Workers, runtime.GOMAXPROCS(0)), cmp.Or(o.GraphFrom, 50_000)
	if o.Less == nil {
		o.Less = func(a, b uint32) bool { return a < b }
	}
	x := &Index{options: o, turn: newRotation(o.Dim), turned: make([]float32, o.Dim)}
	return x, x.begin(priorQuantizer(o.Dim), 0)
}

// begin makes x an empty index whose codes are those of q, for n vectors to begin
// with.
func (x *Index) begin(q *quantizer, n int) error {
	p, err := x.newPlace(n)
	if err == nil {
		x.state.Store(&state{rows: newRows(q, p)})
	}
	return err
}

// Learn has an empty index learn its coarse codes from a fair sample of the vectors
// that will come. Without it they are learned as vectors come, which is more work.
func (x *Index) Learn(sample [][]float32) error {
	x.working.Lock()
	defer x.working.Unlock()
	x.writing.Lock()
	defer x.writing.Unlock()
	if x.Len() > 0 || len(sample) == 0 {
		return errors.New("learn codes: only for an empty index, from some vectors")
	}
	m := newMoments(x.options.Dim)
	for _, v := range sample {
		if err := x.admissible(v); err != nil {
			return fmt.Errorf("learn codes: %w", err)
		}
		x.turn.turn(x.turned, v)
		m.add(x.turned)
	}
	return x.begin(m.quantizer(), m.n)
}

// Add adds a vector of unit length to those of doc.
func (x *Index) Add(doc uint32, v []float32) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	return x.add(doc, v)
}

// add is Add for who holds x.writing.
func (x *Index) add(doc uint32, v []float32) error {
	if doc >= maxDocs {
		return fmt.Errorf("doc %d, of at most %d", doc, maxDocs)
	}
	if err := x.admissible(v); err != nil {
		return fmt.Errorf("doc %d: %w", doc, err)
	}
	x.turn.turn(x.turned, v)
	return x.state.Load().rows.append(doc, x.turned)
}

// Replace gives doc these vectors in place of those that it has. A search meanwhile
// finds it by the ones or by the others.
func (x *Index) Replace(doc uint32, vectors [][]float32) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	r := x.state.Load().rows
	var old []uint32
	if doc < maxDocs {
		r.rowsOf(doc, func(n uint32) { old = append(old, n) })
	}
	for _, v := range vectors {
		if err := x.add(doc, v); err != nil {
			return err
		}
	}
	for _, n := range old {
		x.kill(r, n)
	}
	return nil
}

// admissible says what is wrong with a vector, if something is.
func (x *Index) admissible(v []float32) error {
	if len(v) != x.options.Dim {
		return fmt.Errorf("a vector of %d numbers, in an index of %d dimensions", len(v), x.options.Dim)
	}
	if sq := simd.Dot(v, v); sq-sq != 0 {
		return errors.New("a vector that holds what is no number, or an infinite one")
	}
	return nil
}

// Remove removes the vectors of doc and reports whether it had any.
func (x *Index) Remove(doc uint32) (had bool) {
	x.writing.Lock()
	defer x.writing.Unlock()
	r := x.state.Load().rows
	r.rowsOf(doc, func(n uint32) {
		had = true
		x.kill(r, n)
	})
	return had
}

// kill kills row n, also for the rows that are to take the place of r.
func (x *Index) kill(r *rows, n uint32) {
	r.kill(n)
	if x.rebuilding {
		x.killed = append(x.killed, n)
	}
}

// Len returns how many vectors there are.
func (x *Index) Len() int { return x.state.Load().rows.live() }

// Bytes returns how much memory the index takes, of its own and as pages of a file
// that the system may take back.
func (x *Index) Bytes() (anonymous, mapped int64) {
	st := x.state.Load()
	r, width := st.rows, st.rows.quant.width
	anonymous = pages(r.len(), width/2) + int64(chunks(r.len()))*chunkRows*int64(infoSize) + int64(r.len())/8
	for c := range chunks(r.len()) {
		n := min(chunkRows, r.len()-c<<chunkShift)
		if w := r.wholes[c].Load(); w.summed {
			mapped += int64(n * w.stride)
		} else {
			anonymous += pages(n, w.stride)
		}
	}
	for i := range r.docs {
		if r.docs[i].Load() != nil {
			anonymous += 4 * chunkRows
		}
	}
	if g := st.graph; g != nil {
		linked := int(g.linked.Load())
		anonymous += pages(linked, 4*g.m0) + int64(chunks(linked))*4*chunkRows
		g.grown.Lock()
		anonymous += int64(g.built>>towerShift+1) * 4 * towerSize
		g.grown.Unlock()
	}
	for _, c := range r.clips() {
		anonymous += int64(4 * len(c.vector))
	}
	return anonymous, mapped
}

// ScanBytes returns how many bytes of codes a query is compared with when it is
// compared with every vector.
func (x *Index) ScanBytes() int64 {
	r := x.state.Load().rows
	return int64(r.len()) * int64(r.quant.width/2)
}

func chunks(n int) int { return (n + chunkMask) >> chunkShift }

// page and hugePage are what memory for rows is handed out in: the latter to chunks
// that hold one.
const page, hugePage = 4 << 10, 2 << 20

// pages is what n rows of size bytes take.
func pages(n, size int) int64 {
	full, rest := n>>chunkShift, n&chunkMask
	unit := page
	if chunkRows*size >= hugePage {
		unit = hugePage
	}
	perChunk := func(rows int) int64 { return int64((rows*size + unit - 1) / unit * unit) }
	return int64(full)*perChunk(chunkRows) + perChunk(rest)
}

// Neighbor is a doc and its cosine.
type Neighbor struct {
	Doc   uint32
	Score float32
}

// before reports whether a is better than b.
func (x *Index) before(a, b Neighbor) bool {
	if a.Score != b.Score {
		return a.Score > b.Score
	}
	return x.options.Less(a.Doc, b.Doc)
}
