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
	st     *state
	x      *Index
	slack  float32 // deviations of the coarse scores' errors that are waited for
	least  int     // rows scored whole before any is left out
	deep   int     // rows that a scan brings back
	twins  bool    // rows were found that stand for their twins too
	chosen bool    // how far to walk was left to plan
	plain  bool    // and it took the query for a usual one
	odd    bool    // it is none, as an answer has shown
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
	length := toUnit(w.turned)
	st.rows.quant.fold(w.turned, &w.query)
	st.rows.quant.refine(w.turned, w.weights)
	a := ask{Search: s, st: st, x: x, slack: 3, least: 16, deep: max(4*s.K, s.K+190)}
	found := slices.Clone(a.answer(w))
	for i := range found {
		found[i].Score *= length
	}
	return found
}

// answer searches in the way that is quickest, and where that brings too few in
// the way that finds all. The list is w's.
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
		sure := a.rescore(w, spots)
		found := w.best.sorted()
		if all || len(found) == a.K && (a.twins && !a.strange(found) || !a.twins && sure) {
			return found
		}
		if a.twins && len(found) == a.K { // so it is far from all that the graph was made of
			a.odd, a.Ef = true, max(a.Ef, growing(outsideEf, a.st.rows.live()))
			continue
		}
		if a.Ef *= 4; a.twins && scansPerStep*a.Ef < a.st.rows.live() {
			continue // many rows are of one doc, or of none that is admitted
		}
		how = byScan
		if a.Admit != nil {
			how = bySet
		}
		if !a.twins { // as many vectors as were looked at are as near, by their codes, as the best
			a.deep *= 4
		}
		a.slack, a.least = exactSlack, exactLeast
	}
}

// toUnit brings v to unit length, unless it has that already or none, and returns what
// it was divided by.
func toUnit(v []float32) float32 {
	length := float32(math.Sqrt(float64(dot(v, v))))
	if math.Abs(float64(length)-1) < 1e-3 {
		return 1
	}
	if length < 1e-15 { // squares of numbers as small are nothing
		var most float32
		for _, x := range v {
			most = max(most, x, -x)
		}
		if most == 0 {
			return 1
		}
		for i := range v {
			v[i] /= most
		}
		return most * toUnit(v)
	}
	for i := range v {
		v[i] /= length
	}
	return length
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
		w.ids = r.rowsOfAll(w.ids, w.docs[:got])
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
	w.begin(r.len())
	if best, ok := g.descend(w, r, w.query.q, 0); ok {
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

// rescore scores spots by their whole numbers and leaves the K best docs in w.best.
// It stops where the coarse scores of the rest, which are sorted, leave no hope: what
// coarse scores are wrong by, the rows before have shown. Then it is sure that no row
// with a worse coarse score is among the best.
func (a *ask) rescore(w *walker, spots []spot) (sure bool) {
	const ahead = 2
	r := a.st.rows
	admit := a.admits(w)
	clips := r.clips()
	w.best.reset(a.x, a.K, r.many.Load() || a.st.graph != nil || len(clips) > 0)
	wrong := spread{least: w.query.noise}
	for i, s := range spots {
		if i+ahead < len(spots) {
			r.fetch(spots[i+ahead].row())
		}
		coarse := w.query.offset + w.query.scale*float32(s.score())
		if wrong.n >= a.least && w.best.beats(coarse+wrong.most(a.slack)) {
			sure = true
			break
		}
		n, ok := a.counts(s.row(), admit)
		if !ok {
			continue
		}
		if score, ok := a.score(w, newSpot(s.score(), n), clips); ok {
			wrong.add(score - coarse)
			a.offer(w, n, score, admit)
		}
	}
	for _, c := range clips {
		if a.admitted(c.row, admit) {
			w.best.offer(Neighbor{r.info(c.row).doc, dot(w.turned, c.vector)})
		}
	}
	return sure
}

// admitted reports whether row n is there, of a doc that is admitted.
func (a *ask) admitted(n uint32, admit []uint64) bool {
	r := a.st.rows
	return !r.isDead(n) && (a.Admit == nil || isIn(admit, r.info(n).doc))
}

// counts returns row n, or the first of the twins that it stands for that is there
// and admitted.
func (a *ask) counts(n uint32, admit []uint64) (uint32, bool) {
	for !a.admitted(n, admit) {
		next := a.st.rows.info(n).twin.Load()
		if next == 0 || !a.twins {
			return 0, false
		}
		n = next - 1
	}
	return n, true
}

// offer offers the doc of row n, and those of the twins behind it, which have the
// same score.
func (a *ask) offer(w *walker, n uint32, score float32, admit []uint64) {
	for {
		in := a.st.rows.info(n)
		if a.admitted(n, admit) {
			w.best.offer(Neighbor{in.doc, score})
		}
		next := in.twin.Load()
		if next == 0 || !a.twins || w.best.beats(score) {
			return
		}
		n = next - 1
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
