package ann

import (
	"math"
	"slices"

	"github.com/clipsearch/clipsearch/internal/simd"
)

// way is how docs are found.
type way int

const (
	byPlan way = iota // as plan says
	byScan            // every row is compared
	bySet             // every row of the docs admitted is
	byWalk            // the graph is walked
	byHops            // the graph is walked over the docs admitted alone, in steps of two
)

const (
	// scansPerStep is how many rows are scanned while a walk does what one of
	// ef_search costs it.
	scansPerStep = 100
	// smallSet is the most admitted docs that are compared one by one, whatever
	// part of the index they are.
	smallSet = 20_000
	// mostSets of the docs are compared one by one; leastWalks are walked to, the
	// others on the way being left out afterwards.
	mostSets, leastWalks = .10, .40
)

// defaultEf suits vectors that are among those of the index; outsideEf those that
// are not, as texts are not among pictures: their nearest lie apart from each other.
const (
	defaultEf = 128
	outsideEf = 256
	efPerK    = 3    // at least, for each of the k that are asked for
	hopEf     = .625 // of a walk's is enough for hops, which look at more around each row
)

// plan chooses how, and how far, to search (ADR 10).
func (a *ask) plan(w *walker) way {
	st := a.st
	live := st.rows.live()
	share := 1.0
	if a.Admit != nil {
		share = min(1, float64(a.Admit.GetCardinality())/float64(max(1, st.rows.owned.Load())))
	}
	all := byScan
	if share < .25 {
		all = bySet
	}
	if a.Exact || st.graph == nil || st.graph.linked.Load() == 0 {
		a.slack, a.least = exactSlack, exactLeast
		return all
	}
	if a.chosen = a.Ef == 0; a.chosen {
		a.chooseEf(w)
	}
	a.Ef = max(a.Ef, a.K)
	a.Ef = int(float64(a.Ef) * float64(st.rows.len()) / float64(max(live, st.rows.len()/8))) // the dead take part
	unlinked := st.rows.len() - int(st.graph.linked.Load())
	switch {
	case a.by != byPlan:
		return a.by
	case a.Admit != nil && (share <= mostSets || share*float64(live) <= smallSet):
		return bySet
	case a.Graph:
	case unlinked+scansPerStep*a.Ef > live, st.probe.poor():
		a.slack, a.least = exactSlack, exactLeast
		return all
	}
	if share < leastWalks {
		if a.chosen {
			a.Ef = max(defaultEf, a.K, int(float64(a.Ef)*hopEf))
		}
		return byHops
	}
	a.Ef = int(math.Ceil(float64(a.Ef) / share))
	return byWalk
}

// chooseEf sets ef_search.
func (a *ask) chooseEf(w *walker) {
	ef := defaultEf
	if a.plain = !a.st.probe.outside(w.query.lean); !a.plain {
		ef = outsideEf
	}
	a.Ef = max(growing(ef, a.st.rows.live()), efPerK*a.K)
}

// growing returns what ef is to be in an index of n vectors, where more lie in a
// walk's way: half as much again for four times as many, from 200,000 on.
func growing(ef, n int) int {
	return int(float64(ef) * max(1, 1+math.Log2(float64(n)/200_000)/4))
}

// strange reports whether the query of an answer was taken for a usual one and lies
// farther from what was found than vectors of the index do from each other.
func (a *ask) strange(found []Neighbor) bool {
	p := a.st.probe
	return a.plain && !a.odd && a.Admit == nil && p != nil && float64(found[min(len(found), probeFor)-1].Score) < p.far
}

// probe is what was learned about a graph by using it.
type probe struct {
	rows            uint32  // linked at that time
	found           float64 // of the nearest of vectors in the index
	lean, deviation float64 // of the rows
	far             float64 // the least score that one of the nearest of a row had
}

// poorRecall of its own vectors is where a graph is not worth a walk: vectors that
// have no neighbours to speak of are found by comparing with all.
const poorRecall = .8

func (p *probe) poor() bool { return p != nil && p.found < poorRecall }

// outside reports whether a vector with this product with the mean of the rows lies
// outside of their cloud.
func (p *probe) outside(lean float32) bool {
	return p != nil && math.Abs(float64(lean)-p.lean) > 4*p.deviation
}

const (
	probes   = 48
	probeFor = 10
)

// probe learns how well the graph of st finds.
func (x *Index) probe(st *state) *probe {
	r := st.rows
	p := &probe{rows: st.graph.linked.Load()}
	n := int(p.rows)
	var sum, sq float64
	step := max(1, n/4096)
	count := 0
	for i := 0; i < n; i += step {
		lean := float64(r.info(uint32(i)).lean)
		sum, sq, count = sum+lean, sq+lean*lean, count+1
	}
	p.lean = sum / float64(count)
	p.deviation = math.Sqrt(max(0, sq/float64(count)-p.lean*p.lean))
	hits, all := 0, 0
	p.far = 1
	for i := range probes {
		h, m, far := x.probeRow(st, r.liveFrom(uint32(i*n/probes)))
		hits, all, p.far = hits+h, all+m, min(p.far, far)
	}
	p.found = float64(hits) / float64(max(1, all))
	return p
}

// liveFrom returns the first row from n on that is not dead, or n.
func (r *rows) liveFrom(n uint32) uint32 {
	for at := n; at < r.n.Load(); at++ {
		if !r.isDead(at) {
			return at
		}
	}
	return n
}

// probeRow counts how many of the docs nearest to row n the graph finds, or others as
// near, and says how near the last of them is. The row itself, which a walk is led to,
// does not count.
func (x *Index) probeRow(st *state, n uint32) (hits, all int, far float64) {
	w := take(st.rows.quant.width)
	defer w.give()
	w.turned = append(w.turned[:0], make([]float32, x.options.Dim)...)
	st.rows.whole(w.turned, n)
	st.rows.quant.fold(w.turned, &w.query)
	st.rows.quant.refine(w.turned, w.weights)
	a := ask{Search: Search{K: probeFor + 1, Ef: defaultEf, Graph: true}, st: st, x: x, slack: 3, least: 16, deep: 256}
	walked := slices.Clone(a.answer(w))
	a = ask{Search: Search{K: probeFor + 1, Exact: true}, st: st, x: x, deep: 256}
	nearest := a.answer(w)
	if len(nearest) == 0 {
		return 0, 0, 1
	}
	last := nearest[len(nearest)-1].Score
	for _, nb := range walked {
		if nb.Doc != st.rows.info(n).doc && nb.Score >= last {
			hits++
		}
	}
	all = len(nearest) - 1
	return min(hits, all), all, float64(last)
}

// score scores row n by its whole numbers; ok is false if those do not hold it. A
// row whose numbers are damaged is scored from where its vector is kept, and
// where it is not, coarsely.
func (a *ask) score(w *walker, s spot, clips []clip) (score float32, ok bool) {
	r, n := a.st.rows, s.row()
	if len(clips) > 0 {
		if _, clipped := r.clip(n); clipped {
			return 0, false
		}
	}
	if r.sound(n) {
		return r.score(n, w.weights), true
	}
	if v := a.x.recall(r, n); v != nil {
		codes, fine := make([]byte, r.quant.width), make([]uint16, r.quant.width)
		r.quant.encodeWhole(v, codes, fine) // so that the score is the same to the last digit
		return simd.DotFine(codes, fine, w.weights), true
	}
	return w.query.offset + w.query.scale*float32(s.score()), true
}

// whole reads row n of r into v: from the codes where its numbers are damaged and its
// vector is kept nowhere else.
func (x *Index) whole(r *rows, v []float32, n uint32) {
	if _, clipped := r.clip(n); clipped || r.sound(n) {
		r.whole(v, n)
	} else if kept := x.recall(r, n); kept != nil {
		copy(v, kept)
	} else {
		r.quant.decodeCoarse(v, r.code(n))
	}
}

// recall returns the vector of a row, turned, from where it is kept.
func (x *Index) recall(r *rows, n uint32) []float32 {
	in := r.info(n)
	if x.options.Vectors == nil || r.isDead(n) || in.doc == noDoc {
		return nil
	}
	var like []float32
	code := make([]byte, r.quant.width/2)
	for _, v := range x.options.Vectors(in.doc) {
		turned := make([]float32, x.options.Dim)
		x.turn.turn(turned, v)
		r.quant.encodeCoarse(turned, code)
		if !alike(code, r.code(n)) {
			continue
		}
		if r.quant.lean(turned) == in.lean { // to the last digit: it is this one, of several that are alike
			return turned
		}
		like = turned
	}
	return like
}

func dot(a, b []float32) float32 { return simd.Dot(a, b) }
