package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/clipsearch/clipsearch"
)

// memory is what is loaded when the first search asks for it, and kept up to date by
// every write from then on. Guarded by Index.mu; searches go by [answering].
type memory struct {
	*pictures
	vectors  *near     // of the space that answers; nil until loaded
	captions *captions // nil until loaded
}

// pictures numbers the pictures in memory. A number is one picture's for good: it is
// given to no other, in this memory or in those of other spaces that take its place.
// So what was found by numbers stays true of the pictures that it was found of.
type pictures struct {
	ids     []clipsearch.ID // of each doc, also of those that are gone
	docs    map[clipsearch.ID]doc
	columns *columns // of all pictures, whichever space answers; nil until a filter asks

	names atomic.Pointer[[]clipsearch.ID] // ids, for whoever does not hold the lock
}

func newMemory() *memory {
	return &memory{pictures: &pictures{docs: map[clipsearch.ID]doc{}}}
}

// doc returns the number of id, the next one if it has none.
func (p *pictures) doc(id clipsearch.ID) doc {
	d, ok := p.docs[id]
	if !ok {
		d = doc(len(p.ids))
		p.ids = append(p.ids, id) // whoever reads names does not see it
		names := p.ids
		p.names.Store(&names)
		p.docs[id] = d
	}
	return d
}

// drop forgets id.
func (m *memory) drop(id clipsearch.ID) {
	d, ok := m.docs[id]
	if !ok {
		return
	}
	m.vectors.Remove(d)
	delete(m.docs, id)
	if m.columns != nil {
		m.columns.drop(d)
	}
}

// name returns whose number d is. It needs no lock.
func (p *pictures) name(d doc) clipsearch.ID { return (*p.names.Load())[d] }

func (p *pictures) less(a, b doc) bool {
	i, j := p.name(a), p.name(b)
	return bytes.Compare(i[:], j[:]) < 0
}

// addition is vectors that come to a picture.
type addition struct {
	doc     doc
	vectors []clipsearch.Vector
}

// remember brings what is in memory to where the store is; space is that of the
// vectors in part. The caller holds x.writing. Vectors of pictures that had none
// are added without x.mu, so that searches do not wait for their codes.
func (x *Index) remember(space clipsearch.Space, part []*change) {
	near, adds, err := x.rememberPart(space, part)
	for _, a := range adds {
		err = errors.Join(err, near.addAll(a))
	}
	if err != nil {
		x.unload() // memory has run out: the next search tries once more, and tells
	}
	x.tender.wake()
}

// rememberPart is what of remember is done under x.mu. It returns what is still to be
// added, and to what.
func (x *Index) rememberPart(space clipsearch.Space, part []*change) (near *near, adds []addition, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var words []clipsearch.ID
	near = x.mem.vectors
	for _, c := range part {
		if space != x.meta().Space { // what is in memory are others
			c.vectors, c.captions, c.renewed = nil, nil, false
		}
		if c.searched || c.gone() {
			words = append(words, c.id)
		}
		err = errors.Join(err, x.rememberCaptions(c))
		switch {
		case near == nil:
		case c.gone():
			x.mem.drop(c.id)
		default:
			a := x.rememberPicture(c)
			if c.renewed {
				err = errors.Join(err, near.replace(a))
			} else {
				adds = append(adds, a)
			}
		}
	}
	x.text.changed(words)
	return near, adds, err
}

func (n *near) addAll(a addition) error {
	for _, v := range a.vectors {
		if err := n.Add(a.doc, v); err != nil {
			return err
		}
	}
	return nil
}

// replace gives a doc these vectors in place of those it has, of which searches find
// the one or the other.
func (n *near) replace(a addition) error {
	list := make([][]float32, len(a.vectors))
	for i, v := range a.vectors {
		list[i] = v
	}
	return n.Replace(uint32(a.doc), list)
}

// rememberPicture returns the vectors that are still to be added.
func (x *Index) rememberPicture(c *change) (a addition) {
	if _, known := x.mem.docs[c.id]; !known && len(c.vectors) == 0 && x.mem.columns == nil {
		return a // it has vectors of other spaces alone
	}
	a = addition{x.mem.doc(c.id), c.vectors}
	if x.mem.columns != nil {
		x.mem.columns.set(a.doc, c.rec.image(c.id))
	}
	return a
}

// load reads the vectors of the space that answers, and the records if a filter
// needs them. What is in memory answers meanwhile; writers wait.
func (x *Index) load(ctx context.Context, records bool) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	x.mu.RLock()
	m := x.mem // nobody changes it but writers
	x.mu.RUnlock()
	number := func(id clipsearch.ID) doc { return x.number(m.pictures, id) }
	if m.vectors == nil {
		vectors, err := x.loadNear(ctx, x.meta(), m.pictures, number)
		if err != nil {
			return fmt.Errorf("load vectors: %w", err)
		}
		if err := x.inspect(ctx, x.meta(), vectors); err != nil {
			return err
		}
		x.mu.Lock()
		m.vectors = vectors
		x.publish()
		x.mu.Unlock()
		x.tender.wake()
	}
	if records && m.columns == nil {
		columns, err := x.loadColumns(ctx, number)
		if err != nil {
			return fmt.Errorf("load records: %w", err)
		}
		x.mu.Lock()
		m.columns = columns
		x.publish()
		x.mu.Unlock()
	}
	return nil
}

// number is p's doc of id, for whoever does not hold x.mu.
func (x *Index) number(p *pictures, id clipsearch.ID) doc {
	x.mu.RLock()
	d, ok := p.docs[id]
	x.mu.RUnlock()
	if ok {
		return d
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return p.doc(id)
}

// loadColumns reads the records of all pictures, also of those without vectors of
// the space that answers. It leaves out what is damaged: no filter admits it.
func (x *Index) loadColumns(ctx context.Context, number func(clipsearch.ID) doc) (*columns, error) {
	columns := &columns{}
	err := x.view(ctx, func(t tx) error {
		return t.scan([]byte(recordPrefix), true, func(key, value []byte, err error) error {
			id, ok := parseIDKey(key)
			if err == nil && ok {
				if r, err := decodeRecord(value); err == nil {
					columns.set(number(id), r.image(id))
				}
			}
			return ctx.Err()
		})
	})
	return columns, err
}
