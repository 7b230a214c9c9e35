package index

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	space, dim, err := x.spaceOf(ctx, batch)
	if err != nil {
		return err
	}
	var size int64
	for _, e := range batch {
		if err := valid(e, dim); err != nil {
			return err
		}
		size += entrySize(e)
	}
	_, err = x.apply(ctx, space, size, func(p *plan) error {
		for _, e := range batch {
			if err := p.put(e); err != nil {
				return err
			}
		}
		return p.complete()
	})
	return err
}

// spaceOf returns the space of a batch's vectors, and their dimension; none if it has
// none. It is the one that answers, or one that the index knows: an ingest that has
// begun before the index was changed to another space loses nothing.
func (x *Index) spaceOf(ctx context.Context, batch []clipsearch.Entry) (space clipsearch.Space, dim int, err error) {
	first := true
	for _, e := range batch {
		switch {
		case len(e.Vectors)+len(e.CaptionVectors) == 0:
		case first:
			space, first = e.Space, false
		case e.Space != space:
			return space, 0, fmt.Errorf("picture %s: vectors of space %.12s among those of %.12s: %w", e.ID, e.Space, space, clipsearch.ErrInvalid)
		}
	}
	if first {
		return space, 0, nil
	}
	dim, err = x.dimOf(ctx, space)
	if err != nil {
		return space, 0, fmt.Errorf("store %d pictures: %w", len(batch), err)
	}
	return space, dim, nil
}

// Forget drops paths. Pictures left without any go with them; it returns how many.
func (x *Index) Forget(ctx context.Context, paths []string) (int, error) {
	return x.apply(ctx, clipsearch.Space{}, 0, func(p *plan) error {
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
	_, err := x.apply(ctx, clipsearch.Space{}, 0, func(p *plan) error {
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

// apply carries out what fill plans, in which vectors are those of space (of the one
// that answers if it is zero), and returns how many pictures are gone.
func (x *Index) apply(ctx context.Context, space clipsearch.Space, size int64, fill func(*plan) error) (gone int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	x.writing.Lock()
	defer x.writing.Unlock()
	if err := checkSpace(x.dir, max(2*size, margin)); err != nil {
		return 0, err
	}
	if err := x.upgrade(); err != nil {
		return 0, err
	}
	if space == (clipsearch.Space{}) {
		space = x.meta().Space
	}
	var p *plan
	err = x.store.view(func(t tx) error {
		if _, err := t.spaceEntry(space); errors.Is(err, errMissing) && space != x.meta().Space {
			return x.noSpace(space, err) // dropped a moment ago
		}
		p = newPlan(t, space)
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
		n, err := x.counts(t)
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
		if err := errors.Join(x.owe(t, p, part), x.note(t, p, part)); err != nil {
			return err
		}
		return t.set([]byte(countsKey), encode(n))
	})
	if errors.Is(err, errTooBig) {
		return fmt.Errorf("a picture with its vectors and captions is larger than a transaction, %d kB: %w", x.store.limit()>>10, clipsearch.ErrInvalid)
	}
	if err != nil {
		return err
	}
	x.touch(part)
	x.remember(p.space, part)
	return nil
}

// owe notes that pictures come without vectors of the space that answers, or without
// those of their captions by an import: they may have been lost.
func (x *Index) owe(t tx, p *plan, part []*change) error {
	space := x.meta().Space
	owes := func(c *change) bool {
		lacks := c.rec.lacks(space) && (p.space != space || p.imported || c.rec.of(space).Vectors == 0)
		return !c.gone() && lacks && (c.old == nil || !c.old.lacks(space))
	}
	if p.space == space && !p.imported || !slices.ContainsFunc(part, owes) {
		return nil
	}
	i, err := t.intent()
	w := writer{t: t, err: err}
	i.Owed = true
	w.intent(i)
	return w.err
}

// touch notes for Change what is written while it looks.
func (x *Index) touch(part []*change) {
	if x.touched == nil {
		return
	}
	for _, c := range part {
		x.touched[c.id] = true
	}
}

// valid returns an error wrapping [clipsearch.ErrInvalid] unless e can be stored,
// be its picture known or not, with vectors of dim numbers.
func valid(e clipsearch.Entry, dim int) error {
	switch {
	case e.ID == clipsearch.ID{}:
		return fmt.Errorf("an entry without an id: %w", clipsearch.ErrInvalid)
	case len(e.Thumb) > maxThumb:
		return fmt.Errorf("picture %s: a thumbnail of %d bytes, at most %d are kept: %w", e.ID, len(e.Thumb), maxThumb, clipsearch.ErrInvalid)
	case e.CaptionVectors != nil && len(e.CaptionVectors) != len(e.Captions):
		return fmt.Errorf("picture %s: %d vectors of %d captions: %w", e.ID, len(e.CaptionVectors), len(e.Captions), clipsearch.ErrInvalid)
	}
	return validVectors(e.ID, dim, e.Vectors, e.CaptionVectors)
}

// validVectors returns an error unless these can be a picture's.
func validVectors(id clipsearch.ID, dim int, lists ...[]clipsearch.Vector) error {
	for _, list := range lists {
		if len(list) > maxVectors {
			return fmt.Errorf("picture %s: more than %d vectors: %w", id, maxVectors, clipsearch.ErrInvalid)
		}
		for n, v := range list {
			if err := validVector(v, dim); err != nil {
				return fmt.Errorf("picture %s, vector %d: %w", id, n, err)
			}
		}
	}
	return nil
}

func validVector(v clipsearch.Vector, dim int) error {
	if len(v) != dim {
		return fmt.Errorf("%d numbers, the index has %d: %w", len(v), dim, clipsearch.ErrInvalid)
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
