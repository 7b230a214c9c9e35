package embed

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/clipsearch/clipsearch"
)

// lanes say how many rows a run takes, and how many runs there are at once. A graph
// whose rows must not or cannot share a run gets one row a run, and a lane for each
// thread in place of a run with all of them: as quick where measured, or quicker, and
// the only way to use two cores on rows of their own.
type lanes struct {
	batch   int // rows of a run
	count   int // runs at once
	threads int // of a run
}

func newLanes(o Options, alone bool) lanes {
	if alone {
		return lanes{1, o.Threads, 1}
	}
	return lanes{o.Batch, 1, o.Threads}
}

// inLanes calls f for [0,batch), [batch,2·batch) … of n rows, some of them at once,
// and joins the answers in their order.
func (l lanes) inLanes(ctx context.Context, n int, f func(i, j int) ([][]float32, error)) ([][]float32, error) {
	rows := make([][]float32, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(l.count)
	for i := 0; i < n; i += l.batch {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			to := min(i+l.batch, n)
			some, err := f(i, to)
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
