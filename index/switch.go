package index

import (
	"context"
	"errors"
	"fmt"

	"github.com/clipsearch/clipsearch"
)

// SwitchTo notes that the index is to answer with another space. It changes
// nothing yet: whoever has the model gives every picture that Lacking returns its
// vectors with Reencode, and then calls Change. What is noted survives a crash, and
// so do the vectors made. A space that answers already is completed in the same
// way; and it ends a change to another one that was under way. A trouble that was
// noted with SetTrouble is forgotten: whoever asks again wants it tried again.
func (x *Index) SwitchTo(ctx context.Context, to clipsearch.SpaceStats) error {
	if err := validDim(to.Dim); err != nil {
		return fmt.Errorf("switch to model %s: %w", to.Model, err)
	}
	err := x.rule(ctx, func(t tx, w *writer) error {
		e, err := t.spaceEntry(to.Digest)
		switch {
		case err == nil && e.Dim != to.Dim:
			return fmt.Errorf("switch to model %s: its space has vectors of %d numbers here, not of %d: %w", to.Model, e.Dim, to.Dim, clipsearch.ErrInvalid)
		case err != nil && !errors.Is(err, errMissing):
			return x.noSpace(to.Digest, err)
		case to.Digest == x.meta().Space:
			w.intent(intent{Owed: true})
			return nil
		}
		have, err := t.intent()
		w.set(spaceKey(spacePrefix, to.Digest), encode(spaceEntry{Model: to.Model, Dim: to.Dim}))
		w.intent(intent{Next: to.Digest[:], Owed: have.Owed})
		return err
	})
	if err == nil {
		x.SetTrouble(nil)
	}
	return err
}

// rule runs fn, which decides on what the index owes, in a transaction of its own.
func (x *Index) rule(ctx context.Context, fn func(tx, *writer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	x.writing.Lock()
	defer x.writing.Unlock()
	if err := x.upgrade(); err != nil {
		return err
	}
	err := x.store.update(func(t tx) error {
		w := writer{t: t}
		if err := fn(t, &w); err != nil {
			return err
		}
		return w.err
	})
	return withSpace(err, x.dir)
}

// Reencode stores vectors of a space that the index knows, of pictures that it
// knows, in one transaction if that holds them. What a picture has already it
// keeps, unless that was made of a thumbnail and this was not. Pictures that are
// gone, and captions that are others by now, are passed over.
func (x *Index) Reencode(ctx context.Context, space clipsearch.Space, batch []clipsearch.Reencoded) error {
	dim, err := x.dimOf(ctx, space)
	if err != nil {
		return fmt.Errorf("store %d pictures: %w", len(batch), err)
	}
	var size int64
	for _, r := range batch {
		if err := validReencoded(r, dim); err != nil {
			return err
		}
		size += entrySize(clipsearch.Entry{Vectors: r.Vectors, CaptionVectors: r.CaptionVectors})
	}
	_, err = x.apply(ctx, space, size, func(p *plan) error {
		for _, r := range batch {
			if err := p.reencode(r); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

func validReencoded(r clipsearch.Reencoded, dim int) error {
	if r.CaptionVectors != nil && len(r.CaptionVectors) != len(r.Captions) {
		return fmt.Errorf("picture %s: %d vectors of %d captions: %w", r.ID, len(r.CaptionVectors), len(r.Captions), clipsearch.ErrInvalid)
	}
	return validVectors(r.ID, dim, r.Vectors, r.CaptionVectors)
}

// dimOf returns how many numbers the vectors of a space have.
func (x *Index) dimOf(ctx context.Context, space clipsearch.Space) (int, error) {
	if m := x.meta(); m.Space == space {
		return m.Dim, nil
	}
	var e spaceEntry
	err := x.view(ctx, func(t tx) (err error) {
		e, err = t.spaceEntry(space)
		return err
	})
	if err != nil {
		m := x.meta()
		return 0, fmt.Errorf("vectors of space %.12s, the index answers with %.12s (%s): change it with `clipsearch model switch`: %w", space, m.Space, m.Model, clipsearch.ErrInvalid)
	}
	return e.Dim, nil
}

// reencode gives a known picture vectors of the plan's space.
func (p *plan) reencode(r clipsearch.Reencoded) error {
	if known, err := p.has(idKey(recordPrefix, r.ID)); err != nil || !known {
		return err
	}
	c, err := p.change(r.ID)
	if err != nil {
		return err
	}
	have := c.rec.of(p.space)
	if len(r.Vectors) > 0 && (have.Vectors == 0 || have.Thumb && !r.Thumb) {
		c.vectors, c.renewed = r.Vectors, have.Vectors > 0
		have.Vectors, have.Thumb = len(r.Vectors), r.Thumb
	}
	if len(r.CaptionVectors) > 0 && have.Captions == 0 && sameTexts(c.rec.Captions, r.Captions) {
		c.captions, have.Captions = r.CaptionVectors, len(r.CaptionVectors)
	}
	c.rec.setStored(have)
	return nil
}

// Change makes the index answer with the space that it is being changed to, at once
// and for good: whoever asks before gets the old space's answer, whoever asks after
// it the new one's. It returns false, and changes nothing, while any picture lacks
// vectors of that space. With no change under way it notes in the same manner that
// the space which answers owes nothing more.
func (x *Index) Change(ctx context.Context) (bool, error) {
	w, err := x.owes(ctx)
	if err != nil {
		return false, err
	}
	to := w.next()
	if to == (clipsearch.Space{}) {
		if to = x.meta().Space; !w.Owed || !x.makes(x.meta()) {
			return true, nil
		}
	}
	return x.complete(ctx, to, func() error {
		if now, err := x.owes(ctx); err != nil || string(now.Next) != string(w.Next) {
			return errors.Join(err, errStop) // somebody wants another one by now
		}
		return x.changeTo(ctx, to, false)
	})
}

func (x *Index) owes(ctx context.Context) (w intent, err error) {
	err = x.view(ctx, func(t tx) (err error) {
		w, err = t.intent()
		return err
	})
	return w, err
}

// complete runs then, with x.writing held, if no picture lacks vectors of a space.
// It reads all records before it stops others from writing, and then those alone
// that were written meanwhile.
func (x *Index) complete(ctx context.Context, space clipsearch.Space, then func() error) (bool, error) {
	x.changing.Lock()
	defer x.changing.Unlock()
	x.writing.Lock()
	x.touched = map[clipsearch.ID]bool{}
	x.writing.Unlock()
	whole := true
	err := x.lacking(ctx, space, clipsearch.ID{}, func(_ clipsearch.ID, r record) bool {
		whole = !r.lacks(space)
		return whole
	})
	x.writing.Lock()
	defer x.writing.Unlock()
	touched := x.touched
	x.touched = nil
	if err != nil || !whole {
		return false, err
	}
	err = x.view(ctx, func(t tx) error {
		for id := range touched {
			if r, err := t.record(id); err == nil && r.lacks(space) {
				return errStop
			}
		}
		return nil
	})
	if err == nil {
		err = then()
	}
	if errors.Is(err, errStop) {
		return false, nil
	}
	return err == nil, err
}

// Rollback makes the index answer with the space that did before the last change,
// at once. Pictures that have come since lack vectors of that space, and are found
// by their words alone until they have been given them: see SwitchTo. A change
// that is under way is given up instead, and the space that answers goes on.
func (x *Index) Rollback(ctx context.Context) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	w, err := x.owes(ctx)
	if err != nil {
		return err
	}
	if len(w.Next) > 0 {
		err := x.store.update(func(t tx) error {
			ww := writer{t: t}
			ww.intent(intent{Owed: w.Owed})
			return ww.err
		})
		return withSpace(err, x.dir)
	}
	m := x.meta()
	if m.Previous == (clipsearch.Space{}) {
		return fmt.Errorf("index %s has answered with model %s alone: there is nothing to go back to: %w", x.dir, m.Model, clipsearch.ErrInvalid)
	}
	return x.changeTo(ctx, m.Previous, true)
}

// changeTo makes a space answer. What is in memory of the one that did is loaded of
// this one first, while that one goes on answering. The caller holds x.writing.
func (x *Index) changeTo(ctx context.Context, to clipsearch.Space, owed bool) error {
	old := x.meta()
	next := Meta{Format: Format, Space: to, Previous: old.Space, Language: old.Language}
	if to == old.Space {
		next.Previous = old.Previous
	}
	err := x.view(ctx, func(t tx) error {
		e, err := t.spaceEntry(to)
		next.Model, next.Dim = e.Model, e.Dim
		if err != nil {
			return x.noSpace(to, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var mem *memory
	if to != old.Space {
		if mem, err = x.memoryLike(ctx, next); err != nil {
			return fmt.Errorf("load vectors of model %s: %w", next.Model, err)
		}
	}
	return x.setMetaAnd(next, mem, func(w *writer) { w.intent(intent{Owed: owed}) })
}

// setMetaAnd makes m what the index is, in one transaction with what more writes, and
// mem, unless it is nil, what searches work on. The caller holds x.writing.
func (x *Index) setMetaAnd(m Meta, mem *memory, more func(*writer)) error {
	err := x.commitMeta(m, mem, more)
	if err != nil {
		return fmt.Errorf("write what index %s is, with model %s: %w", x.dir, m.Model, withSpace(err, x.dir))
	}
	// The store has it now. Were the process to end here, or the disk to be full, the
	// next Open would have the files follow.
	_ = writeMeta(x.dir, m)
	return nil
}

// commitMeta is the moment of a change: who reads sees all of it or nothing.
func (x *Index) commitMeta(m Meta, mem *memory, more func(*writer)) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	err := x.store.update(func(t tx) error {
		w := writer{t: t}
		w.set([]byte(metaKey), encode(m))
		more(&w)
		return w.err
	})
	if err != nil {
		return err
	}
	x.setMeta(m)
	if mem != nil {
		x.replace(mem)
	}
	return nil
}

// memoryLike loads of a space what is in memory of the one that answers. The caller
// holds x.writing, so that it is complete.
func (x *Index) memoryLike(ctx context.Context, m Meta) (*memory, error) {
	x.mu.RLock()
	old := *x.mem
	x.mu.RUnlock()
	mem := &memory{pictures: old.pictures}
	var err error
	if old.vectors != nil {
		number := func(id clipsearch.ID) doc { return x.number(old.pictures, id) }
		if mem.vectors, err = x.loadNear(ctx, m, old.pictures, number); err == nil {
			err = x.inspect(ctx, m, mem.vectors)
		}
		if err != nil {
			return nil, err
		}
	}
	if old.captions != nil {
		mem.captions, err = x.readCaptions(ctx, m)
	}
	return mem, err
}
