package ann

import (
	"context"
	"fmt"
)

const (
	// mostDead of the rows may be before all are written anew: they take memory, and
	// every walk goes around by them.
	mostDead = .30
	// leastLearned vectors are what codes are learned from at first, and learned
	// again when there are relearn times as many, up to enoughLearned.
	leastLearned, relearn, enoughLearned = 256, 4, 4096
)

// Work brings the graph and the codes up to date with the vectors that came and
// went, in the time it takes; searches and changes go on meanwhile. It returns when
// there is nothing left to do, or ctx ends: then what is done stays.
func (x *Index) Work(ctx context.Context) error {
	x.working.Lock()
	defer x.working.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		st := x.state.Load()
		switch {
		case x.worn(st):
			if err := x.rebuild(ctx); err != nil {
				return fmt.Errorf("write %d vectors anew: %w", st.rows.live(), err)
			}
		case x.unlinked(st) > 0:
			if err := x.link(ctx, st); err != nil {
				return err
			}
		default:
			c := x.cold(st)
			if c < 0 {
				return nil
			}
			if err := x.warm(st.rows, c); err != nil {
				return err
			}
		}
	}
}

// Behind reports whether [Index.Work] has something to do.
func (x *Index) Behind() bool {
	st := x.state.Load()
	return x.worn(st) || x.unlinked(st) > 0 || x.cold(st) >= 0
}

// unlinked returns how many rows a graph lacks.
func (x *Index) unlinked(st *state) int {
	n := st.rows.len()
	if st.graph != nil {
		return n - int(st.graph.linked.Load())
	}
	if n < x.options.GraphFrom {
		return 0
	}
	return n
}

// worn reports whether rows are to be written anew: too many are dead, or the codes
// were learned from too few.
func (x *Index) worn(st *state) bool {
	n, dead, learned := st.rows.len(), int(st.rows.dead.Load()), st.rows.quant.trained
	if dead >= leastLearned && float64(dead) > mostDead*float64(n) {
		return true
	}
	live := n - dead
	if x.filed(live) && st.rows.place.name() == "" {
		return true
	}
	if st.graph == nil && n >= x.options.GraphFrom && learned < enoughLearned {
		return true // the links will depend on the codes
	}
	return live >= leastLearned && live >= relearn*learned && learned < enoughLearned
}

// rebuild writes the rows that live anew, with codes learned from them and a graph
// over them.
func (x *Index) rebuild(ctx context.Context) (err error) {
	x.writing.Lock()
	old := x.state.Load().rows
	x.rebuilding, x.killed = true, nil
	x.writing.Unlock()
	defer func() {
		x.writing.Lock()
		x.rebuilding, x.killed = false, nil
		x.writing.Unlock()
	}()
	p, err := x.newPlace(old.live())
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			x.dropPlace(p)
		}
	}()
	m := &move{x: x, from: old, to: newRows(x.relearned(old), p), v: make([]float32, x.options.Dim)}
	if err := m.copy(ctx, old.n.Load()); err != nil {
		return err
	}
	st := &state{rows: m.to}
	if st.graph, err = x.regraph(ctx, m.to); err != nil {
		return err
	}
	for old.n.Load()-m.copied > linkBatch {
		if err := m.copy(ctx, old.n.Load()); err != nil {
			return err
		}
	}
	if st.graph != nil {
		st.probe = x.probe(st)
	}
	x.writing.Lock()
	defer x.writing.Unlock()
	if err := m.copy(ctx, old.n.Load()); err != nil {
		return err
	}
	m.kill(x.killed)
	x.state.Store(st)
	return nil
}

func (x *Index) regraph(ctx context.Context, r *rows) (*graph, error) {
	if r.len() < x.options.GraphFrom {
		return nil, nil
	}
	g := newGraph(x.options.M, x.options.EfConstruction, x.options.Seed)
	if err := g.catchUp(ctx, r, x.options.Workers); err != nil {
		return nil, err
	}
	g.mend(r)
	return g, nil
}

// relearned returns a quantizer learned from rows that live, spread over all.
func (x *Index) relearned(r *rows) *quantizer {
	m := newMoments(x.options.Dim)
	v := make([]float32, x.options.Dim)
	step := max(1, r.live()/(2*enoughLearned))
	for i, met := uint32(0), 0; i < r.n.Load(); i++ {
		if r.isDead(i) {
			continue
		}
		if met%step == 0 {
			x.whole(r, v, i)
			m.add(v)
		}
		met++
	}
	if m.n == 0 {
		return priorQuantizer(x.options.Dim)
	}
	return m.quantizer()
}

// move copies the rows that live from one place to another.
type move struct {
	x        *Index
	from, to *rows
	copied   uint32   // rows of from
	became   []uint32 // of each row copied: its number there, one more; 0 if it was dead
	v        []float32
}

// copy copies the rows below end.
func (m *move) copy(ctx context.Context, end uint32) error {
	for ; m.copied < end; m.copied++ {
		n := m.copied
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if m.from.isDead(n) {
			m.became = append(m.became, 0)
			continue
		}
		m.x.whole(m.from, m.v, n)
		if err := m.to.append(m.from.info(n).doc, m.v); err != nil {
			return err
		}
		m.became = append(m.became, m.to.n.Load())
	}
	return nil
}

// kill kills what rows became.
func (m *move) kill(rows []uint32) {
	for _, n := range rows {
		if now := m.became[n]; now != 0 {
			m.to.kill(now - 1)
		}
	}
}
