package ann

import (
	"bytes"
	"slices"
	"sync/atomic"

	"github.com/clipsearch/clipsearch/internal/simd"
)

// linker inserts rows into a graph; each goroutine has its own.
type linker struct {
	g *graph
	r *rows
	w *walker

	query    folded
	near     []candidate
	other    folded // of a neighbour whose links are chosen anew
	chosen   []candidate
	left     []candidate
	queries  []int8 // of the chosen, one after the other
	offsets  []float32
	products []int32
	upper    [maxLevel + 1][]candidate
}

// candidate is a row that a link may lead to, and its product with the row that
// the link comes from.
type candidate struct {
	row   uint32
	score float32
	spare bool
}

func (c candidate) link() uint32 {
	if c.spare {
		return c.row + 1 | spare
	}
	return c.row + 1
}

func newLinker(g *graph, r *rows) *linker {
	return &linker{
		g: g, r: r, w: take(r.quant.width), query: folded{q: make([]int8, r.quant.width)}, other: folded{q: make([]int8, r.quant.width)},
		queries: make([]int8, (g.m0+1)*r.quant.width), offsets: make([]float32, g.m0+1), products: make([]int32, g.m0+1),
	}
}

// foldRow makes a query of row n.
func (l *linker) foldRow(f *folded, n uint32) {
	codes, _ := l.r.numbers(n)
	l.r.quant.foldRow(codes, l.r.info(n).lean, f)
}

// insert links row n (algorithm 1), or makes it a twin of a row with the same
// vector: equal rows that link to each other would shut each other off from the
// rest.
func (l *linker) insert(n uint32) error {
	g := l.g
	level := g.level(n)
	if first, err := g.first(n, level); first || err != nil {
		return err
	}
	l.foldRow(&l.query, n)
	_, highest, _ := g.top()
	for at := min(level, highest); at >= 0; at-- {
		l.search(n, at)
		l.upper[at] = append(l.upper[at][:0], l.near...)
	}
	if twin, ok := l.same(n); ok {
		l.addTwin(twin, n)
		return nil
	}
	if err := g.raise(n, level); err != nil {
		return err
	}
	for at := min(level, highest); at >= 0; at-- {
		l.link(n, at)
	}
	if level > highest {
		g.rising.Lock()
		defer g.rising.Unlock()
		if _, highest, _ := g.top(); level > highest {
			g.setTop(n, level)
		}
	}
	return nil
}

// first makes row n the top of an empty graph, and reports whether it did.
func (g *graph) first(n uint32, level int) (bool, error) {
	if g.entry.Load() != 0 {
		return false, nil
	}
	g.rising.Lock()
	defer g.rising.Unlock()
	if g.entry.Load() != 0 {
		return false, nil
	}
	if err := g.raise(n, level); err != nil {
		return false, err
	}
	g.setTop(n, level)
	return true, nil
}

// search finds the candidates of row n on a level, best first.
func (l *linker) search(n uint32, level int) {
	w := l.w
	best, _ := l.g.descend(w, l.r, l.query.q, level)
	w.begin(l.r.len())
	w.visit(n)
	w.visit(best.row())
	w.beam = append(w.beam, best)
	l.g.walk(w, l.r, l.query.q, level, l.g.ef)
	l.near = l.near[:0]
	for _, s := range w.beam {
		if s.row() != n {
			l.near = append(l.near, candidate{row: s.row(), score: l.query.offset + l.query.scale*float32(s.score())})
		}
	}
}

// same returns the row in the graph that has the vector of row n.
func (l *linker) same(n uint32) (uint32, bool) {
	if _, clipped := l.r.clip(n); clipped {
		return 0, false // its numbers are not all of it
	}
	own := l.own(n)
	codes, fine := l.r.numbers(n)
	for _, c := range l.upper[0] {
		if c.score < own {
			break
		}
		if c.score > own || !bytes.Equal(l.r.code(n), l.r.code(c.row)) {
			continue
		}
		codes2, fine2 := l.r.numbers(c.row)
		if _, clipped := l.r.clip(c.row); !clipped && bytes.Equal(codes, codes2) && slices.Equal(fine, fine2) {
			return c.row, true
		}
	}
	return 0, false
}

// own returns the score of row n, which is the query, by itself.
func (l *linker) own(n uint32) float32 {
	w := l.w
	w.ids = append(w.ids[:0], n)
	w.score(l.r, l.query.q)
	return l.query.offset + l.query.scale*float32(w.scores[0])
}

// addTwin puts n into the list of row's twins.
func (l *linker) addTwin(row, n uint32) {
	mu := l.g.lock(row)
	mu.Lock()
	defer mu.Unlock()
	l.r.info(n).twin.Store(l.r.info(row).twin.Load())
	l.r.info(row).twin.Store(n + 1)
	l.g.touch(n)
	l.g.touch(row)
}

// link links n with the best of l.upper[level], both ways. A walk may have come to n
// by a level above, so that others link to it already: their links stay where there
// is room.
func (l *linker) link(n uint32, level int) {
	l.choose(l.upper[level], l.g.m)
	chosen := append(l.near[:0], l.chosen...)
	l.near = chosen
	l.start(n, level, chosen)
	for _, c := range chosen {
		l.linkBack(c, n, level)
	}
}

// start gives n its first links on a level, and those behind them that came before.
func (l *linker) start(n uint32, level int, chosen []candidate) {
	mu := l.g.lock(n)
	mu.Lock()
	defer mu.Unlock()
	list := l.g.list(n, level)
	l.w.ids = l.w.ids[:0]
	for i := range list {
		link := atomic.LoadUint32(&list[i])
		if link == 0 {
			break
		}
		if row := leads(link); !slices.ContainsFunc(chosen, func(c candidate) bool { return c.row == row }) {
			l.w.ids = append(l.w.ids, row)
		}
	}
	l.g.set(n, level, chosen)
	for i, row := range l.w.ids[:min(len(l.w.ids), len(list)-len(chosen))] {
		atomic.StoreUint32(&list[len(chosen)+i], row+1|unknown)
	}
}

// set replaces the links of row n, whose lock is held.
func (g *graph) set(n uint32, level int, links []candidate) {
	list := g.list(n, level)
	for i := range list {
		var next uint32
		if i < len(links) {
			next = links[i].link()
		}
		atomic.StoreUint32(&list[i], next)
	}
	g.touch(n)
}

// touch notes that the links of row n change.
func (g *graph) touch(n uint32) { g.changed[n/partRows].Store(true) }

// linkBack links c to n, and where c has no room leaves one of its links out.
func (l *linker) linkBack(c candidate, n uint32, level int) {
	mu := l.g.lock(c.row)
	mu.Lock()
	defer mu.Unlock()
	list := l.g.list(c.row, level)
	known := true
	for i := range list {
		link := atomic.LoadUint32(&list[i])
		if link == 0 {
			atomic.StoreUint32(&list[i], n+1|unknown)
			l.g.touch(c.row)
			return
		}
		if leads(link) == n {
			return
		}
		known = known && link&unknown == 0
	}
	l.scoreList(c.row, n, list)
	if known {
		l.exchange(list, n)
		l.g.touch(c.row)
		return
	}
	w := l.w
	w.beam = w.beam[:0]
	for i, id := range w.ids {
		w.keep(newSpot(w.scores[i], id), len(list)+1)
	}
	l.left = l.left[:0]
	for _, s := range w.beam {
		l.left = append(l.left, candidate{row: s.row(), score: l.other.offset + l.other.scale*float32(s.score())})
	}
	l.choose(l.left, len(list))
	l.g.set(c.row, level, l.chosen)
}

// scoreList scores the rows of a list, and n behind them, by its owner.
func (l *linker) scoreList(owner, n uint32, list []uint32) {
	w := l.w
	w.ids = w.ids[:0]
	for i := range list {
		w.ids = append(w.ids, leads(atomic.LoadUint32(&list[i])))
	}
	w.ids = append(w.ids, n)
	l.foldRow(&l.other, owner)
	w.score(l.r, l.other.q)
}

// exchange puts n into a full list, whose rows are scored, as [linker.choose] would,
// but that a spare link stays one: the worst of the spare links goes, or else the
// worst.
func (l *linker) exchange(list []uint32, n uint32) {
	w := l.w
	m := len(list)
	l.left = l.left[:0]
	for i, id := range w.ids {
		l.left = append(l.left, candidate{row: id, score: l.other.offset + l.other.scale*float32(w.scores[i])})
	}
	w.ids = w.ids[:m]
	w.score(l.r, l.query.q) // of which n is the vector
	l.shade(list)
	worst := 0
	for i, c := range l.left {
		if o := l.left[worst]; c.spare && !o.spare || c.spare == o.spare && c.score < o.score {
			worst = i
		}
	}
	l.left[worst] = l.left[m]
	for i := range list {
		if link := l.left[i].link(); link != atomic.LoadUint32(&list[i]) {
			atomic.StoreUint32(&list[i], link)
		}
	}
}

// shade says which of l.left are spare, the last of which is added to a list. How near
// it is to the others, w.scores say.
func (l *linker) shade(list []uint32) {
	m := len(list)
	added := &l.left[m]
	between := func(i int) float32 { return l.query.offset + l.query.scale*float32(l.w.scores[i]) }
	for i := range list {
		c := &l.left[i]
		c.spare = atomic.LoadUint32(&list[i])&spare != 0
		if !c.spare && c.score >= added.score && between(i) > added.score {
			added.spare = true
		}
	}
	for i := range l.left[:m] {
		if c := &l.left[i]; !added.spare && c.score < added.score && between(i) > c.score {
			c.spare = true
		}
	}
}

// choose picks at most m of the candidates, which are sorted, best first
// (algorithm 4): one that is nearer to a chosen one than to the row itself leads
// nowhere new; such are kept only where there is room in the end.
func (l *linker) choose(from []candidate, m int) {
	width := l.r.quant.width
	l.chosen = l.chosen[:0]
	pruned := make([]candidate, 0, 64)
	for _, c := range from {
		if len(l.chosen) == m {
			break
		}
		k := len(l.chosen)
		code := l.r.code(c.row)
		good := true
		for at := 0; at < k && good; at += 4 {
			to := min(k, at+4)
			simd.CoarseQueries(l.products[at:to], code, l.queries[at*width:to*width])
			for i := at; i < to; i++ {
				if l.offsets[i]+l.r.quant.scale*float32(l.products[i]) > c.score {
					good = false
				}
			}
		}
		if !good {
			if len(pruned) < m {
				c.spare = true
				pruned = append(pruned, c)
			}
			continue
		}
		f := folded{q: l.queries[k*width : (k+1)*width]}
		l.foldRow(&f, c.row)
		l.offsets[k] = f.offset
		l.chosen = append(l.chosen, c)
	}
	for _, c := range pruned {
		if len(l.chosen) == m {
			break
		}
		l.chosen = append(l.chosen, c)
	}
}
