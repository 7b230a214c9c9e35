package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/clipsearch/clipsearch"
)

// intent is what W holds: work that the index still owes. Whoever can make vectors
// asks for it with Spaces, and does it with Lacking, Reencode and Change.
type intent struct {
	Next []byte `cbor:"1,keyasint,omitempty"` // the space to change to; none if empty
	Owed bool   `cbor:"2,keyasint,omitempty"` // pictures may lack vectors of the space that answers
}

func (w intent) next() clipsearch.Space {
	if len(w.Next) != len(clipsearch.Space{}) {
		return clipsearch.Space{}
	}
	return clipsearch.Space(w.Next)
}

// intent reads W. One that is damaged owes all that there may be; Check names it.
func (t tx) intent() (w intent, err error) {
	b, err := t.get([]byte(intentKey))
	switch {
	case errors.Is(err, errMissing):
		return w, nil
	case err == nil:
		err = decode(b, &w)
	}
	if err != nil {
		return intent{Owed: true}, nil
	}
	return w, nil
}

func (w *writer) intent(i intent) {
	if len(i.Next) == 0 && !i.Owed {
		w.delete([]byte(intentKey))
		return
	}
	w.set([]byte(intentKey), encode(i))
}

// spaceEntry reads s/<space>, or returns errMissing where the index has no such space.
func (t tx) spaceEntry(space clipsearch.Space) (e spaceEntry, err error) {
	b, err := t.get(spaceKey(spacePrefix, space))
	if err == nil {
		err = decode(b, &e)
	}
	return e, err
}

// metaIn says what answers, which must be the space that ctx names, if it names one.
func (x *Index) metaIn(ctx context.Context) (Meta, error) {
	m := x.meta()
	if pin := clipsearch.SpaceOf(ctx); pin != (clipsearch.Space{}) && pin != m.Space {
		return m, fmt.Errorf("index %s answers with model %s (space %.12s), not in space %.12s: %w", x.dir, m.Model, m.Space, pin, clipsearch.ErrSpace)
	}
	return m, nil
}

// settleMeta makes the store and the files say the same. A change to another space
// is made in the store first; where a crash has cut it off there, the files follow.
func (x *Index) settleMeta() error {
	var kept Meta
	var known bool
	err := x.store.view(func(t tx) error {
		b, err := t.get([]byte(metaKey))
		if err == nil {
			err = decode(b, &kept)
		}
		if err == nil {
			known, err = t.has(spaceKey(spacePrefix, x.meta().Space))
		}
		return err
	})
	m := x.meta()
	kept.Check, kept.Format = m.Check, max(kept.Format, m.Format)
	if CheckLanguage(kept.WordLanguage()) != nil {
		kept.Language = m.Language // it is damaged: Check tells
	}
	switch {
	case errors.Is(err, errMissing):
		return x.found()
	case err != nil || kept == m:
		return nil // Check names it
	case kept.Space != m.Space && !known, kept.Space == m.Space && kept.Dim != m.Dim:
		return fmt.Errorf("index %s: its store holds vectors of model %s (space %.12s), its %s names %s (space %.12s): %w",
			x.dir, kept.Model, kept.Space, metaFile, m.Model, m.Space, clipsearch.ErrInvalid)
	case kept.Format > Format:
		return fmt.Errorf("index %s has format %d and this program knows %d: update clipsearch: %w", x.dir, kept.Format, Format, clipsearch.ErrInvalid)
	}
	x.setMeta(kept)
	_ = writeMeta(x.dir, x.meta()) // where it cannot be written Check names it
	return nil
}

func (x *Index) setMeta(m Meta) {
	m = readBack(m)
	x.current.Store(&m)
}

// found writes into an empty store what the index is.
func (x *Index) found() error {
	m := x.meta()
	err := x.update(func(t tx) error {
		return errors.Join(
			t.set([]byte(metaKey), encode(m)),
			t.set(spaceKey(spacePrefix, m.Space), encode(spaceEntry{Model: m.Model, Dim: m.Dim})))
	})
	if err != nil {
		return fmt.Errorf("make index %s: %w", x.dir, err)
	}
	return nil
}

// upgrade makes an older index one of this format, before anything of the format is
// written: from then on older programs leave it alone. The caller holds x.writing.
func (x *Index) upgrade() error {
	m := x.meta()
	if m.Format >= Format {
		return nil
	}
	m.Format = Format
	err := x.store.update(func(t tx) error { return t.set([]byte(metaKey), encode(m)) })
	if err == nil {
		err = writeMeta(x.dir, m)
	}
	if err != nil {
		return fmt.Errorf("bring index %s to format %d: %w", x.dir, Format, withSpace(err, x.dir))
	}
	x.setMeta(m)
	return nil
}

// Answering returns the space that answers now.
func (x *Index) Answering(ctx context.Context) (clipsearch.Space, error) {
	return x.meta().Space, ctx.Err()
}

// Spaces tells which space answers, what a rollback goes back to, and how far a
// change to another one is.
func (x *Index) Spaces(ctx context.Context) (s clipsearch.Spaces, err error) {
	x.mu.RLock() // no change comes between what is in memory and what the store says
	defer x.mu.RUnlock()
	m := x.meta()
	var list []clipsearch.SpaceStats
	var w intent
	err = x.view(ctx, func(t tx) error {
		n, err := x.counts(t)
		if err != nil {
			return countsError(err)
		}
		s.Images = n.Images
		if w, err = t.intent(); err != nil {
			return err
		}
		list, err = x.spaces(t, n)
		return err
	})
	if err != nil {
		return s, fmt.Errorf("spaces: %w", err)
	}
	s.Owed = w.Owed && x.makes(m)
	s.Answering = clipsearch.SpaceStats{Model: m.Model, Digest: m.Space, Dim: m.Dim, Active: true} // where its entry is damaged
	for _, e := range list {
		switch e.Digest {
		case m.Space:
			s.Answering = e
		case m.Previous:
			s.Previous = e
		}
		if e.Next {
			s.Next = e
		}
	}
	if t := x.trouble.Load(); t != nil {
		s.Trouble = *t
	}
	return s, nil
}

// makes reports whether anybody can make vectors of the space that m says answers: of
// vectors that were brought ready there is no model, and nobody owes any.
func (x *Index) makes(m Meta) bool {
	return x.options.Keeps == nil || x.options.Keeps(clipsearch.SpaceModel{Space: m.Space, Model: m.Model, Dim: m.Dim})
}

// SetTrouble notes for Spaces why whoever makes the vectors cannot; nil: he can.
func (x *Index) SetTrouble(err error) {
	var text string
	if err != nil {
		text = oneLine(err)
	}
	x.trouble.Store(&text)
}

// spaces lists the spaces that the store knows.
func (x *Index) spaces(t tx, n counts) (list []clipsearch.SpaceStats, err error) {
	w, err := t.intent()
	if err != nil {
		return nil, err
	}
	answering := x.meta().Space
	err = t.scan([]byte(spacePrefix), true, func(key, value []byte, err error) error {
		var e spaceEntry
		if err != nil || len(key) != 2+len(answering) || decode(value, &e) != nil {
			return nil // Check names it
		}
		space := clipsearch.Space(key[2:])
		of := n.of(space)
		list = append(list, clipsearch.SpaceStats{
			Model: e.Model, Digest: space, Dim: e.Dim, Images: of.Images, Thumbs: of.Thumbs,
			Active: space == answering, Next: space == w.next(),
		})
		return nil
	})
	return list, err
}

// Lacking returns up to n pictures that lack vectors of space, theirs or those of
// their captions, in the order of their IDs from after on. With improve also
// those whose vectors were made of a thumbnail. Fewer than n are the last ones.
func (x *Index) Lacking(ctx context.Context, space clipsearch.Space, after clipsearch.ID, n int, improve bool) ([]clipsearch.Lack, error) {
	var list []clipsearch.Lack
	err := x.lacking(ctx, space, after, func(id clipsearch.ID, r record) bool {
		s := r.of(space)
		l := clipsearch.Lack{Vectors: s.Vectors == 0, Thumb: improve && s.Thumb, Captions: s.lacksCaptions(r)}
		if l.Vectors || l.Thumb || l.Captions {
			l.Image = r.image(id)
			list = append(list, l)
		}
		return len(list) < n
	})
	if err != nil {
		return nil, fmt.Errorf("look for pictures without vectors of space %.12s: %w", space, err)
	}
	return list, nil
}

// lacks reports whether r has not all vectors of space that it should have.
func (r record) lacks(space clipsearch.Space) bool {
	s := r.of(space)
	return s.Vectors == 0 || s.lacksCaptions(r)
}

func (s stored) lacksCaptions(r record) bool {
	return s.Captions == 0 && len(r.Captions) > 0 && len(r.Captions) <= maxVectors
}

var errStop = errors.New("enough")

// lacking calls each for every record after an ID, until it returns false. What is
// damaged is left out: Check names it.
func (x *Index) lacking(ctx context.Context, space clipsearch.Space, after clipsearch.ID, each func(clipsearch.ID, record) bool) error {
	prefix, start := []byte(recordPrefix), []byte(recordPrefix)
	if after != (clipsearch.ID{}) {
		start = append(idKey(recordPrefix, after), 0)
	}
	err := x.view(ctx, func(t tx) error {
		if _, err := t.spaceEntry(space); err != nil {
			return x.noSpace(space, err)
		}
		return t.scanFrom(prefix, start, true, func(key, value []byte, err error) error {
			id, ok := parseIDKey(key)
			if err != nil || !ok {
				return ctx.Err()
			}
			if r, err := decodeRecord(value); err == nil && !each(id, r) {
				return errStop
			}
			return ctx.Err()
		})
	})
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// noSpace says why the store has no entry of a space.
func (x *Index) noSpace(space clipsearch.Space, err error) error {
	if errors.Is(err, errMissing) {
		return fmt.Errorf("index %s has no space %.12s: %w", x.dir, space, clipsearch.ErrInvalid)
	}
	return fmt.Errorf("space %.12s: %w: run `clipsearch check`", space, err)
}

// sameTexts reports whether a record has these captions.
func sameTexts(have [][]byte, texts []string) bool {
	if len(have) != len(texts) {
		return false
	}
	for i, h := range have {
		if !bytes.Equal(h, []byte(texts[i])) {
			return false
		}
	}
	return true
}

// validDim returns an error unless vectors may have dim numbers.
func validDim(dim int) error {
	if dim < 1 || dim > math.MaxUint16 {
		return fmt.Errorf("vectors of %d numbers: %w", dim, clipsearch.ErrInvalid)
	}
	return nil
}
