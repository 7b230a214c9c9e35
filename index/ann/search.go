package ann

import (
	"math"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// Search says what is searched for, and how.
type Search struct {
	K       int
	Ef      int             // ef_search; 0: as many as the vector needs
	Exact   bool            // compare with every vector
	Graph   bool            // walk the graph even where comparing with every vector is as quick, or safer
	Threads int             // of a scan; 1 if zero
	Admit   *roaring.Bitmap // the docs to choose from; nil: all. Not changed meanwhile

	by way // where a test says so
}

// ask is one search under way.
type ask struct {
	Search
	st    *state
	x     *Index
	slack float32 // deviations of the coarse scores' errors that are waited for
	least int     // rows scored whole before any is left out
	deep  int     // rows that a scan brings back
	twins bool    // rows were found that stand for their twins too
}

// Search returns the K docs nearest to q, best first. q need not have unit length; a
// q of another dimension, or one that holds what is no number, is near to none.
func (x *Index) Search(q []float32, s Search) []Neighbor {
	st := x.state.Load()
	if s.K < 1 || st.rows.live() == 0 || x.admissible(q) != nil {
		return nil
	}
	s.K = min(s.K, st.rows.len())
	w := take(st.rows.quant.width)
	defer w.give()
	w.turned = slices.Grow(w.turned[:0], len(q))[:len(q)]
	x.turn.turn(w.turned, q)
	st.rows.quant.fold(w.turned, &w.query)
	st.rows.quant.refine(w.turned, w.weights)
	a := ask{Search: s, st: st, x: x, slack: 3, least: 16, deep: max(4*s.K, s.K+190)}
	return a.answer(w)
}

// answer searches in the way that is quickest, and where that brings too few in
// the way that finds all.
func (a *ask) answer(w *walker) []Neighbor {
	how := a.plan(w)
	for {
		var spots []spot
		all := false
		a.twins = how == byWalk || how == byHops
		switch how {
		case byWalk:
			spots = a.walk(w)
		case byHops:
			spots = a.hop(w)
		case bySet:
			spots, all = a.scanSet(w)
		case byScan:
			spots, all = a.scan(w)
		}
		if a.rescore(w, spots); len(w.found) >= a.K || all {
			return slices.Clone(w.found)
		}
		if a.Ef *= 4; a.twins && scansPerStep*a.Ef < a.st.rows.live() {
			continue // many rows are of one doc, or of none that is admitted
		}
		how = byScan
		if a.Admit != nil {
			how = bySet
		}
		a.slack, a.least = exactSlack, exactLeast
		a.deep *= 4
	}
}

// exactSlack and exactLeast are what a scan of everything waits for: what it leaves
// out is then hardly ever one of the best.
const (
	exactSlack = 4.5
	exactLeast = 64
)

// scan scans all rows; all says that it has left none out.
func (a *ask) scan(w *walker) (spots []spot, all bool) {
	r := a.st.rows
	n := r.n.Load()
	r.scanAll(w, a.admits(w), 0, n, a.deep, a.Threads)
	return w.top.sorted(), a.deep >= int(n)
}

// scanSet scans the rows of the docs that are admitted.
func (a *ask) scanSet(w *walker) (spots []spot, all bool) {
	r := a.st.rows
	count := 0
	w.top.reset(a.deep)
	w.ids = w.ids[:0]
	for it := a.Admit.ManyIterator(); ; {
		got := it.NextMany(w.docs[:])
		for _, d := range w.docs[:got] {
			r.rowsOf(d, func(n uint32) { w.ids = append(w.ids, n) })
		}
		count += len(w.ids)
		if len(w.ids) > 0 {
			w.score(r, w.query.q)
			for i, id := range w.ids {
				w.top.offer(newSpot(w.scores[i], id))
			}
			w.ids = w.ids[:0]
		}
		if got == 0 {
			return w.top.sorted(), a.deep >= count
		}
	}
}

// walk walks the graph, and scans the rows that are not in it yet.
func (a *ask) walk(w *walker) []spot {
	r, g := a.st.rows, a.st.graph
	linked, n := g.linked.Load(), r.n.Load()
	best, ok := g.descend(w, r, w.query.q, 0)
	if ok {
		w.begin(r.len())
		w.visit(best.row())
		w.beam = append(w.beam, best)
		g.walk(w, r, w.query.q, 0, a.Ef)
	}
	return a.withUnlinked(w, w.beam, linked, n)
}

// withUnlinked adds the best of the rows from linked up to n to spots.
func (a *ask) withUnlinked(w *walker, spots []spot, linked, n uint32) []spot {
	if linked >= n {
		return spots
	}
	a.st.rows.scanAll(w, a.admits(w), linked, n, a.deep, 1)
	w.both = append(append(w.both[:0], spots...), w.top.sorted()...)
	slices.SortFunc(w.both, worst)
	return w.both
}

// admits returns which docs are, a bit each; nil if all are.
func (a *ask) admits(w *walker) []uint64 {
	if a.Admit == nil {
		return nil
	}
	if !w.admitted {
		w.admit, w.admitted = dense(w.admit, a.Admit), true
	}
	return w.admit
}

// dense writes a bitmap to words that may be used again.
func dense(words []uint64, b *roaring.Bitmap) []uint64 {
	if b.IsEmpty() {
		return words[:0]
	}
	n := int(b.Maximum())>>6 + 1
	n = (n + 1023) &^ 1023 // whole containers
	words = slices.Grow(words[:0], n)[:n]
	clear(words)
	b.WriteDenseTo(words)
	return words
}

func isIn(words []uint64, doc uint32) bool {
	return int(doc>>6) < len(words) && words[doc>>6]&(1<<(doc&63)) != 0
}

// rescore scores spots by their whole numbers and leaves the K best docs in
// w.found. It stops where the coarse scores of the rest, which are sorted, leave no
// hope: what coarse scores are wrong by, the rows before have shown.
func (a *ask) rescore(w *walker, spots []spot) {
	const ahead = 2
	r := a.st.rows
	admit := a.admits(w)
	many := r.many.Load()
	clips := r.clips()
	w.found = w.found[:0]
	wrong := spread{least: w.query.noise}
	for i, s := range spots {
		if i+ahead < len(spots) {
			r.fetch(spots[i+ahead].row())
		}
		coarse := w.query.offset + w.query.scale*float32(s.score())
		if len(w.found) == a.K && wrong.n >= a.least && coarse+wrong.most(a.slack) < w.found[a.K-1].Score {
			break
		}
		score, ok := a.score(w, s, clips)
		if !ok {
			continue
		}
		wrong.add(score - coarse)
		for n := s.row(); ; {
			in := r.info(n)
			if !r.isDead(n) && (a.Admit == nil || isIn(admit, in.doc)) {
				w.found = a.x.better(w.found, Neighbor{in.doc, score}, a.K, many || a.st.graph != nil)
			}
			next := in.twin.Load()
			if next == 0 || !a.twins || len(w.found) == a.K && w.found[a.K-1].Score >= score {
				break
			}
			n = next - 1
		}
	}
	for _, c := range clips {
		in := r.info(c.row)
		if !r.isDead(c.row) && (a.Admit == nil || isIn(admit, in.doc)) {
			w.found = a.x.better(w.found, Neighbor{in.doc, dot(w.turned, c.vector)}, a.K, true)
		}
	}
}

// spread is what is known of errors.
type spread struct {
	n       int
	sum, sq float32
	least   float32 // of their variance: some rows that are alike show too little
}

func (e *spread) add(x float32) { e.n, e.sum, e.sq = e.n+1, e.sum+x, e.sq+x*x }

// most is what hardly any error exceeds: their mean and so many deviations.
func (e *spread) most(deviations float32) float32 {
	mean := e.sum / float32(e.n)
	return mean + deviations*float32(math.Sqrt(float64(max(e.least, e.sq/float32(e.n)-mean*mean))))
}
