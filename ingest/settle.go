package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clipsearch/clipsearch"
)

const (
	reportEvery = 100 * time.Millisecond
	putEvery    = 500 * time.Millisecond // a kill costs at most this much work, and what is in the stages
	grace       = 3 * time.Second        // for the last Put after a cancellation
)

// ledger is what settle keeps besides the tally: it alone touches it.
type ledger struct {
	batch   []item // to be put
	put     time.Time
	waiting map[clipsearch.ID][]item // twins of what is still under way
	settled map[clipsearch.ID]error  // of pictures that failed, and in a dry run of all
}

// settle is the last stage. Every file that scan found arrives here, with its entry
// or with its error, so one goroutine stores, counts and reports, without a lock.
func (r *run) settle(ctx context.Context) error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case it, more := <-r.results:
			if !more {
				return r.finish(ctx)
			}
			if err := r.take(ctx, it); err != nil {
				return err
			}
		case now := <-tick.C:
			if now.Sub(r.put) >= putEvery {
				if err := r.flush(ctx); err != nil {
					return err
				}
			}
			r.report(now)
		case <-ctx.Done():
			return r.leave(ctx)
		}
	}
}

// finish stores what is left once every file has arrived.
func (r *run) finish(ctx context.Context) error {
	for len(r.batch) > 0 { // storing one may release its twins
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	r.report(time.Now())
	return ctx.Err()
}

// leave stores what has arrived already when the run is cut off.
func (r *run) leave(ctx context.Context) error {
	for {
		select {
		case it, more := <-r.results:
			if !more {
				return r.finish(ctx)
			}
			if err := r.take(ctx, it); err != nil {
				return err
			}
		default:
			return r.finish(ctx)
		}
	}
}

func (r *run) report(now time.Time) {
	if r.Report != nil {
		r.Report(r.progress(int(r.total.Load()), now))
	}
}

// take settles it, or keeps it until it can be.
func (r *run) take(ctx context.Context, it item) error {
	switch {
	case it.twin:
		return r.takeTwin(ctx, it)
	case it.err != nil || !it.put:
		return r.done(ctx, it)
	}
	return r.add(ctx, it)
}

// add puts it into the batch.
func (r *run) add(ctx context.Context, it item) error {
	r.batch = append(r.batch, it)
	if len(r.batch) < r.PutBatch {
		return nil
	}
	return r.flush(ctx)
}

// flush stores the batch and counts what is in it.
func (r *run) flush(ctx context.Context) error {
	batch := r.batch
	if len(batch) > 0 && !r.DryRun {
		err := r.store(ctx, batch)
		if errors.Is(err, clipsearch.ErrInvalid) {
			err = r.storeRefused(ctx, batch)
		}
		if err != nil {
			return err
		}
	}
	r.batch, r.put = nil, time.Now()
	for _, it := range batch {
		if err := r.done(ctx, it); err != nil {
			return err
		}
	}
	return nil
}

// store puts a batch. A cancellation leaves it time to end: the work is done, and
// a batch is soon stored.
func (r *run) store(ctx context.Context, batch []item) error {
	entries, gone := entriesOf(batch)
	if len(entries) == 0 {
		return nil
	}
	pctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	if err := r.Store.Put(pctx, entries); err != nil {
		return fmt.Errorf("store %d pictures: %w", len(entries), err)
	}
	if len(gone) == 0 {
		return nil
	}
	if _, err := r.Store.Forget(pctx, gone); err != nil {
		return fmt.Errorf("forget %d paths: %w", len(gone), err)
	}
	return nil
}

// entriesOf makes one entry of each picture of a batch, and lists the paths to
// forget. Where a picture occurs again, it is a twin without captions.
func entriesOf(batch []item) (entries []clipsearch.Entry, gone []string) {
	at := make(map[clipsearch.ID]int, len(batch))
	for _, it := range batch {
		if it.err != nil {
			continue
		}
		gone = append(gone, it.gone...)
		if i, ok := at[it.entry.ID]; ok {
			entries[i].Files = append(entries[i].Files, it.entry.Files...)
			continue
		}
		at[it.entry.ID] = len(entries)
		entries = append(entries, it.entry)
	}
	return entries, gone
}

// done counts it and lets go those that waited for it.
func (r *run) done(ctx context.Context, it item) error {
	r.count(it)
	if it.err != nil && r.Failed != nil {
		r.Failed(it.file.Path, it.err)
	}
	if !it.claimed {
		return nil
	}
	return r.unclaim(ctx, it)
}
