package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index"
)

func runIndex(ctx context.Context, args []string) error {
	f, n, seed := flags("index", 100_000)
	queries := f.Int("queries", 300, "queries")
	readers := f.Int("readers", 4, "who search while others write")
	rate := f.Int("rate", 3000, "vectors a second that are written meanwhile")
	if err := f.Parse(args); err != nil {
		return err
	}
	w, err := newWorld(*n, *queries, *seed)
	if err != nil {
		return err
	}
	top, err := os.MkdirTemp("", "clipsearch-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(top)
	dir := filepath.Join(top, "index")
	fmt.Printf("index: %d pictures, 512 dimensions, %d text-like queries\n", *n, *queries)
	if err := w.fill(ctx, dir); err != nil {
		return err
	}
	if err := opened(ctx, dir, *n); err != nil {
		return err
	}
	x, err := index.Open(dir, options(false))
	if err != nil {
		return err
	}
	defer x.Close()
	if err := w.filters(ctx, x); err != nil {
		return err
	}
	return w.besideIndex(ctx, x, *readers, *rate)
}

// cut is a filter and the pictures that it admits.
type cut struct {
	name   string
	filter clipsearch.Filter
	admit  func(i int) bool
}

// cuts are filters of every selectivity: by lot, and by where pictures lie.
func (w *world) cuts() []cut {
	list := []cut{{name: "unfiltered"}}
	for _, permille := range []int{1, 10, 100, 300, 500} {
		list = append(list, cut{
			fmt.Sprintf("%.3g %% by lot", float64(permille)/10),
			clipsearch.Filter{{Field: "width", Op: "<=", Number: float64(permille)}},
			func(i int) bool { return lot(i) < permille },
		}, cut{
			fmt.Sprintf("%.3g %% that lie together", float64(permille)/10),
			clipsearch.Filter{{Field: "height", Op: "<=", Number: float64(permille)}},
			func(i int) bool { return w.anchor[i] < permille },
		})
	}
	return list
}

// filters measures recall under each cut, and how long an answer takes beside an
// unfiltered one. Queries lie near the pictures that are admitted and far from them.
func (w *world) filters(ctx context.Context, x *index.Index) error {
	var unfiltered time.Duration
	for _, c := range w.cuts() {
		recall, p50, err := w.ask(ctx, x, c)
		if err != nil {
			return err
		}
		if c.filter == nil {
			unfiltered = p50
			bar("recall@10, unfiltered", recall, "≥", .95)
			note("p50 of an unfiltered search, ms", p50.Seconds()*1e3)
			continue
		}
		bar("recall@10, filter admits "+c.name, recall, "≥", .98)
		bar("p50 to the unfiltered", p50.Seconds()/unfiltered.Seconds(), "≤", 3)
	}
	return nil
}

// ask asks all queries under a cut.
func (w *world) ask(ctx context.Context, x *index.Index, c cut) (recall float64, p50 time.Duration, err error) {
	want := w.truth(c.admit)
	var took []time.Duration
	hits, all := 0, 0
	for round := range 4 {
		for q := range w.queries.Rows() {
			start := time.Now()
			got, err := x.Nearest(ctx, w.queries.Row(q), 10, c.filter)
			if err != nil {
				return 0, 0, err
			}
			if round == 0 { // which also brings what a filter asks into memory
				all += len(want[q])
				for _, h := range got {
					if slices.Contains(want[q], h.ID) {
						hits++
					}
				}
				continue
			}
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	return float64(hits) / float64(max(1, all)), took[len(took)/2], nil
}
