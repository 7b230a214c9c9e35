package ann

import (
	"math/bits"
	"sync"

	"github.com/clipsearch/clipsearch/internal/simd"
)

// scanBlock is how many rows are scored at once: their scores stay in the nearest
// cache.
const scanBlock = 1024

// scan offers the rows from up to to, but for the dead, to t.
func (r *rows) scan(q []int8, from, to uint32, t *top) {
	var scores [scanBlock]int32
	for from < to {
		end := min(to, from|chunkMask+1, from+scanBlock)
		n := int(end - from)
		simd.CoarseRun(scores[:n], r.run(from, n), q)
		r.offer(scores[:n], from, t)
		from = end
	}
}

// offer offers the rows from on, with these scores.
func (r *rows) offer(scores []int32, from uint32, t *top) {
	least := t.least.score()
	if t.least == 0 {
		least = noScore
	}
	for i, s := range scores {
		if s < least {
			continue
		}
		if n := from + uint32(i); !r.isDead(n) {
			t.offer(newSpot(s, n))
			if t.least != 0 {
				least = t.least.score()
			}
		}
	}
}

// run returns the codes of n rows of one chunk.
func (r *rows) run(from uint32, n int) []byte {
	w := r.quant.width / 2
	return bytesAt(r.coarse[from>>chunkShift], int(from&chunkMask)*w, n*w)
}

// parallelRows is where two threads begin to pay.
const parallelRows = 1 << 14

// scanAll scans the rows from up to to on a number of threads.
func (r *rows) scanAll(q []int8, from, to uint32, k, threads int, t *top) {
	t.reset(k)
	if to-from < parallelRows || threads < 2 {
		r.scan(q, from, to, t)
		return
	}
	parts := make([]top, threads-1)
	var wg sync.WaitGroup
	step := (to - from) / uint32(threads)
	for i := range parts {
		parts[i].reset(k)
		at := from + uint32(i)*step
		wg.Go(func() { r.scan(q, at, at+step, &parts[i]) })
	}
	r.scan(q, from+uint32(len(parts))*step, to, t)
	wg.Wait()
	for i := range parts {
		for _, s := range parts[i].list {
			t.offer(s)
		}
	}
}

// scanSet offers the rows of a set, a bit a row, but for the dead.
func (r *rows) scanSet(w *walker, q []int8, set []uint64, t *top) {
	w.ids = w.ids[:0]
	for i, word := range set {
		for ; word != 0; word &= word - 1 {
			n := uint32(i<<6 + bits.TrailingZeros64(word))
			if !r.isDead(n) {
				w.ids = append(w.ids, n)
			}
			if len(w.ids) == scanBlock {
				r.scanIDs(w, q, t)
			}
		}
	}
	r.scanIDs(w, q, t)
}

func (r *rows) scanIDs(w *walker, q []int8, t *top) {
	if len(w.ids) == 0 {
		return
	}
	w.score(r, q)
	for i, id := range w.ids {
		t.offer(newSpot(w.scores[i], id))
	}
	w.ids = w.ids[:0]
}
