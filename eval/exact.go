package eval

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// exactScores is the truth that an index is measured against: by query, the score of
// its k-th nearest vector, as float32 has it.
type exactScores struct {
	k     int
	least []float32
}

// spare is how many more than k vectors are scored again in float64: float32 products
// may change the order of near ties.
const spare = 22

// exactTop compares every query with every vector. Tiles of the product are spread
// over threads by vectors, so that those go through the caches once.
func exactTop(ctx context.Context, vectors, queries Matrix, k, threads int) (exactScores, error) {
	const step = 8 * tileImages
	var (
		next    atomic.Int64
		workers sync.WaitGroup
		mu      sync.Mutex
	)
	tops := make([]nearest, queries.Rows())
	for range max(threads, 1) {
		workers.Go(func() {
			mine := make([]nearest, queries.Rows())
			for i := range mine {
				mine[i] = newNearest(k + spare)
			}
			scores := make([]float32, tileTexts*tileImages)
			for ctx.Err() == nil {
				from := int(next.Add(step)) - step
				if from >= vectors.Rows() {
					break
				}
				for i := from; i < min(from+step, vectors.Rows()); i += tileImages {
					offerTile(mine, vectors, queries, i, scores)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for i, m := range mine {
				tops[i].list = append(tops[i].list, m.list...)
			}
		})
	}
	workers.Wait()
	truth := exactScores{k: min(k, vectors.Rows()), least: make([]float32, queries.Rows())}
	for i, t := range tops {
		truth.least[i] = t.score(vectors, queries.Row(i), k+spare, truth.k)
	}
	return truth, ctx.Err()
}

// offerTile offers a tile of vectors from row i on to every query.
func offerTile(tops []nearest, vectors, queries Matrix, i int, scores []float32) {
	ni := min(tileImages, vectors.Rows()-i)
	for t := 0; t < queries.Rows(); t += tileTexts {
		nt := min(tileTexts, queries.Rows()-t)
		products(scores, queries, vectors, t, nt, i, ni)
		for y := range nt {
			top := &tops[t+y]
			for x, s := range scores[y*tileImages:][:ni] {
				if s > top.least {
					top.offer(s, i+x)
				}
			}
		}
	}
}

// nearest keeps the best rows of one query.
type nearest struct {
	list  []scored
	least float32 // what is not above is not among the best
}

type scored struct {
	score float32
	row   int
}

func newNearest(n int) nearest { return nearest{list: make([]scored, 0, n), least: -2} }

// offer puts a row where it belongs.
func (n *nearest) offer(s float32, row int) {
	at, _ := slices.BinarySearchFunc(n.list, s, func(a scored, s float32) int { return cmp.Compare(s, a.score) })
	if len(n.list) == cap(n.list) {
		n.list = n.list[:len(n.list)-1]
	}
	n.list = slices.Insert(n.list, at, scored{s, row})
	if len(n.list) == cap(n.list) {
		n.least = n.list[len(n.list)-1].score
	}
}

// score returns the score of the k-th best row, computed in float64 for the first
// few by float32.
func (n nearest) score(vectors Matrix, q []float32, few, k int) float32 {
	slices.SortFunc(n.list, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	list := n.list[:min(few, len(n.list))]
	for i, s := range list {
		list[i].score = float32(exact(q, vectors.Row(s.row)))
	}
	slices.SortFunc(list, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	if k > len(list) {
		return -2
	}
	return list[k-1].score
}

// recall is the share of the true nearest among rows: the first k of each query.
// It is an error if a row is none, or twice in an answer: no index may say so.
func (e exactScores) recall(vectors, queries Matrix, rows []int64) (float64, error) {
	var hits int
	for i, least := range e.least {
		found := rows[i*foundRows:][:foundRows]
		for at, row := range found {
			if row == -1 {
				continue
			}
			if row < 0 || row >= int64(vectors.Rows()) || slices.Contains(found[:at], row) {
				return 0, fmt.Errorf("the index answered query %d with row %d, which is none or stands there twice", i, row)
			}
			if at < e.k && float32(exact(queries.Row(i), vectors.Row(int(row)))) >= least {
				hits++
			}
		}
	}
	return float64(hits) / float64(e.k*len(e.least)), nil
}
