package ann

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"sync"

	"github.com/clipsearch/clipsearch/internal/simd"
)

// A spot is a row with its score as one number: a better row has a larger one. The
// score is an integer in the upper half, its sign bit turned; in the lower half is
// the row, and a bit that says whether its links have been followed.
type spot uint64

const followed spot = 1 << 31

func newSpot(score int32, row uint32) spot {
	return spot(uint32(score)^1<<31)<<32 | spot(row)
}

func (s spot) row() uint32  { return uint32(s) &^ uint32(followed) }
func (s spot) score() int32 { return int32(uint32(s>>32) ^ 1<<31) }

// walker is the memory of one search.
type walker struct {
	beam    []spot   // best first
	visited []uint64 // a bit a row
	ids     []uint32
	scores  []int32
	turned  []float32
	query   folded
	weights []float32
	best    best
	top     top
	both    []spot
	docs    [256]uint32

	admit    []uint64 // a bit a doc
	admitted bool     // admit is of this search
}

var walkers = sync.Pool{New: func() any { return new(walker) }}

// take returns a walker for rows of width numbers.
func take(width int) *walker {
	w := walkers.Get().(*walker)
	if len(w.query.q) != width {
		w.query.q, w.weights = make([]int8, width), make([]float32, width)
	}
	w.admitted = false
	return w
}

func (w *walker) give() { walkers.Put(w) }

// begin forgets which of n rows were visited.
func (w *walker) begin(n int) {
	words := (n + 63) / 64
	if cap(w.visited) < words {
		w.visited = make([]uint64, words+words/4)
	}
	w.visited = w.visited[:words]
	clear(w.visited)
	w.beam = w.beam[:0]
}

// visit reports whether row r is visited for the first time. A row that came after
// begin is none.
func (w *walker) visit(r uint32) bool {
	if int(r>>6) >= len(w.visited) {
		return false
	}
	word, bit := &w.visited[r>>6], uint64(1)<<(r&63)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// visitOnce is visit, as 1 or 0, without a branch for whether it was visited.
func (w *walker) visitOnce(r uint32) int {
	if int(r>>6) >= len(w.visited) {
		return 0
	}
	word := w.visited[r>>6]
	w.visited[r>>6] = word | 1<<(r&63)
	return int(^word >> (r & 63) & 1)
}

// score scores w.ids against q into w.scores.
func (w *walker) score(r *rows, q []int8) {
	if cap(w.scores) < len(w.ids) {
		w.scores = make([]int32, 2*len(w.ids)+64)
	}
	w.scores = w.scores[:len(w.ids)]
	simd.CoarseRows(w.scores, r.coarse[:], chunkShift, w.ids, q)
}

// keep puts s into the beam of at most ef spots and returns where; ef if nowhere.
func (w *walker) keep(s spot, ef int) int {
	n := len(w.beam)
	if n == ef {
		if s <= w.beam[n-1] {
			return ef
		}
		n--
	} else {
		w.beam = append(w.beam, 0)
	}
	lo := 0
	for rest := n; rest > 0; { // without branches, which no processor could guess
		half := (rest + 1) / 2
		_, better := bits.Sub64(uint64(s), uint64(w.beam[lo+half-1]), 0)
		lo += half & -int(better)
		rest -= half
	}
	copy(w.beam[lo+1:n+1], w.beam[lo:n])
	w.beam[lo] = s
	return lo
}

// top keeps the best of many spots without sorting them until the end.
type top struct {
	k     int
	least spot // what is not better is not among the best
	list  []spot
}

func (t *top) reset(k int) {
	t.k, t.least = k, 0
	t.list = slices.Grow(t.list[:0], 2*k+64)
}

func (t *top) offer(s spot) {
	if s <= t.least {
		return
	}
	t.list = append(t.list, s)
	if len(t.list) == cap(t.list) {
		t.shrink()
	}
}

// shrink leaves the k best.
func (t *top) shrink() {
	if len(t.list) <= t.k {
		return
	}
	slices.SortFunc(t.list, worst)
	t.list = t.list[:t.k]
	t.least = t.list[t.k-1]
}

// sorted returns the k best, best first.
func (t *top) sorted() []spot {
	slices.SortFunc(t.list, worst)
	return t.list[:min(t.k, len(t.list))]
}

// worst orders spots, best first.
func worst(a, b spot) int { return cmp.Compare(b, a) }

// leastScore is the score below which a row is not among the best.
func (t *top) leastScore() int32 {
	if t.least == 0 {
		return math.MinInt32
	}
	return t.least.score()
}
