package index

import (
	"cmp"
	"runtime"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/clipsearch/clipsearch"
)

// flat compares with every vector. The zero value is empty and ready.
type flat struct {
	// Less orders docs of equal score, so that an answer does not depend on the
	// order of their coming; by number if nil.
	Less func(a, b doc) bool

	dim    int
	chunks [][]float32 // chunkRows rows of dim numbers each
	docs   []doc       // of each row
	rows   []int32     // of each doc its first row, or noRow
	more   map[doc][]int32
}

const (
	chunkRows = 4096
	noRow     = -1
	// parallelRows is where two threads begin to pay.
	parallelRows = 4 * chunkRows
)

func (f *flat) Len() int { return len(f.docs) }

func (f *flat) row(r int) []float32 {
	at := r % chunkRows * f.dim
	return f.chunks[r/chunkRows][at : at+f.dim : at+f.dim]
}

// Add keeps a copy of v.
func (f *flat) Add(d doc, v clipsearch.Vector) error {
	if f.dim == 0 {
		f.dim = len(v)
	}
	if len(v) != f.dim {
		panic("index: vector of the wrong length") // Put has checked it
	}
	r := len(f.docs)
	if r == len(f.chunks)*chunkRows {
		f.chunks = append(f.chunks, make([]float32, chunkRows*f.dim))
	}
	f.docs = append(f.docs, d)
	copy(f.row(r), v)
	f.setRow(d, int32(r))
	return nil
}

// setRow notes that r is one of d's rows.
func (f *flat) setRow(d doc, r int32) {
	for len(f.rows) <= int(d) {
		f.rows = append(f.rows, noRow)
	}
	if f.rows[d] == noRow {
		f.rows[d] = r
		return
	}
	if f.more == nil {
		f.more = map[doc][]int32{}
	}
	f.more[d] = append(f.more[d], r)
}

// Remove fills the gaps with the last rows.
func (f *flat) Remove(d doc) {
	if int(d) >= len(f.rows) || f.rows[d] == noRow {
		return
	}
	gone := append([]int32{f.rows[d]}, f.more[d]...)
	f.rows[d] = noRow
	delete(f.more, d)
	slices.SortFunc(gone, func(a, b int32) int { return cmp.Compare(b, a) }) // the last first
	for _, r := range gone {
		f.fill(r)
	}
	if unused := len(f.chunks)*chunkRows - len(f.docs); unused >= 2*chunkRows {
		f.chunks = slices.Delete(f.chunks, len(f.chunks)-1, len(f.chunks))
	}
}

// fill moves the last row into row r.
func (f *flat) fill(r int32) {
	last := int32(len(f.docs) - 1)
	if r != last {
		d := f.docs[last]
		copy(f.row(int(r)), f.row(int(last)))
		f.docs[r] = d
		if f.rows[d] == last {
			f.rows[d] = r
		} else {
			f.more[d][slices.Index(f.more[d], last)] = r
		}
	}
	f.docs = f.docs[:last]
}

// Search implements vectors. It uses two threads where that pays.
func (f *flat) Search(v clipsearch.Vector, k int, admitted *roaring.Bitmap) []neighbor {
	n := len(f.docs)
	if n == 0 || k < 1 {
		return nil
	}
	threads := min(runtime.GOMAXPROCS(0), 2)
	if n < parallelRows || threads < 2 {
		top := f.newTop(k)
		f.scan(v, 0, n, admitted, top)
		return top.sorted()
	}
	middle := n / 2 / chunkRows * chunkRows
	upper := f.newTop(k)
	var wg sync.WaitGroup
	wg.Go(func() { f.scan(v, middle, n, admitted, upper) })
	top := f.newTop(k)
	f.scan(v, 0, middle, admitted, top)
	wg.Wait()
	for _, nb := range upper.list {
		top.offer(nb)
	}
	return top.sorted()
}

// scan offers the docs of rows from up to to.
func (f *flat) scan(v clipsearch.Vector, from, to int, admitted *roaring.Bitmap, top *top) {
	for r := from; r < to; {
		end := min(to, (r/chunkRows+1)*chunkRows)
		rows := f.chunks[r/chunkRows][r%chunkRows*f.dim:]
		for ; r < end; r++ {
			nb := neighbor{f.docs[r], dot(v, rows[:f.dim])}
			rows = rows[f.dim:]
			if len(f.more) > 0 {
				if f.rows[nb.doc] != int32(r) {
					continue // counted with its first row
				}
				nb.score = f.best(v, nb)
			}
			if top.wants(nb) && (admitted == nil || admitted.Contains(uint32(nb.doc))) {
				top.offer(nb)
			}
		}
	}
}

// best returns the best score of nb's rows, of which nb is the first.
func (f *flat) best(v clipsearch.Vector, nb neighbor) float32 {
	for _, r := range f.more[nb.doc] {
		nb.score = max(nb.score, dot(v, f.row(int(r))))
	}
	return nb.score
}

// dot is [clipsearch.Vector.Dot] with eight sums, so that additions do not wait for
// each other.
func dot(v, w []float32) float32 {
	w = w[:len(v)]
	var a, b, c, d, e, f, g, h float32
	i := 0
	for ; i+8 <= len(v); i += 8 {
		x, y := v[i:i+8:i+8], w[i:i+8:i+8]
		a += x[0] * y[0]
		b += x[1] * y[1]
		c += x[2] * y[2]
		d += x[3] * y[3]
		e += x[4] * y[4]
		f += x[5] * y[5]
		g += x[6] * y[6]
		h += x[7] * y[7]
	}
	for ; i < len(v); i++ {
		a += v[i] * w[i]
	}
	return (a + b) + (c + d) + ((e + f) + (g + h))
}

// top keeps the k best, the worst of them at the root of a heap.
type top struct {
	k    int
	less func(a, b doc) bool
	list []neighbor
}

func (f *flat) newTop(k int) *top {
	less := f.Less
	if less == nil {
		less = func(a, b doc) bool { return a < b }
	}
	return &top{k: k, less: less}
}

// before reports whether a is better than b.
func (t *top) before(a, b neighbor) bool {
	if a.score != b.score {
		return a.score > b.score
	}
	return t.less(a.doc, b.doc)
}

// wants reports whether nb would be kept.
func (t *top) wants(nb neighbor) bool {
	return len(t.list) < t.k || t.before(nb, t.list[0])
}

// offer keeps nb if it is one of the best.
func (t *top) offer(nb neighbor) {
	if len(t.list) < t.k {
		t.list = append(t.list, nb)
		for i := len(t.list) - 1; i > 0; {
			parent := (i - 1) / 2
			if !t.before(t.list[parent], t.list[i]) {
				break
			}
			t.list[parent], t.list[i] = t.list[i], t.list[parent]
			i = parent
		}
		return
	}
	if !t.before(nb, t.list[0]) {
		return
	}
	t.list[0] = nb
	for i := 0; ; {
		worst := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(t.list) && t.before(t.list[worst], t.list[child]) {
				worst = child
			}
		}
		if worst == i {
			return
		}
		t.list[i], t.list[worst] = t.list[worst], t.list[i]
		i = worst
	}
}

// sorted returns what is kept, best first.
func (t *top) sorted() []neighbor {
	slices.SortFunc(t.list, func(a, b neighbor) int {
		if t.before(a, b) {
			return -1
		}
		return 1
	})
	return t.list
}
