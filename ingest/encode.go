package ingest

import (
	"context"
	"errors"
	"fmt"
	"image"

	"github.com/clipsearch/clipsearch"
)

// gather makes batches, so that one encoder starts on a full batch while the next
// is being filled.
func (r *run) gather(ctx context.Context) error {
	var batch []item
	for it := range r.ready {
		if batch = append(batch, it); len(batch) < r.Batch {
			continue
		}
		if err := send(ctx, r.batches, batch); err != nil {
			return err
		}
		batch = nil
	}
	if len(batch) == 0 {
		return ctx.Err()
	}
	return send(ctx, r.batches, batch)
}

// encodeAll is one encoder's loop.
func (r *run) encodeAll(ctx context.Context) error {
	for batch := range r.batches {
		if err := r.encodeBatch(ctx, batch); err != nil {
			return err
		}
		for _, it := range batch {
			it.fit = nil // its pixels have served
			if err := send(ctx, r.results, it); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// encodeBatch gives every item of batch its vectors or its error. If a batch
// cannot be encoded, its pictures are tried one by one; if none of them can be, and
// it is not the pictures that are called invalid, the encoder is broken and the
// run ends.
func (r *run) encodeBatch(ctx context.Context, batch []item) error {
	err := r.encode(ctx, batch)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	broken := true
	for i := range batch {
		bad := err
		if len(batch) > 1 {
			bad = r.encode(ctx, batch[i:i+1])
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		broken = broken && bad != nil && !errors.Is(bad, clipsearch.ErrInvalid)
		if bad != nil {
			batch[i].err = plain(bad)
		}
	}
	if broken && (len(batch) > 1 || !r.encoded.Load()) {
		return err
	}
	return nil
}

func (r *run) encode(ctx context.Context, batch []item) error {
	var imgs []image.Image
	for _, it := range batch {
		if it.fit != nil {
			imgs = append(imgs, it.fit)
		}
	}
	if len(imgs) > 0 {
		vectors, err := r.Encoder.EncodeImages(ctx, imgs)
		if err == nil && len(vectors) != len(imgs) {
			err = fmt.Errorf("%d vectors came back", len(vectors))
		}
		if err != nil {
			return fmt.Errorf("encode %d pictures: %w", len(imgs), err)
		}
		for i := range batch {
			if batch[i].fit != nil {
				batch[i].entry.Vectors, vectors = vectors[:1:1], vectors[1:]
			}
		}
	}
	if err := r.encodeCaptions(ctx, batch); err != nil {
		return err
	}
	r.encoded.Store(true)
	return nil
}

// encodeCaptions gives the captions of all items their vectors, in one call.
func (r *run) encodeCaptions(ctx context.Context, batch []item) error {
	if r.Wordless {
		return nil
	}
	var texts []string
	for _, it := range batch {
		texts = append(texts, it.entry.Captions...)
	}
	if len(texts) == 0 {
		return nil
	}
	vectors, err := r.Encoder.EncodeTexts(ctx, texts)
	if err == nil && len(vectors) != len(texts) {
		err = fmt.Errorf("%d vectors came back", len(vectors))
	}
	if err != nil {
		return fmt.Errorf("encode %d captions: %w", len(texts), err)
	}
	for i := range batch {
		if n := len(batch[i].entry.Captions); n > 0 {
			batch[i].entry.CaptionVectors, vectors = vectors[:n:n], vectors[n:]
		}
	}
	return nil
}
