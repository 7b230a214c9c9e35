package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/clipsearch/clipsearch/index"
)

const (
	watched = 10 * time.Second // for so long searches are timed
	pause   = 5 * time.Millisecond
)

// beside measures how long searches take while nobody writes, and while rate vectors
// a second are. Readers ask, rest for a moment, and ask again, as people would that
// are many; so a processor is left to whoever writes.
func (w *world) beside(ctx context.Context, x *index.Index, readers, rate int) error {
	idle, err := w.read(ctx, x, readers)
	if err != nil {
		return err
	}
	more, err := newWorld(rate*int(2*watched/time.Second), 1, w.seed+1)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	written, failed := 0, make(chan error, 1)
	go func() {
		var err error
		written, err = more.write(ctx, x, w.vectors.Rows(), rate)
		failed <- err
	}()
	start := time.Now()
	busy, err := w.read(ctx, x, readers)
	took := time.Since(start)
	stop()
	if failure := <-failed; failure != nil && err == nil {
		err = failure
	}
	if err != nil {
		return err
	}
	fmt.Printf("  %d readers: %d searches idle, %d beside a writer\n", readers, len(idle), len(busy))
	note("p50 / p99 idle, ms", at(idle, .5))
	note("", at(idle, .99))
	note("p50 / p99 beside a writer, ms", at(busy, .5))
	note("", at(busy, .99))
	bar("vectors written a second", float64(written)/took.Seconds(), "≥", float64(rate)*.95)
	bar("p99 beside a writer to p99 idle", at(busy, .99)/at(idle, .99), "≤", 1.5)
	return nil
}

func at(sorted []time.Duration, part float64) float64 {
	return sorted[int(float64(len(sorted)-1)*part)].Seconds() * 1e3
}

// read times the searches of some readers, sorted.
func (w *world) read(ctx context.Context, x *index.Index, readers int) ([]time.Duration, error) {
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var g sync.WaitGroup
	end := time.Now().Add(watched)
	for r := range readers {
		g.Go(func() {
			var took []time.Duration
			var err error
			for i := r; time.Now().Before(end) && err == nil; i += readers {
				start := time.Now()
				_, err = x.Nearest(ctx, w.queries.Row(i%w.queries.Rows()), 10, nil)
				took = append(took, time.Since(start))
				time.Sleep(pause)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if err != nil {
				failed = err
			}
		})
	}
	g.Wait()
	slices.Sort(all)
	return all, failed
}

// write stores pictures that are numbered from from on, rate a second, until ctx
// ends; it returns how many.
func (w *world) write(ctx context.Context, x *index.Index, from, rate int) (int, error) {
	start := time.Now()
	written := 0
	for ; ctx.Err() == nil && written+batchSize <= w.vectors.Rows(); written += batchSize {
		due := start.Add(time.Duration(written) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		if err := x.Put(context.WithoutCancel(ctx), w.batch(written, from)); err != nil {
			return written, err
		}
	}
	return written, nil
}
