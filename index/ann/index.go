package ann

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/clipsearch/clipsearch/internal/simd"
)

// Options of an index. Dim is required.
type Options struct {
	Dim            int
	M              int    // links of a node on the upper levels, half of those on level 0; 16 if zero
	EfConstruction int    // candidates for the links of a node; 200 if zero
	Seed           uint64 // of the levels
	Workers        int    // that build; GOMAXPROCS if zero
	GraphFrom      int    // vectors from which on a graph is built; 50,000 if zero
	FineFile       string // the file for the fine parts of vectors; in memory if empty
}

// Neighbor is a doc and its cosine.
type Neighbor struct {
	Doc   uint32
	Score float32
}

// Search says what is searched for, and how.
type Search struct {
	K       int
	Ef      int  // ef_search: 0 leaves it to the planner
	Exact   bool // compare with every vector
	Graph   bool // walk the graph even where comparing with every vector is as quick
	Threads int  // of a scan; 1 if zero
}

// Index finds vectors. Its methods may be called from several goroutines; searches
// wait for nobody.
type Index struct {
	options Options
	turn    *rotation
	writing sync.Mutex
	state   atomic.Pointer[state]
}

// state is what searches work on: rows, and the graph over them if there is one.
type state struct {
	rows  *rows
	graph *graph // nil if there is none
}

// New returns an empty index.
func New(o Options) (*Index, error) {
	if o.Dim < 1 || o.M < 0 || o.M > 64 || o.EfConstruction < 0 {
		return nil, fmt.Errorf("an index of %d dimensions, M %d and ef_construction %d", o.Dim, o.M, o.EfConstruction)
	}
	o.M, o.EfConstruction = cmp.Or(o.M, 16), cmp.Or(o.EfConstruction, 200)
	o.Workers, o.GraphFrom = cmp.Or(o.Workers, runtime.GOMAXPROCS(0)), cmp.Or(o.GraphFrom, 50_000)
	return &Index{options: o, turn: newRotation(o.Dim)}, nil
}

// Build fills an empty index with n vectors of unit length, and builds the graph.
// vector returns vector i; it is called from several goroutines.
func (x *Index) Build(ctx context.Context, n int, vector func(i int) []float32) error {
	if n == 0 {
		return errors.New("a build of no vectors")
	}
	st := &state{rows: newRows(x.measure(n, vector), inMemory{})}
	if err := x.fill(ctx, st.rows, n, vector); err != nil {
		return err
	}
	x.state.Store(st)
	return x.BuildGraph(ctx)
}

// measure makes a quantizer for all n vectors.
func (x *Index) measure(n int, vector func(i int) []float32) *quantizer {
	parts := make([]*moments, x.options.Workers)
	var wg sync.WaitGroup
	for p := range parts {
		wg.Go(func() {
			parts[p] = newMoments(x.options.Dim)
			v := make([]float32, x.options.Dim)
			for i := p * n / len(parts); i < (p+1)*n/len(parts); i++ {
				x.turn.turn(v, vector(i))
				parts[p].add(v)
			}
		})
	}
	wg.Wait()
	for _, p := range parts[1:] {
		parts[0].merge(p)
	}
	return parts[0].quantizer(0)
}

func (x *Index) fill(ctx context.Context, r *rows, n int, vector func(i int) []float32) error {
	for c := 0; c < n; c += chunkRows {
		if err := r.grow(c); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for p := range x.options.Workers {
		g.Go(func() error {
			v := make([]float32, x.options.Dim)
			for i := p * n / x.options.Workers; i < (p+1)*n/x.options.Workers; i++ {
				x.turn.turn(v, vector(i))
				r.set(uint32(i), uint32(i), v)
			}
			return ctx.Err()
		})
	}
	err := g.Wait()
	r.n.Store(uint32(n))
	return err
}

// BuildGraph builds a graph over all vectors there are.
func (x *Index) BuildGraph(ctx context.Context) error {
	st := x.state.Load()
	g := newGraph(x.options.M, x.options.EfConstruction, x.options.Seed)
	if err := g.build(ctx, st.rows, x.options.Workers); err != nil {
		return fmt.Errorf("build graph: %w", err)
	}
	x.state.Store(&state{rows: st.rows, graph: g})
	return nil
}

// build links all rows.
func (g *graph) build(ctx context.Context, r *rows, workers int) error {
	n := r.n.Load()
	if err := g.reserve(int(n)); err != nil {
		return err
	}
	var next atomic.Uint32
	var first sync.Mutex
	eg, ctx := errgroup.WithContext(ctx)
	for range workers {
		eg.Go(func() error {
			l := newLinker(g, r)
			defer l.w.give()
			for {
				i := next.Add(1) - 1
				if i >= n {
					return nil
				}
				if i%256 == 0 && ctx.Err() != nil {
					return ctx.Err()
				}
				if r.isDead(i) {
					continue
				}
				if err := l.insert(i, &first); err != nil {
					return err
				}
			}
		})
	}
	err := eg.Wait()
	g.linked.Store(n)
	return err
}

// Search returns the K docs nearest to q, best first.
func (x *Index) Search(q []float32, s Search) []Neighbor {
	st := x.state.Load()
	if st == nil || s.K < 1 {
		return nil
	}
	w := take(st.rows.quant.width)
	defer w.give()
	w.turned = slices.Grow(w.turned[:0], len(q))[:len(q)]
	x.turn.turn(w.turned, q)
	st.rows.quant.fold(w.turned, &w.query)
	st.rows.quant.refine(w.turned, &w.finer)
	var spots []spot
	deep := max(4*s.K, s.K+190)
	if s.Exact || st.graph == nil {
		var t top
		st.rows.scanAll(w.query.q, 0, st.rows.n.Load(), deep, s.Threads, &t)
		spots = t.sorted()
	} else {
		spots = st.walk(w, max(s.Ef, s.K))
	}
	return st.rows.rescore(w, spots, s.K)
}

func (st *state) walk(w *walker, ef int) []spot {
	best, ok := st.graph.descend(w, st.rows, w.query.q, 0)
	if !ok {
		return nil
	}
	w.begin(st.rows.len())
	w.visit(best.row())
	w.beam = append(w.beam, best)
	st.graph.walk(w, st.rows, w.query.q, 0, ef)
	return w.beam
}

// rescore scores spots by their whole vectors and returns the k best. It stops
// where the coarse scores of the rest, which are sorted, leave no hope: what coarse
// scores are wrong by, the rows before have shown.
func (r *rows) rescore(w *walker, spots []spot, k int) []Neighbor {
	const ahead = 2
	w.found = w.found[:0]
	var wrong spread
	for i, s := range spots {
		if i+ahead < len(spots) {
			n := spots[i+ahead].row()
			r.wholes[n>>chunkShift].fetch(n & chunkMask)
		}
		n := s.row()
		if r.isDead(n) {
			continue
		}
		coarse := w.query.offset + w.query.scale*float32(s.score())
		if len(w.found) == k && wrong.n >= leastRescored && coarse+wrong.most() < w.found[k-1].Score {
			break
		}
		codes, fine := r.numbers(n)
		score := w.finer.offset + simd.DotFine(codes, fine, w.finer.weights)
		wrong.add(score - coarse)
		w.better(Neighbor{r.info(n).doc, score}, k)
	}
	return slices.Clone(w.found)
}

// leastRescored is how many rows tell what coarse scores are wrong by.
const leastRescored = 16

// spread is what is known of errors.
type spread struct {
	n       int
	sum, sq float32
}

func (e *spread) add(x float32) { e.n, e.sum, e.sq = e.n+1, e.sum+x, e.sq+x*x }

// most is what hardly any error exceeds: their mean and three deviations.
func (e *spread) most() float32 {
	mean := e.sum / float32(e.n)
	return mean + 3*float32(math.Sqrt(float64(max(0, e.sq/float32(e.n)-mean*mean))))
}

// better puts nb into the k best found.
func (w *walker) better(nb Neighbor, k int) {
	at := len(w.found)
	for at > 0 && (w.found[at-1].Score < nb.Score || w.found[at-1].Score == nb.Score && w.found[at-1].Doc > nb.Doc) {
		at--
	}
	if at == k {
		return
	}
	if len(w.found) < k {
		w.found = append(w.found, nb)
	}
	copy(w.found[at+1:], w.found[at:])
	w.found[at] = nb
}
