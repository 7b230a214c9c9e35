package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clipsearch/clipsearch"
)

// Spaces keeps vectors of several spaces. Thumb is called from several goroutines.
type Spaces interface {
	// Lacking returns up to n pictures after an ID, in order, that lack vectors of
	// space, or with improve have those of a thumbnail.
	Lacking(ctx context.Context, space clipsearch.Space, after clipsearch.ID, n int, improve bool) ([]clipsearch.Lack, error)
	Thumb(ctx context.Context, id clipsearch.ID) ([]byte, error)
	Reencode(ctx context.Context, space clipsearch.Space, batch []clipsearch.Reencoded) error
}

// Reencoding gives the pictures of an index their vectors of another space, and
// those of their captions: from a file that still holds the picture, or, where
// there is none, from its thumbnail. Encoder and Store are required; Jobs,
// Encoders, Batch, PutBatch, MaxPixels and Memory are as in [Pipeline].
type Reencoding struct {
	Encoder Encoder
	Store   Spaces

	Jobs, Encoders, Batch, PutBatch int
	MaxPixels, Memory               int64

	Improve bool // look again for the files of pictures that have a thumbnail's vectors
	Done    int  // pictures that had vectors before, for Report
	Total   int  // pictures of the index, for Report

	Report func(Progress) // about ten times a second, from one goroutine; may be nil
}

// Reencoded says what a [Reencoding] has done.
type Reencoded struct {
	Pictures int // that got vectors
	Captions int // texts that got vectors
	Thumbs   int // of Pictures, from thumbnails
	Failures []Failure
}

// Run ends when it finds no picture that lacks vectors. Pictures that cannot be
// encoded are told by the Reencoded, and the first of them by the error. What was stored before an error stays stored: the next Run goes on there.
func (e *Reencoding) Run(ctx context.Context) (Reencoded, error) {
	r := &reencoding{Reencoding: e, failed: map[clipsearch.ID]Failure{}, tally: newTally(time.Now())}
	r.tally.sum.Found = e.Done
	for improve := e.Improve; ; improve = false { // what came meanwhile is found by the next pass
		before, failed := r.out, len(r.failed)
		if err := r.pass(ctx, improve); err != nil {
			return r.out, err
		}
		if r.out.Pictures == before.Pictures && r.out.Captions == before.Captions && len(r.failed) == failed {
			break
		}
	}
	r.report(time.Now())
	err := r.failures() // before out is read
	return r.out, err
}

// failures keeps those of pictures that the last pass has found still lacking.
func (r *reencoding) failures() error {
	for id := range r.still {
		r.out.Failures = append(r.out.Failures, r.failed[id])
	}
	slices.SortFunc(r.out.Failures, func(a, b Failure) int { return cmp.Compare(a.Path, b.Path) })
	if len(r.out.Failures) == 0 {
		return nil
	}
	first := r.out.Failures[0]
	return fmt.Errorf("%d pictures cannot be encoded, such as %q: %s: bring their files back, or take them out with `clipsearch prune`, and run `clipsearch model switch --resume`", len(r.out.Failures), first.Path, first.Error)
}

// reencoding is one call of Run.
type reencoding struct {
	*Reencoding
	tally
	out    Reencoded
	failed map[clipsearch.ID]Failure
	still  map[clipsearch.ID]bool // of failed, those that the pass has come upon
	files  originals
}

// pass goes over the index once. Its stages but the first and the last are those
// of an ingest.
func (r *reencoding) pass(ctx context.Context, improve bool) error {
	p := &Pipeline{Encoder: r.Encoder, Jobs: r.Jobs, Encoders: r.Encoders, Batch: r.Batch, PutBatch: r.PutBatch, MaxPixels: r.MaxPixels, Memory: r.Memory}
	stages, err := p.newRun(nil)
	if err != nil {
		return err
	}
	failed := maps.Clone(r.failed) // keep adds to it
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.produce(gctx, stages, improve, failed) })
	g.Go(func() error { return r.keep(gctx, stages) })
	return g.Wait()
}

func (r *reencoding) produce(ctx context.Context, s *run, improve bool, failed map[clipsearch.ID]Failure) error {
	defer close(s.results)
	lacks := make(chan clipsearch.Lack, seenBatch)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(lacks)
		return r.find(ctx, lacks, improve, failed)
	})
	g.Go(func() error {
		defer close(s.ready)
		return parallel(ctx, s.Jobs, func(ctx context.Context) error { return r.prepareAll(ctx, s, lacks) })
	})
	g.Go(func() error {
		defer close(s.batches)
		return s.gather(ctx)
	})
	g.Go(func() error { return parallel(ctx, s.Encoders, s.encodeAll) })
	return g.Wait()
}

// find sends the pictures that lack vectors and have not failed.
func (r *reencoding) find(ctx context.Context, lacks chan<- clipsearch.Lack, improve bool, failed map[clipsearch.ID]Failure) error {
	r.still = map[clipsearch.ID]bool{}
	var after clipsearch.ID
	for {
		list, err := r.Store.Lacking(ctx, r.Encoder.Space(), after, seenBatch, improve)
		if err != nil {
			return err
		}
		for _, l := range list {
			after = l.Image.ID
			if _, no := failed[after]; no {
				r.still[after] = true
				continue
			}
			if err := send(ctx, lacks, l); err != nil {
				return err
			}
		}
		if len(list) < seenBatch {
			return nil
		}
	}
}

// prepareAll is one worker: it brings what is to be encoded.
func (r *reencoding) prepareAll(ctx context.Context, s *run, lacks <-chan clipsearch.Lack) error {
	for l := range lacks {
		it, err := r.prepare(ctx, s, l)
		if err != nil {
			return err
		}
		to := s.ready
		if it.err != nil || it.fit == nil && it.entry.Captions == nil {
			to = s.results
		}
		if err := send(ctx, to, it); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (r *reencoding) prepare(ctx context.Context, s *run, l clipsearch.Lack) (it item, err error) {
	it.entry.ID = l.Image.ID
	if it.file.Path = l.Image.ID.String(); len(l.Image.Files) > 0 {
		it.file.Path = l.Image.Files[0].Path
	}
	if l.Captions {
		it.entry.Captions = l.Image.Captions
	}
	if !l.Vectors && !l.Thumb {
		return it, nil
	}
	if it.fit, err = r.original(ctx, s, l.Image); err != nil || it.fit != nil || l.Thumb {
		return it, err
	}
	it.fit, it.small, it.err, err = r.thumbnail(ctx, s, l.Image.ID)
	return it, err
}

// keep is the last stage: it stores, counts and reports.
func (r *reencoding) keep(ctx context.Context, s *run) error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	var batch []item
	put := time.Now()
	flush := func() (err error) {
		err = r.store(ctx, batch)
		batch, put = nil, time.Now()
		return err
	}
	for {
		select {
		case it, more := <-s.results:
			if !more {
				return errors.Join(flush(), ctx.Err())
			}
			if batch = append(batch, it); len(batch) < s.PutBatch {
				continue
			}
			if err := flush(); err != nil {
				return err
			}
		case now := <-tick.C:
			r.report(now)
			if now.Sub(put) >= putEvery {
				if err := flush(); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return errors.Join(flush(), ctx.Err())
		}
	}
}

func (r *reencoding) report(now time.Time) {
	if r.Report != nil {
		r.Report(r.progress(max(r.Total, r.sum.Found), now))
	}
}

// store stores what has been encoded. A cancellation leaves it time to end.
func (r *reencoding) store(ctx context.Context, batch []item) error {
	var list []clipsearch.Reencoded
	for _, it := range batch {
		switch {
		case it.err != nil:
			r.failed[it.entry.ID] = Failure{it.file.Path, it.err.Error()}
		case len(it.entry.Vectors)+len(it.entry.CaptionVectors) > 0:
			list = append(list, clipsearch.Reencoded{
				ID: it.entry.ID, Vectors: it.entry.Vectors, Thumb: it.small,
				Captions: it.entry.Captions, CaptionVectors: it.entry.CaptionVectors,
			})
		}
	}
	if len(list) == 0 {
		return nil
	}
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	if err := r.Store.Reencode(sctx, r.Encoder.Space(), list); err != nil {
		return fmt.Errorf("store the vectors of %d pictures: %w", len(list), err)
	}
	for _, e := range list {
		r.out.Captions += len(e.CaptionVectors)
		if len(e.Vectors) > 0 {
			r.out.Pictures++
			r.sum.Found++
		}
		if len(e.Vectors) > 0 && e.Thumb {
			r.out.Thumbs++
		}
	}
	return nil
}
