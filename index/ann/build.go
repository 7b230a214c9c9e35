package ann

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Build fills an empty index with vectors 0 to n-1, of unit length, as docs of the
// same numbers, and builds the graph. vector returns vector i; it is called from
// several goroutines.
func (x *Index) Build(ctx context.Context, n int, vector func(i int) []float32) error {
	x.working.Lock()
	defer x.working.Unlock()
	x.writing.Lock()
	defer x.writing.Unlock()
	if n == 0 || x.Len() > 0 {
		return errors.New("a build of no vectors, or into an index that has some")
	}
	q, err := x.measure(n, vector)
	if err != nil {
		return err
	}
	if err := x.begin(q, n); err != nil {
		return err
	}
	st := x.state.Load()
	if err := x.fill(ctx, st.rows, n, vector); err != nil {
		return err
	}
	return x.link(ctx, st)
}

// measure makes a quantizer for all n vectors.
func (x *Index) measure(n int, vector func(i int) []float32) (*quantizer, error) {
	parts := make([]*moments, x.options.Workers)
	var g errgroup.Group
	for p := range parts {
		g.Go(func() error {
			parts[p] = newMoments(x.options.Dim)
			turned := make([]float32, x.options.Dim)
			for i := p * n / len(parts); i < (p+1)*n/len(parts); i++ {
				v := vector(i)
				if err := x.admissible(v); err != nil {
					return fmt.Errorf("vector %d: %w", i, err)
				}
				x.turn.turn(turned, v)
				parts[p].add(turned)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, p := range parts[1:] {
		parts[0].merge(p)
	}
	return parts[0].quantizer(), nil
}

func (x *Index) fill(ctx context.Context, r *rows, n int, vector func(i int) []float32) error {
	for c := 0; c < n; c += chunkRows {
		if err := r.grow(c); err != nil {
			return err
		}
	}
	clips := make([][]clip, x.options.Workers)
	g, ctx := errgroup.WithContext(ctx)
	for p := range x.options.Workers {
		g.Go(func() error {
			v := make([]float32, x.options.Dim)
			for i := p * n / x.options.Workers; i < (p+1)*n/x.options.Workers; i++ {
				x.turn.turn(v, vector(i))
				if !r.set(uint32(i), uint32(i), v) {
					clips[p] = append(clips[p], clip{uint32(i), append([]float32(nil), v...)})
				}
			}
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, list := range clips {
		for _, c := range list {
			r.keep(c)
		}
	}
	for i := range n {
		r.publish(uint32(i))
	}
	return nil
}

// link brings the graph over the rows of st up to date, where there are enough.
func (x *Index) link(ctx context.Context, st *state) error {
	g := st.graph
	if g == nil {
		if st.rows.len() < x.options.GraphFrom {
			return nil
		}
		g = newGraph(x.options.M, x.options.EfConstruction, x.options.Seed)
		st = &state{rows: st.rows, graph: g}
		x.state.Store(st) // what is linked stays, whenever ctx ends
	}
	if err := g.catchUp(ctx, st.rows, x.options.Workers); err != nil {
		return fmt.Errorf("build graph: %w", err)
	}
	linked := g.linked.Load()
	if st.probe == nil || linked-g.mended.Load() > linked/mendPart {
		g.mend(st.rows)
	}
	if st.probe == nil || linked > st.probe.rows+st.probe.rows/4 {
		next := &state{rows: st.rows, graph: g}
		next.probe = x.probe(next)
		x.state.Store(next)
	}
	return nil
}

// linkBatch is how many rows are linked before they are no longer scanned beside
// every walk.
const linkBatch = 1024

// catchUp links all rows that g lacks.
func (g *graph) catchUp(ctx context.Context, r *rows, workers int) error {
	for g.linked.Load() < r.n.Load() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := g.extend(r, min(r.n.Load(), g.linked.Load()+linkBatch), workers); err != nil {
			return err
		}
	}
	return nil
}

// extend links the rows from linked up to end. After an error it may be called again.
func (g *graph) extend(r *rows, end uint32, workers int) error {
	if err := g.reserve(int(end)); err != nil {
		return err
	}
	var next atomic.Uint32
	next.Store(g.linked.Load())
	var eg errgroup.Group
	for range workers {
		eg.Go(func() error {
			l := newLinker(g, r)
			defer l.w.give()
			for {
				i := next.Add(1) - 1
				if i >= end {
					return nil
				}
				if r.isDead(i) {
					continue
				}
				if err := l.insert(i); err != nil {
					return err
				}
				runtime.Gosched() // a search that came meanwhile goes first
			}
		})
	}
	if err := eg.Wait(); err != nil {
		return err
	}
	g.linked.Store(end)
	return nil
}
