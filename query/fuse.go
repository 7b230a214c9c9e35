package query

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/clipsearch/clipsearch"
)

// A List is a ranking to fuse, best first, and how much it counts.
type List struct {
	Hits   []clipsearch.Hit
	Weight float64
}

// fuseK is the constant of reciprocal rank fusion; 60 is its authors' choice.
const fuseK = 60

// Fuse merges rankings by weighted reciprocal rank (Cormack, Clarke and
// Büttcher 2009): a picture's score is the sum over the lists of
// weight / (60 + rank), so that scores of different kinds need no common scale.
//
// Hits of one list with equal scores share the last of their ranks: a list that
// cannot tell a thousand pictures apart says nothing about each of them.
// Pictures with equal sums stand as in the first list that has them.
func Fuse(lists ...List) []Scored {
	var fused []Scored
	at := map[clipsearch.ID]int{}
	for _, l := range lists {
		for end, start := 0, 0; start < len(l.Hits); start = end {
			for end = start; end < len(l.Hits) && l.Hits[end].Score == l.Hits[start].Score; end++ {
			}
			for _, h := range l.Hits[start:end] {
				i, known := at[h.ID]
				if !known {
					i = len(fused)
					at[h.ID] = i
					fused = append(fused, Scored{ID: h.ID})
				}
				fused[i].Score += l.Weight / float64(fuseK+end)
			}
		}
	}
	slices.SortStableFunc(fused, func(a, b Scored) int { return cmp.Compare(b.Score, a.Score) })
	return fused
}

// Scored is a picture with its fused score.
type Scored struct {
	ID    clipsearch.ID
	Score float64
}

// inOrder sorts hits best first, equal ones by ID so that paging is stable.
func inOrder(hits []clipsearch.Hit) []clipsearch.Hit {
	slices.SortFunc(hits, func(a, b clipsearch.Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return hits
}
