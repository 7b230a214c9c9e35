package ann

import (
	"sync"

	"github.com/clipsearch/clipsearch/internal/simd"
)

// scanBlock is how many rows are scored at once: their scores stay in the nearest
// cache.
const scanBlock = 1024

// scan offers the rows from up to to, but for the dead and for docs not admitted,
// to t. All are admitted if admit is nil.
func (r *rows) scan(q []int8, admit []uint64, from, to uint32, t *top) {
	var scores [scanBlock]int32
	for from < to {
		end := min(to, from|chunkMask+1, from+scanBlock)
		n := int(end - from)
		simd.CoarseRun(scores[:n], r.run(from, n), q)
		r.offer(scores[:n], admit, from, t)
		from = end
	}
}

// offer offers the rows from on, with these scores.
func (r *rows) offer(scores []int32, admit []uint64, from uint32, t *top) {
	least := t.leastScore()
	for i, s := range scores {
		if s < least {
			continue
		}
		n := from + uint32(i)
		if r.isDead(n) || admit != nil && !isIn(admit, r.info(n).doc) {
			continue
		}
		t.offer(newSpot(s, n))
		least = t.leastScore()
	}
}

// run returns the codes of n rows of one chunk.
func (r *rows) run(from uint32, n int) []byte {
	w := r.quant.width / 2
	return bytesAt(r.coarse[from>>chunkShift], int(from&chunkMask)*w, n*w)
}

// parallelRows is where two threads begin to pay.
const parallelRows = 1 << 14

// scanAll scans the rows from up to to on a number of threads and leaves the k
// best in w.top.
func (r *rows) scanAll(w *walker, admit []uint64, from, to uint32, k, threads int) {
	t, q := &w.top, w.query.q
	t.reset(k)
	if to-from < parallelRows || threads < 2 {
		r.scan(q, admit, from, to, t)
		return
	}
	parts := make([]top, threads-1)
	var wg sync.WaitGroup
	step := (to - from) / uint32(threads)
	for i := range parts {
		parts[i].reset(k)
		at := from + uint32(i)*step
		wg.Go(func() { r.scan(q, admit, at, at+step, &parts[i]) })
	}
	r.scan(q, admit, from+uint32(len(parts))*step, to, t)
	wg.Wait()
	for i := range parts {
		for _, s := range parts[i].list {
			t.offer(s)
		}
	}
}
