package index

import (
	"errors"
	"fmt"
	"slices"

	"github.com/clipsearch/clipsearch"
)

// change is what becomes of one picture.
type change struct {
	id       clipsearch.ID
	old      *record // nil: not known until now
	rec      record  // as it will be
	vectors  []clipsearch.Vector
	captions []clipsearch.Vector
	others   []clipsearch.SpaceVectors // that are new, of other spaces
	thumb    []byte
	renewed  bool // vectors take the place of others
	searched bool // its words change
	lost     bool // a path; without any it goes
	removed  bool // whatever it has
	linked   bool // to another picture, by a path that moves
}

func (c *change) gone() bool { return c.removed || c.lost && len(c.rec.Files) == 0 }

// plan works out what a batch changes, before any of it is written: what one entry
// takes away another may give back.
type plan struct {
	tx
	space   clipsearch.Space
	changes map[clipsearch.ID]*change
	order   []*change
	owner   map[string]clipsearch.ID // who has a path at the end of the batch

	imported bool // vectors come in other spaces too
}

func newPlan(t tx, space clipsearch.Space) *plan {
	return &plan{tx: t, space: space, changes: map[clipsearch.ID]*change{}, owner: map[string]clipsearch.ID{}}
}

// change returns what becomes of id so far.
func (p *plan) change(id clipsearch.ID) (*change, error) {
	if c, ok := p.changes[id]; ok {
		return c, nil
	}
	c := &change{id: id}
	r, err := p.record(id)
	switch {
	case err == nil:
		old := r
		c.old = &old
		c.rec = r
		c.rec.Files, c.rec.Stored = slices.Clone(r.Files), slices.Clone(r.Stored)
	case !errors.Is(err, errMissing):
		return nil, pictureError(id, "record", err)
	}
	p.changes[id] = c
	p.order = append(p.order, c)
	return c, nil
}

// put adds an entry.
func (p *plan) put(e clipsearch.Entry) error {
	c, err := p.change(e.ID)
	if err != nil {
		return err
	}
	if c.old == nil && len(c.rec.Stored) == 0 {
		c.rec = newRecord(e.Image)
		c.rec.Files = nil
		c.searched = true
	} else {
		p.describe(c, e)
	}
	if have := c.rec.of(p.space); len(e.Vectors) > 0 && (have.Vectors == 0 || have.Thumb) {
		c.vectors, c.renewed = e.Vectors, have.Thumb
		have.Vectors, have.Thumb = len(e.Vectors), false
		c.rec.setStored(have)
	}
	if len(c.thumb) == 0 && len(e.Thumb) > 0 {
		if err := p.keepThumb(c, e.Thumb); err != nil {
			return err
		}
	}
	if e.CaptionVectors != nil {
		c.captions = e.CaptionVectors
		have := c.rec.of(p.space)
		have.Captions = len(e.CaptionVectors)
		c.rec.setStored(have)
	}
	for _, f := range e.Files {
		if err := p.move(c, f); err != nil {
			return err
		}
	}
	return nil
}

// describe replaces captions and tags of a known picture.
func (p *plan) describe(c *change, e clipsearch.Entry) {
	if e.Captions != nil {
		c.rec.Captions, c.searched, c.captions = byteStrings(e.Captions), true, nil
		for i := range c.rec.Stored {
			c.rec.Stored[i].Captions = 0 // they are vectors of other words
		}
	}
	if e.Tags != nil {
		c.rec.Tags, c.searched = byteStrings(e.Tags), true
	}
}

// keepThumb takes a thumbnail unless the store has one.
func (p *plan) keepThumb(c *change, jpeg []byte) error {
	if c.old != nil {
		known, err := p.has(idKey(thumbPrefix, c.id))
		if err != nil || known {
			return err
		}
	}
	c.thumb = jpeg
	return nil
}

// move gives f's path to c's picture and takes it from the one that had it.
func (p *plan) move(c *change, f clipsearch.File) error {
	id, known, err := p.at(f.Path)
	if err != nil {
		return err
	}
	if known && id != c.id {
		from, err := p.change(id)
		if err != nil {
			return err
		}
		if from.rec.dropFile(f.Path) {
			from.lost, from.searched = true, true
		}
		from.linked, c.linked = true, true
	}
	c.rec.addFile(f)
	c.searched = true
	p.owner[f.Path] = c.id
	return nil
}

// forget takes away a path.
func (p *plan) forget(path string) error {
	id, known, err := p.at(path)
	if err != nil || !known {
		return err
	}
	c, err := p.change(id)
	if err != nil {
		return err
	}
	c.rec.dropFile(path)
	c.lost, c.searched = true, true
	delete(p.owner, path)
	return nil
}

// at returns the picture at path so far.
func (p *plan) at(path string) (id clipsearch.ID, known bool, err error) {
	if id, ok := p.owner[path]; ok {
		return id, true, nil
	}
	b, err := p.get(pathKey(path))
	if errors.Is(err, errMissing) {
		return id, false, nil
	}
	if err == nil {
		id, _, err = decodePath(b)
	}
	if err != nil {
		return id, false, fmt.Errorf("look up path %q: %w", path, err)
	}
	return id, true, nil
}

// complete returns an error wrapping [clipsearch.ErrInvalid] if the batch leaves a
// picture without what every picture has.
func (p *plan) complete() error {
	for _, c := range p.order {
		if c.old != nil {
			continue
		}
		if len(c.vectors) == 0 || len(c.thumb) == 0 {
			return fmt.Errorf("picture %s is new and has %d vectors and a thumbnail of %d bytes: %w", c.id, len(c.vectors), len(c.thumb), clipsearch.ErrInvalid)
		}
	}
	return nil
}

// parts cuts the plan into transactions of at most limit bytes beside the
// thumbnails, and maxThumbs bytes of those. Pictures between which a path moves
// come first, so that they are together.
func (p *plan) parts(limit int64) (parts [][]*change) {
	slices.SortStableFunc(p.order, func(a, b *change) int {
		switch {
		case a.linked == b.linked:
			return 0
		case a.linked:
			return -1
		}
		return 1
	})
	var size, thumbs int64
	for _, c := range p.order {
		s := c.size()
		if len(parts) == 0 || size+s > limit || thumbs+int64(len(c.thumb)) > maxThumbs {
			parts, size, thumbs = append(parts, nil), 0, 0
		}
		size, thumbs = size+s, thumbs+int64(len(c.thumb))
		parts[len(parts)-1] = append(parts[len(parts)-1], c)
	}
	return parts
}

// size is about what c takes in a transaction, its thumbnail aside.
func (c *change) size() int64 {
	const perKey = 128 // the key, and what Badger counts for an entry
	n := int64(4*perKey + 512)
	for _, f := range c.rec.Files {
		n += int64(2*len(f.Path)) + perKey
	}
	for _, t := range c.rec.Captions {
		n += int64(len(t))
	}
	if c.old != nil {
		n += int64(len(c.old.Files) * perKey)
		for _, s := range c.old.Stored {
			n += int64(s.Vectors+s.Captions) * perKey
		}
	}
	for _, v := range c.vectors {
		n += int64(4*len(v)) + perKey
	}
	for _, v := range c.captions {
		n += int64(4*len(v)) + perKey
	}
	for _, s := range c.others {
		for _, v := range slices.Concat(s.Vectors, s.Captions) {
			n += int64(4*len(v)) + perKey
		}
	}
	return n
}

// write writes c. owner is the plan's.
func (c *change) write(t tx, space clipsearch.Space, owner map[string]clipsearch.ID) error {
	w := writer{t: t}
	if c.searched || c.gone() {
		w.set(idKey(dirtyPrefix, c.id), nil)
	}
	c.writePaths(&w, owner)
	if c.gone() {
		if c.old != nil {
			w.remove(c.id, *c.old)
		}
		return w.err
	}
	w.set(idKey(recordPrefix, c.id), c.rec.encode())
	if c.old != nil {
		for _, s := range c.old.Stored {
			now := c.rec.of(clipsearch.Space(s.Space))
			w.dropVectors(vectorPrefix, s.Space, c.id, now.Vectors, s.Vectors)
			w.dropVectors(captionPrefix, s.Space, c.id, now.Captions, s.Captions)
		}
	}
	for n, v := range c.vectors {
		w.set(vectorKey(vectorPrefix, space, c.id, n), encodeVector(v))
	}
	for n, v := range c.captions {
		w.set(vectorKey(captionPrefix, space, c.id, n), encodeVector(v))
	}
	for _, s := range c.others {
		for n, v := range s.Vectors {
			w.set(vectorKey(vectorPrefix, s.Space, c.id, n), encodeVector(v))
		}
		for n, v := range s.Captions {
			w.set(vectorKey(captionPrefix, s.Space, c.id, n), encodeVector(v))
		}
	}
	if len(c.thumb) > 0 {
		w.set(idKey(thumbPrefix, c.id), c.thumb)
	}
	return w.err
}

// writePaths writes where c's picture lies, and where it does not any more.
func (c *change) writePaths(w *writer, owner map[string]clipsearch.ID) {
	if c.old != nil {
		for _, f := range c.old.Files {
			if _, kept := owner[string(f.Path)]; !kept && (c.gone() || !c.rec.hasFile(f)) {
				w.delete(pathKey(string(f.Path)))
			}
		}
	}
	if c.gone() {
		return
	}
	for _, f := range c.rec.Files {
		if owner[string(f.Path)] == c.id {
			w.set(pathKey(string(f.Path)), pathEntry{ID: c.id[:], File: f}.encode())
		}
	}
}

func (r *record) hasFile(f file) bool {
	return slices.ContainsFunc(r.Files, func(g file) bool { return string(f.Path) == string(g.Path) })
}

// writer writes until an error.
type writer struct {
	t   tx
	err error
}

func (w *writer) set(key, value []byte) {
	if w.err == nil {
		w.err = w.t.set(key, value)
	}
}

func (w *writer) delete(key []byte) {
	if w.err == nil {
		w.err = w.t.delete(key)
	}
}

// remove deletes all that the store has of a picture, its paths aside.
func (w *writer) remove(id clipsearch.ID, r record) {
	w.delete(idKey(recordPrefix, id))
	w.delete(idKey(thumbPrefix, id))
	for _, s := range r.Stored {
		w.dropVectors(vectorPrefix, s.Space, id, 0, s.Vectors)
		w.dropVectors(captionPrefix, s.Space, id, 0, s.Captions)
	}
}

// dropVectors deletes the vectors from number from up to number to.
func (w *writer) dropVectors(prefix string, space []byte, id clipsearch.ID, from, to int) {
	for n := from; n < to; n++ {
		w.delete(vectorKey(prefix, clipsearch.Space(space), id, n))
	}
}
