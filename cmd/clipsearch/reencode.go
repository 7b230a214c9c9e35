package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/index"
	"github.com/clipsearch/clipsearch/ingest"
)

// changing is an index that is given the vectors it lacks.
type changing interface {
	ingest.Spaces
	Spaces(ctx context.Context) (clipsearch.Spaces, error)
	Change(ctx context.Context) (bool, error)
}

// worker gives an index the vectors that it lacks: of the space that it is being
// changed to, which answers as soon as no picture lacks them, or else of the one
// that answers, for pictures that have come with others.
type worker struct {
	encoders *encoders
	threads  int
	warm     []string // towers to load before a space answers
	index    atomic.Pointer[index.Index]
}

// How often the worker of an owner looks whether there is work, and how long it
// leaves work alone that it could not do, unless it is asked for again.
const (
	workEvery = 500 * time.Millisecond
	workAgain = time.Minute
)

// work is done beside all calls while this process owns the index.
func (w *worker) work(ctx context.Context) {
	x := w.index.Load()
	tick := time.NewTicker(workEvery)
	defer tick.Stop()
	var failed time.Time
	for {
		s, err := x.Spaces(ctx)
		if wanted(s) != nil && (s.Trouble == "" || time.Since(failed) > workAgain) {
			err = w.complete(ctx, x, nil)
			failed = time.Now()
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			x.SetTrouble(err)
		} else if s.Trouble != "" && wanted(s) == nil {
			x.SetTrouble(nil)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// wanted returns the space whose vectors the index lacks, or nil.
func wanted(s clipsearch.Spaces) *clipsearch.SpaceStats {
	switch {
	case s.Next.Digest != clipsearch.Space{}:
		return &s.Next
	case s.Owed:
		return &s.Answering
	}
	return nil
}

// complete works until the index lacks nothing, or its owner is at it. What it has
// done when it is stopped stays done.
func (w *worker) complete(ctx context.Context, x changing, report func(ingest.Progress)) error {
	for {
		s, err := x.Spaces(ctx)
		if err != nil {
			return err
		}
		to := wanted(s)
		if to == nil || s.Carried {
			return nil
		}
		err = w.reencode(ctx, x, s, *to, report)
		if errors.Is(err, errUnwanted) {
			continue
		}
		if err != nil {
			return fmt.Errorf("encode the pictures with model %s: %w", to.Model, err)
		}
		if _, err := x.Change(ctx); err != nil {
			return err
		}
	}
}

// completeOwed gives the pictures that an ingest has brought their vectors of the
// space that answers, where that is another one by now and nobody else does.
func (a *app) completeOwed(ctx context.Context, store ingest.Store) error {
	x, ok := store.(changing)
	if !ok {
		return nil // of a dry run
	}
	s, err := x.Spaces(ctx)
	if err != nil || !s.Owed || s.Carried || s.Next.Digest != (clipsearch.Space{}) {
		return err
	}
	w := worker{encoders: a.newEncoders(embed.Options{}), threads: a.options.threads}
	return w.complete(ctx, x, nil)
}

// errUnwanted ends work on a space that is not wanted any more, or not from here.
var errUnwanted = errors.New("another space is wanted by now")

// reencode gives every picture its vectors of one space, while that is wanted.
func (w *worker) reencode(ctx context.Context, x changing, s clipsearch.Spaces, to clipsearch.SpaceStats, report func(ingest.Progress)) error {
	enc, err := w.encoders.of(to.Digest)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watch(ctx, x, to.Digest, func() { cancel(errUnwanted) })
	}()
	defer func() {
		cancel(nil)
		<-watched
	}()
	r := ingest.Reencoding{
		Encoder: enc, Store: x, Jobs: w.threads, Encoders: w.threads,
		Improve: true, Done: to.Images, Total: s.Images, Report: report,
	}
	if _, err = r.Run(ctx); err == nil {
		err = enc.Warm(w.warm...) // so that the first query after the change need not wait
	}
	if errors.Is(context.Cause(ctx), errUnwanted) {
		return errUnwanted
	}
	return err
}

// watch calls stop when the index wants another space than this one, or its owner
// makes the vectors by now, until ctx ends.
func watch(ctx context.Context, x changing, space clipsearch.Space, stop func()) {
	tick := time.NewTicker(workEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s, err := x.Spaces(ctx); err == nil {
			if to := wanted(s); to == nil || to.Digest != space || s.Carried {
				stop()
				return
			}
		}
	}
}
