package embed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/ort"
)

// lanes run a tower's graph on some rows at a time. A graph whose rows must not or
// cannot share a run gets one row a run. Many rows are spread over as many runs at
// once as there are threads, each of one thread: that is quicker than one run with all
// of them, where measured by a tenth in float32 and by half in int8, whose many small
// operators wait for each other. What is too little to be spread, such as a query,
// has all threads to itself. Both are sessions of their own, loaded when they are
// first needed.
type lanes struct {
	batch   int // rows of a run at most; 0: as many as places has room for
	threads int
	alone   bool
	load    func(threads int) (*ort.Session, error)

	mu       sync.Mutex
	sessions map[int]*ort.Session // by their threads
}

func newLanes(o Options, alone bool, load func(threads int) (*ort.Session, error)) *lanes {
	return &lanes{batch: o.Batch, threads: o.Threads, alone: alone, load: load, sessions: map[int]*ort.Session{}}
}

// places is how many patches or tokens a run has about: enough for the products of
// matrices, and no more than caches hold. On ViT-B's it is up to half again as quick
// as several times as many, in int8.
const places = 400

// split says how n rows are run: where each run ends, how many runs there are at once
// and with how many threads each. Row i has size(i) places, and no fewer than the row
// before.
func (l *lanes) split(n int, size func(i int) int) (ends []int, runs, threads int) {
	most := cmp.Or(l.batch, n)
	switch {
	case l.alone:
		most, runs, threads = 1, l.threads, 1
	case n < l.threads:
		runs, threads = 1, l.threads
	default:
		most, runs, threads = min(most, (n+l.threads-1)/l.threads), l.threads, 1
	}
	for from := 0; from < n; from = ends[len(ends)-1] {
		to := from + 1
		for to < n && to-from < most && (l.batch > 0 || (to-from+1)*size(to) <= places) {
			to++
		}
		ends = append(ends, to)
	}
	return ends, runs, threads
}

// session returns the session of so many threads.
func (l *lanes) session(threads int) (*ort.Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, ok := l.sessions[threads]; ok {
		return s, nil
	}
	s, err := l.load(threads)
	if err == nil {
		l.sessions[threads] = s
	}
	return s, err
}

// first returns the session that a single row is run by.
func (l *lanes) first() (*ort.Session, error) {
	_, _, threads := l.split(1, func(int) int { return 1 })
	return l.session(threads)
}

func (l *lanes) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, s := range l.sessions {
		errs = append(errs, s.Close())
	}
	clear(l.sessions)
	return errors.Join(errs...)
}

// inLanes calls f for [0,k), [k,m) … of n rows of these sizes, some of them at once,
// and joins the answers in their order.
func (l *lanes) inLanes(ctx context.Context, n int, size func(i int) int, f func(s *ort.Session, i, j int) ([][]float32, error)) ([][]float32, error) {
	ends, runs, threads := l.split(n, size)
	session, err := l.session(threads)
	if err != nil {
		return nil, err
	}
	rows := make([][]float32, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runs)
	from := 0
	for _, to := range ends {
		i := from
		from = to
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			some, err := f(session, i, to)
			if err == nil && len(some) != to-i {
				err = fmt.Errorf("the graph answers %d rows for %d: it is no tower, or mixes what shares a run: %w", len(some), to-i, clipsearch.ErrInvalid)
			}
			if err != nil {
				return err
			}
			copy(rows[i:to], some)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return rows, nil
}

// byLength returns the order of rows from the shortest to the longest.
func byLength(ids [][]int64) []int {
	order := make([]int, len(ids))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(ids[a]) - len(ids[b]) })
	return order
}

// picked returns the rows of these numbers; nil of nil.
func picked(rows [][]int64, numbers []int) [][]int64 {
	if rows == nil {
		return nil
	}
	some := make([][]int64, len(numbers))
	for i, n := range numbers {
		some[i] = rows[n]
	}
	return some
}
