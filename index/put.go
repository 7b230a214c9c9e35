package index

import (
	"context"
	"errors"
	"fmt"

	"github.com/clipsearch/clipsearch"
)

const (
	maxThumb  = 1 << 20 // bytes of one thumbnail
	maxThumbs = 4 << 20 // bytes of all thumbnails of a transaction
)

// Put stores a batch, all or nothing: see [clipsearch.Entry] for what becomes of a
// picture that is known. A path that another picture had goes to the new one, and
// a picture left without any path goes with it. An error wraps
// [clipsearch.ErrInvalid] where an entry cannot be stored, [clipsearch.ErrNoSpace]
// where the disk has no room; what returns nil survives a crash.
func (x *Index) Put(ctx context.Context, batch []clipsearch.Entry) error {
	var size int64
	for _, e := range batch {
		if err := x.valid(e); err != nil {
			return err
		}
		size += entrySize(e)
	}
	_, err := x.apply(ctx, size, func(p *plan) error {
		for _, e := range batch {
			if err := p.put(e); err != nil {
				return err
			}
		}
		return p.complete()
	})
	return err
}

// Forget drops paths. Pictures left without any go with them; it returns how many.
func (x *Index) Forget(ctx context.Context, paths []string) (int, error) {
	return x.apply(ctx, 0, func(p *plan) error {
		for _, path := range paths {
			if err := p.forget(path); err != nil {
				return err
			}
		}
		return nil
	})
}

// Delete removes pictures, wherever they were seen. Unknown ones are no error.
func (x *Index) Delete(ctx context.Context, ids []clipsearch.ID) error {
	_, err := x.apply(ctx, 0, func(p *plan) error {
		for _, id := range ids {
			c, err := p.change(id)
			if err != nil {
				return err
			}
			c.removed = true
		}
		return nil
	})
	return err
}

// apply carries out what fill plans, and returns how many pictures are gone.
func (x *Index) apply(ctx context.Context, size int64, fill func(*plan) error) (gone int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	x.writing.Lock()
	defer x.writing.Unlock()
	if err := checkSpace(x.dir, max(2*size, margin)); err != nil {
		return 0, err
	}
	var p *plan
	err = x.store.view(func(t tx) error {
		p = newPlan(t, x.meta.Space)
		return fill(p)
	})
	if err != nil {
		return 0, err
	}
	for _, part := range p.parts(x.store.limit()) {
		if err := x.commit(p, part); err != nil {
			return gone, withSpace(err, x.dir)
		}
		for _, c := range part {
			if c.gone() && c.old != nil {
				gone++
			}
		}
	}
	return gone, nil
}

// commit writes a part of a plan, in one transaction.
func (x *Index) commit(p *plan, part []*change) error {
	err := x.store.update(func(t tx) error {
		n, err := t.counts()
		if err != nil {
			return fmt.Errorf("read counts: %w", err)
		}
		for _, c := range part {
			n.add(c.old, -1)
			if !c.gone() {
				n.add(&c.rec, 1)
			}
			if err := c.write(t, p.space, p.owner); err != nil {
				return fmt.Errorf("store picture %s: %w", c.id, err)
			}
		}
		return t.set([]byte(countsKey), encode(n))
	})
	if errors.Is(err, errTooBig) {
		return fmt.Errorf("a picture with its vectors and captions is larger than a transaction, %d kB: %w", x.store.limit()>>10, clipsearch.ErrInvalid)
	}
	if err != nil {
		return err
	}
	x.remember(part)
	return nil
}

// valid returns an error wrapping [clipsearch.ErrInvalid] unless e can be stored,
// be its picture known or not.
func (x *Index) valid(e clipsearch.Entry) error {
	switch {
	case e.ID == clipsearch.ID{}:
		return fmt.Errorf("an entry without an id: %w", clipsearch.ErrInvalid)
	case len(e.Thumb) > maxThumb:
		return fmt.Errorf("picture %s: a thumbnail of %d bytes, at most %d are kept: %w", e.ID, len(e.Thumb), maxThumb, clipsearch.ErrInvalid)
	case len(e.Vectors)+len(e.CaptionVectors) > 0 && e.Space != x.meta.Space:
		return fmt.Errorf("picture %s: vectors of space %.12s, the index answers with %.12s (%s): %w", e.ID, e.Space, x.meta.Space, x.meta.Model, clipsearch.ErrInvalid)
	case e.CaptionVectors != nil && len(e.CaptionVectors) != len(e.Captions):
		return fmt.Errorf("picture %s: %d vectors of %d captions: %w", e.ID, len(e.CaptionVectors), len(e.Captions), clipsearch.ErrInvalid)
	case len(e.Vectors) > maxVectors || len(e.CaptionVectors) > maxVectors:
		return fmt.Errorf("picture %s: more than %d vectors: %w", e.ID, maxVectors, clipsearch.ErrInvalid)
	}
	for _, list := range [][]clipsearch.Vector{e.Vectors, e.CaptionVectors} {
		for n, v := range list {
			if err := x.validVector(v); err != nil {
				return fmt.Errorf("picture %s, vector %d: %w", e.ID, n, err)
			}
		}
	}
	return nil
}

func (x *Index) validVector(v clipsearch.Vector) error {
	if len(v) != x.meta.Dim {
		return fmt.Errorf("%d numbers, the index has %d: %w", len(v), x.meta.Dim, clipsearch.ErrInvalid)
	}
	if err := unitLength(v); err != nil {
		return fmt.Errorf("%v: %w", err, clipsearch.ErrInvalid)
	}
	return nil
}

func entrySize(e clipsearch.Entry) int64 {
	n := len(e.Thumb) + 1024
	for _, v := range e.Vectors {
		n += 4 * len(v)
	}
	for _, v := range e.CaptionVectors {
		n += 4 * len(v)
	}
	return int64(n)
}

// Seen returns for each file the picture that is stored for its path, if size and
// time are still what they were then, else the zero ID.
func (x *Index) Seen(ctx context.Context, files []clipsearch.File) ([]clipsearch.ID, error) {
	ids := make([]clipsearch.ID, len(files))
	err := x.view(ctx, func(t tx) error {
		for i, f := range files {
			b, err := t.get(pathKey(f.Path))
			if errors.Is(err, errMissing) || errors.Is(err, errDamaged) {
				continue // it is read again
			}
			if err != nil {
				return err
			}
			if id, known, err := decodePath(b); err == nil && known.same(f) && string(known.Path) == f.Path {
				ids[i] = id
			}
		}
		return nil
	})
	return ids, err
}

// Has reports for each id whether the picture is stored.
func (x *Index) Has(ctx context.Context, ids []clipsearch.ID) ([]bool, error) {
	has := make([]bool, len(ids))
	err := x.view(ctx, func(t tx) (err error) {
		for i, id := range ids {
			if has[i], err = t.has(idKey(recordPrefix, id)); err != nil {
				return err
			}
		}
		return nil
	})
	return has, err
}
