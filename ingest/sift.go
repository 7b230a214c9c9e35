package ingest

import (
	"context"
	"fmt"

	"github.com/clipsearch/clipsearch"
)

// seenBatch is how many files the store is asked about at once.
const seenBatch = 256

// sift asks the store which files it has seen and sends on what has to be read.
// What it has seen unchanged goes straight to settle.
func (r *run) sift(ctx context.Context) error {
	batch := make([]found, 0, seenBatch)
	for f := range r.files {
		if f.err != nil {
			if err := send(ctx, r.results, item{found: f, err: f.err}); err != nil {
				return err
			}
			continue
		}
		if batch = append(batch, f); len(batch) < seenBatch {
			continue
		}
		if err := r.siftBatch(ctx, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return r.siftBatch(ctx, batch)
}

func (r *run) siftBatch(ctx context.Context, batch []found) error {
	if len(batch) == 0 {
		return nil
	}
	files := make([]clipsearch.File, len(batch))
	for i, f := range batch {
		files[i] = f.file
	}
	ids, err := r.Store.Seen(ctx, files)
	if err != nil {
		return fmt.Errorf("ask the index for %d files: %w", len(files), err)
	}
	for i, f := range batch {
		f.id = ids[i]
		if f.id != (clipsearch.ID{}) && !r.mayHaveCaptions(f) {
			err = send(ctx, r.results, item{found: f, outcome: outcomeKnown})
		} else {
			err = send(ctx, r.unseen, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mayHaveCaptions tells, without opening a file, whether f brings captions.
func (r *run) mayHaveCaptions(f found) bool {
	return len(f.texts) > 0 || r.Captions.Lookup(f.file.Path) != nil
}
