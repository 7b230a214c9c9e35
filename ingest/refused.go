package ingest

import (
	"context"
	"errors"

	"github.com/clipsearch/clipsearch"
)

// storeRefused puts a batch that the store has called invalid. A picture that it
// knew when we asked may have lost its last path since, to a file that was written
// over it: so the known ones are prepared anew, as if they were not. If the batch is
// still refused, its pictures are put one by one; an error is returned if the store
// takes none of them, for then it is not the pictures.
func (r *run) storeRefused(ctx context.Context, batch []item) error {
	if err := r.prepareKnown(ctx, batch); err != nil {
		return err
	}
	err := r.store(ctx, batch)
	if !errors.Is(err, clipsearch.ErrInvalid) {
		return err
	}
	refused := 0
	for i := range batch {
		bad := r.store(ctx, batch[i:i+1])
		if bad != nil && !errors.Is(bad, clipsearch.ErrInvalid) {
			return bad
		}
		if bad != nil {
			batch[i].err = plain(bad)
			refused++
		}
	}
	if refused == len(batch) && refused > 1 {
		return err
	}
	return nil
}

func (r *run) prepareKnown(ctx context.Context, batch []item) error {
	for i := range batch {
		it := &batch[i]
		if len(it.entry.Vectors) > 0 {
			continue
		}
		var err error
		if it.err, err = r.anew(ctx, it); err != nil {
			return err
		}
		if it.err == nil {
			err = r.encodeBatch(ctx, batch[i:i+1])
		}
		if err != nil {
			return err
		}
		it.fit = nil
	}
	return nil
}
