package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/clipsearch/clipsearch/eval"
	"github.com/clipsearch/clipsearch/index"
	"github.com/clipsearch/clipsearch/index/ann"
)

const (
	watched = 10 * time.Second // for so long searches are timed
	pause   = 5 * time.Millisecond
)

// load is who searches and who writes at once.
type load struct {
	readers, rate int                                     // rate vectors a second are written
	search        func(q int) error                       // query q, of any number
	write         func(ctx context.Context, at int) error // a batch, from vector at on
}

// beside times searches while nobody writes, and while rate vectors a second are
// written. Readers ask, rest for a moment, and ask again, as people would that are
// many; so a processor is left to whoever writes.
func (l load) beside(ctx context.Context) (idle, busy []time.Duration, rate float64, err error) {
	if idle, err = l.read(); err != nil {
		return nil, nil, 0, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	written, failed := 0, make(chan error, 1)
	start := time.Now()
	go func() {
		var err error
		for ; ctx.Err() == nil && err == nil; written += batchSize {
			time.Sleep(time.Until(start.Add(time.Duration(written) * time.Second / time.Duration(l.rate))))
			err = l.write(context.WithoutCancel(ctx), written)
		}
		failed <- err
	}()
	busy, err = l.read()
	took := time.Since(start)
	stop()
	if failure := <-failed; err == nil {
		err = failure
	}
	return idle, busy, float64(written) / took.Seconds(), err
}

// read times the searches of all readers, sorted.
func (l load) read() ([]time.Duration, error) {
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var g sync.WaitGroup
	end := time.Now().Add(watched)
	for r := range l.readers {
		g.Go(func() {
			var took []time.Duration
			var err error
			for i := r; time.Now().Before(end) && err == nil; i += l.readers {
				start := time.Now()
				err = l.search(i)
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

func at(sorted []time.Duration, part float64) float64 {
	return sorted[int(float64(len(sorted)-1)*part)].Seconds() * 1e3
}

// more returns vectors for a writer to write in twice the time that is watched.
func (w *world) more(rate int) (*world, error) {
	return newWorld(rate*int(2*watched/time.Second), 1, w.seed+1)
}

// besideIndex measures a whole index: records, thumbnails and words are written too,
// and told to the text index behind.
func (w *world) besideIndex(ctx context.Context, x *index.Index, readers, rate int) error {
	more, err := w.more(rate)
	if err != nil {
		return err
	}
	idle, busy, got, err := load{readers, rate,
		func(q int) error {
			_, err := x.Nearest(ctx, w.queries.Row(q%w.queries.Rows()), 10, nil)
			return err
		},
		func(ctx context.Context, at int) error { return x.Put(ctx, more.batch(at, w.vectors.Rows())) },
	}.beside(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("  %d readers beside a writer of %.0f whole pictures a second, ms:\n", readers, got)
	note("  p50, p99 of searches while nobody writes", at(idle, .5), at(idle, .99))
	note("  beside the writer", at(busy, .5), at(busy, .99))
	return nil
}

// besideCore measures the vectors alone: they are added by one writer and linked
// behind it.
func besideCore(ctx context.Context, w *world, readers, rate int) error {
	more, err := w.more(rate)
	if err != nil {
		return err
	}
	x, err := ann.New(ann.Options{Dim: w.vectors.Dim, GraphFrom: 1, Workers: 1})
	if err != nil {
		return err
	}
	if err := x.Build(ctx, w.vectors.Rows(), w.vectors.Row); err != nil {
		return err
	}
	behind := make(chan bool, 1)
	done := make(chan error, 1)
	go func() {
		var err error
		for range behind {
			if err == nil {
				err = x.Work(ctx)
			}
		}
		done <- err
	}()
	idle, busy, got, err := load{readers, rate,
		func(q int) error {
			x.Search(w.queries.Row(q%w.queries.Rows()), ann.Search{K: 10})
			return nil
		},
		func(_ context.Context, at int) error { return addTo(x, more.vectors, at, w.vectors.Rows(), behind) },
	}.beside(ctx)
	close(behind)
	if failure := <-done; err == nil {
		err = failure
	}
	if err != nil {
		return err
	}
	fmt.Printf("beside: %d vectors of %d dimensions, %d readers, one writer, one who links behind it\n", w.vectors.Rows(), w.vectors.Dim, readers)
	note("  p50, p99 of searches while nobody writes, ms", at(idle, .5), at(idle, .99))
	note("  beside the writer, ms", at(busy, .5), at(busy, .99))
	bar("vectors written a second", got, "≥", float64(rate)*.95)
	bar("p99 beside the writer to p99 while nobody writes", at(busy, .99)/at(idle, .99), "≤", 1.5)
	return nil
}

// addTo adds a batch of vectors, as docs from first on, and wakes who links them.
func addTo(x *ann.Index, vectors eval.Matrix, at, first int, behind chan<- bool) error {
	for i := at; i < at+batchSize; i++ {
		if err := x.Add(uint32(first+i), vectors.Row(i%vectors.Rows())); err != nil {
			return err
		}
	}
	select {
	case behind <- true:
	default:
	}
	return nil
}

func runBeside(ctx context.Context, args []string) error {
	f, n, seed := flags("beside", 100_000)
	readers := f.Int("readers", 4, "who search")
	rate := f.Int("rate", 3000, "vectors a second that are written meanwhile")
	if err := f.Parse(args); err != nil {
		return err
	}
	w, err := newWorld(*n, 300, *seed)
	if err != nil {
		return err
	}
	return besideCore(ctx, w, *readers, *rate)
}
