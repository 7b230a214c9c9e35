package index

import (
	"context"
	"fmt"
	"slices"

	"github.com/clipsearch/clipsearch"
)

// Import adds pictures that were exported, with their vectors in all of spaces,
// which the index gets to know. It takes nothing away: of a picture that is there,
// files, and vectors, captions, tags, date, camera and thumbnail where it has none,
// are added; a path that the index knows stays where it is, and a new picture all of
// whose paths are others' is left out. So importing twice is importing once. All of
// a batch is stored or nothing, as by Put.
func (x *Index) Import(ctx context.Context, spaces []clipsearch.SpaceModel, batch []clipsearch.Record) (clipsearch.Imported, error) {
	var done clipsearch.Imported
	if err := ctx.Err(); err != nil {
		return done, err
	}
	dims, err := x.learn(spaces)
	if err != nil {
		return done, fmt.Errorf("import: %w", err)
	}
	var size int64
	for _, r := range batch {
		if err := validRecord(r, dims); err != nil {
			return done, fmt.Errorf("import: %w", err)
		}
		size += recordSize(r)
	}
	_, err = x.apply(ctx, clipsearch.Space{}, size, func(p *plan) error {
		if err := p.stillHas(dims); err != nil {
			return err
		}
		p.imported = true
		for _, r := range batch {
			if err := p.merge(r, &done); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return clipsearch.Imported{}, err
	}
	return done, nil
}

// learn writes the spaces that the store does not know, and returns the dimensions
// of all.
func (x *Index) learn(spaces []clipsearch.SpaceModel) (map[clipsearch.Space]int, error) {
	x.writing.Lock()
	defer x.writing.Unlock()
	var dims map[clipsearch.Space]int
	err := x.store.view(func(t tx) (err error) {
		dims, err = t.dims()
		return err
	})
	var fresh []clipsearch.SpaceModel
	for _, s := range spaces {
		dim, known := dims[s.Space]
		switch {
		case err != nil:
		case s.Space == clipsearch.Space{} || s.Dim < 1 || known && dim != s.Dim:
			err = fmt.Errorf("space %.12s of model %s has %d numbers, here it has %d: %w", s.Space, s.Model, s.Dim, dim, clipsearch.ErrInvalid)
		case !known:
			dims[s.Space], fresh = s.Dim, append(fresh, s)
		}
	}
	if err == nil && len(fresh) > 0 {
		err = x.upgrade()
	}
	if err != nil || len(fresh) == 0 {
		return dims, err
	}
	err = x.store.update(func(t tx) error {
		w := writer{t: t}
		for _, s := range fresh {
			w.set(spaceKey(spacePrefix, s.Space), encode(spaceEntry{Model: s.Model, Dim: s.Dim}))
		}
		return w.err
	})
	return dims, withSpace(err, x.dir)
}

// stillHas returns an error unless the store has all of spaces: somebody may have
// dropped one since it was learnt.
func (p *plan) stillHas(spaces map[clipsearch.Space]int) error {
	for space := range spaces {
		if _, err := p.spaceEntry(space); err != nil {
			return fmt.Errorf("import: space %.12s was dropped meanwhile: import again: %w", space, clipsearch.ErrInvalid)
		}
	}
	return nil
}

// validRecord returns an error wrapping [clipsearch.ErrInvalid] unless r is a whole
// picture whose vectors are of the spaces in dims. It may have none: those that it
// had were of a space that was dropped, or were lost, and others are owed. It may have
// no thumbnail, if that was lost: Check tells.
func validRecord(r clipsearch.Record, dims map[clipsearch.Space]int) error {
	for i, s := range r.Vectors {
		dim, known := dims[s.Space]
		twice := slices.ContainsFunc(r.Vectors[:i], func(o clipsearch.SpaceVectors) bool { return o.Space == s.Space })
		switch {
		case !known || twice:
			return fmt.Errorf("picture %s: vectors of space %.12s, which is unknown or there twice: %w", r.ID, s.Space, clipsearch.ErrInvalid)
		case len(s.Captions) > 0 && len(s.Captions) != len(r.Captions):
			return fmt.Errorf("picture %s: %d vectors of %d captions: %w", r.ID, len(s.Captions), len(r.Captions), clipsearch.ErrInvalid)
		case len(s.Vectors) > maxVectors || len(s.Captions) > maxVectors:
			return fmt.Errorf("picture %s: more than %d vectors: %w", r.ID, maxVectors, clipsearch.ErrInvalid)
		}
		for _, v := range slices.Concat(s.Vectors, s.Captions) {
			if len(v) != dim {
				return fmt.Errorf("picture %s: %d numbers, space %.12s has %d: %w", r.ID, len(v), s.Space, dim, clipsearch.ErrInvalid)
			}
			if err := unitLength(v); err != nil {
				return fmt.Errorf("picture %s: a vector of %v: %w", r.ID, err, clipsearch.ErrInvalid)
			}
		}
	}
	if r.ID == (clipsearch.ID{}) || len(r.Thumb) > maxThumb {
		return fmt.Errorf("picture %s has a thumbnail of %d bytes: %w", r.ID, len(r.Thumb), clipsearch.ErrInvalid)
	}
	return nil
}

func recordSize(r clipsearch.Record) int64 {
	n := len(r.Thumb) + 1024
	for _, s := range r.Vectors {
		for _, v := range slices.Concat(s.Vectors, s.Captions) {
			n += 4 * len(v)
		}
	}
	return int64(n)
}

// merge adds r to the plan, and counts it.
func (p *plan) merge(r clipsearch.Record, done *clipsearch.Imported) error {
	_, planned := p.changes[r.ID]
	c, err := p.change(r.ID)
	if err != nil {
		return err
	}
	fresh := c.old == nil && !planned
	files, err := p.unknown(r.Files)
	if err != nil {
		return err
	}
	switch {
	case fresh && len(files) == 0 && len(r.Files) > 0:
		done.Skipped++
		p.abandon(c)
		return nil
	case fresh:
		done.Stored++
		c.rec = newRecord(r.Image)
		c.rec.Files = nil
		c.searched, c.thumb = true, r.Thumb
	default:
		done.Known++
	}
	filled, err := p.fill(c, r)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := p.move(c, f); err != nil {
			return err
		}
	}
	if !fresh && !planned && !filled && len(files) == 0 {
		p.abandon(c)
	}
	return nil
}

// abandon takes the last change out of the plan.
func (p *plan) abandon(c *change) {
	delete(p.changes, c.id)
	p.order = slices.DeleteFunc(p.order, func(o *change) bool { return o == c })
}

// unknown returns those of files whose paths nobody has.
func (p *plan) unknown(files []clipsearch.File) (list []clipsearch.File, err error) {
	for _, f := range files {
		_, known, err := p.at(f.Path)
		if err != nil {
			return nil, err
		}
		if !known {
			list = append(list, f)
		}
	}
	return list, nil
}

// fill gives c what r has and c has not, and reports whether there was anything.
func (p *plan) fill(c *change, r clipsearch.Record) (filled bool, err error) {
	from := newRecord(r.Image)
	if len(c.rec.Captions) == 0 && len(from.Captions) > 0 {
		c.rec.Captions, c.searched, filled = from.Captions, true, true
	}
	if len(c.rec.Tags) == 0 && len(from.Tags) > 0 {
		c.rec.Tags, c.searched, filled = from.Tags, true, true
	}
	if len(c.rec.Camera) == 0 && len(from.Camera) > 0 {
		c.rec.Camera, filled = from.Camera, true
	}
	if len(c.rec.TakenAt) == 0 && len(from.TakenAt) > 0 {
		c.rec.TakenAt, filled = from.TakenAt, true
	}
	sameCaptions := slices.EqualFunc(c.rec.Captions, from.Captions, func(a, b []byte) bool { return string(a) == string(b) })
	for _, s := range r.Vectors {
		filled = c.takeVectors(p.space, s, sameCaptions) || filled
	}
	if len(c.thumb) == 0 {
		err = p.keepThumb(c, r.Thumb)
		filled = filled || len(c.thumb) > 0
	}
	return filled, err
}

// takeVectors takes those of s that c's record has none of, or only a thumbnail's.
func (c *change) takeVectors(answering clipsearch.Space, s clipsearch.SpaceVectors, sameCaptions bool) bool {
	have := c.rec.of(s.Space)
	if len(s.Vectors) == 0 || have.Vectors > 0 && (s.Thumb || !have.Thumb) {
		s.Vectors = nil
	}
	if have.Captions > 0 || !sameCaptions {
		s.Captions = nil
	}
	if len(s.Vectors)+len(s.Captions) == 0 {
		return false
	}
	renewed := have.Vectors > 0
	if len(s.Vectors) > 0 {
		have.Vectors, have.Thumb = len(s.Vectors), s.Thumb
	}
	have.Captions = max(have.Captions, len(s.Captions))
	c.rec.setStored(have)
	if s.Space != answering {
		c.takeOther(s)
		return true
	}
	if len(s.Vectors) > 0 {
		c.vectors, c.renewed = s.Vectors, renewed
	}
	if len(s.Captions) > 0 {
		c.captions = s.Captions
	}
	return true
}

// takeOther takes vectors of a space that does not answer, in the place of those
// that the same batch brought before.
func (c *change) takeOther(s clipsearch.SpaceVectors) {
	for i := range c.others {
		o := &c.others[i]
		if o.Space != s.Space {
			continue
		}
		if len(s.Vectors) > 0 {
			o.Vectors = s.Vectors
		}
		if len(s.Captions) > 0 {
			o.Captions = s.Captions
		}
		return
	}
	c.others = append(c.others, s)
}
