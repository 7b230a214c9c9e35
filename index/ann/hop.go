package ann

import "sync/atomic"

// hop walks the graph over the docs admitted alone (ACORN, Patel et al. 2024,
// section 5): from a row it goes to those of its neighbours that are, and over
// those that are not to theirs.
func (a *ask) hop(w *walker) []spot {
	r, g := a.st.rows, a.st.graph
	admit := a.admits(w)
	linked, n := g.linked.Load(), r.n.Load()
	w.begin(r.len())
	if best, ok := g.descend(w, r, w.query.q, 0); ok {
		if a.chosen && a.isolated(best.row(), admit) {
			a.Ef = max(a.Ef, isolatedEf)
		}
		w.visit(best.row())
		w.beam = append(w.beam, best)
		a.hops(w, admit)
	}
	return a.withUnlinked(w, w.beam, linked, n)
}

// isolatedEf is for queries that lie where nothing is admitted: what is nearest to
// them among the admitted lies in several places, each as far.
const isolatedEf = 768

// isolated reports whether neither row n nor any that it links to is admitted.
func (a *ask) isolated(n uint32, admit []uint64) bool {
	r := a.st.rows
	if r.admitted(n, admit) {
		return false
	}
	list := a.st.graph.list(n, 0)
	for i := range list {
		next := atomic.LoadUint32(&list[i])
		if next == 0 {
			break
		}
		if r.admitted(leads(next), admit) {
			return false
		}
	}
	return true
}

// hops is [graph.walk] over the docs admitted.
func (a *ask) hops(w *walker, admit []uint64) {
	r, g := a.st.rows, a.st.graph
	for next := 0; next < len(w.beam); {
		from := w.beam[next]
		if from&followed != 0 {
			next++
			continue
		}
		w.beam[next] |= followed
		a.admittedAround(w, from.row(), admit)
		if len(w.ids) == 0 {
			continue
		}
		if next+1 < len(w.beam) {
			g.fetch(w.beam[next+1].row(), 0)
		}
		w.score(r, w.query.q)
		for i, id := range w.ids {
			next = min(next, w.keep(newSpot(w.scores[i], id), a.Ef))
		}
	}
}

// admittedAround collects the rows not visited yet that are neighbours of row n, or
// of its neighbours that are not admitted, in w.ids; up to a list's length of them.
func (a *ask) admittedAround(w *walker, n uint32, admit []uint64) {
	r, g := a.st.rows, a.st.graph
	w.ids = w.ids[:0]
	list := g.list(n, 0)
	for i := range list {
		next := atomic.LoadUint32(&list[i])
		if next == 0 {
			break
		}
		if next = leads(next); r.admitted(next, admit) {
			if w.visit(next) {
				w.ids = append(w.ids, next)
			}
			continue
		}
		g.fetch(next, 0)
	}
	for i := range list {
		next := atomic.LoadUint32(&list[i])
		if next == 0 || len(w.ids) >= len(list) {
			return
		}
		if next = leads(next); !r.admitted(next, admit) && w.visit(next) {
			a.over(w, next, admit, len(list))
		}
	}
}

// over collects the admitted neighbours of row n, which is not.
func (a *ask) over(w *walker, n uint32, admit []uint64, most int) {
	list := a.st.graph.list(n, 0)
	for i := range list {
		next := atomic.LoadUint32(&list[i])
		if next == 0 || len(w.ids) >= most {
			return
		}
		if next = leads(next); a.st.rows.admitted(next, admit) && w.visit(next) {
			w.ids = append(w.ids, next)
		}
	}
}

// admitted reports whether the doc of row n, or that of one of its twins, is.
func (r *rows) admitted(n uint32, admit []uint64) bool {
	for {
		in := r.info(n)
		if isIn(admit, in.doc) {
			return true
		}
		next := in.twin.Load()
		if next == 0 {
			return false
		}
		n = next - 1
	}
}
