package index

import (
	"bytes"
	"context"
	"fmt"

	"github.com/clipsearch/clipsearch"
)

// memory is what searches work on: loaded when the first asks for it, and kept up
// to date by every write from then on. Guarded by Index.mu.
type memory struct {
	ids      []clipsearch.ID // of each doc
	docs     map[clipsearch.ID]doc
	free     []doc     // not in use
	vectors  *flat     // nil until loaded
	columns  *columns  // nil until a filter asks
	captions *captions // nil until loaded
}

// doc returns the number of id, a new one if it has none.
func (m *memory) doc(id clipsearch.ID) doc {
	if d, ok := m.docs[id]; ok {
		return d
	}
	d := doc(len(m.ids))
	if n := len(m.free); n > 0 {
		d, m.free = m.free[n-1], m.free[:n-1]
		m.ids[d] = id
	} else {
		m.ids = append(m.ids, id)
	}
	m.docs[id] = d
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
	m.free = append(m.free, d)
	if m.columns != nil {
		m.columns.drop(d)
	}
}

func (m *memory) less(a, b doc) bool { return bytes.Compare(m.ids[a][:], m.ids[b][:]) < 0 }

// remember brings what is in memory to where the store is; space is that of the
// vectors in part. The caller holds x.writing.
func (x *Index) remember(space clipsearch.Space, part []*change) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var words []clipsearch.ID
	for _, c := range part {
		if space != x.meta().Space { // what is in memory are others
			c.vectors, c.captions, c.renewed = nil, nil, false
		}
		if c.searched || c.gone() {
			words = append(words, c.id)
		}
		x.rememberCaptions(c)
		switch {
		case x.mem.vectors == nil:
		case c.gone():
			x.mem.drop(c.id)
		default:
			x.rememberPicture(c)
		}
	}
	x.text.changed(words)
}

func (x *Index) rememberPicture(c *change) {
	if _, known := x.mem.docs[c.id]; !known && len(c.vectors) == 0 && x.mem.columns == nil {
		return // it has vectors of other spaces alone
	}
	d := x.mem.doc(c.id)
	if c.renewed {
		x.mem.vectors.Remove(d)
	}
	for _, v := range c.vectors {
		x.mem.vectors.Add(d, v)
	}
	if x.mem.columns != nil {
		x.mem.columns.set(d, c.rec.image(c.id))
	}
}

// withVectors runs fn while the vectors, and what f asks of the pictures, are in
// memory and nobody changes them.
func (x *Index) withVectors(ctx context.Context, f clipsearch.Filter, fn func(*memory)) error {
	var prepared *columns
	x.mu.RLock()
	defer x.mu.RUnlock()
	for {
		m := x.mem
		loaded := m.vectors != nil && (len(f) == 0 || m.columns != nil)
		if loaded && (len(f) == 0 || m.columns == prepared) {
			_, err := x.metaIn(ctx)
			if err == nil {
				fn(m)
			}
			return err
		}
		x.mu.RUnlock()
		var err error
		if loaded { // without the lock, for it may take a while
			prepared = m.columns
			prepared.prepare(f)
		} else {
			err = x.load(ctx, len(f) > 0)
		}
		x.mu.RLock()
		if err != nil {
			return err
		}
	}
}

// load reads the vectors of the space that answers, and the records if a filter
// needs them.
func (x *Index) load(ctx context.Context, records bool) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.mem.vectors == nil {
		m, err := x.loadVectors(ctx, x.meta())
		if err != nil {
			return fmt.Errorf("load vectors: %w", err)
		}
		m.captions = x.mem.captions
		x.mem = m
	}
	if records && x.mem.columns == nil {
		if err := x.loadColumns(ctx, x.mem); err != nil {
			return fmt.Errorf("load records: %w", err)
		}
	}
	return nil
}

// loadVectors reads the vectors of the space that meta names. It leaves out what is
// damaged: Check names it.
func (x *Index) loadVectors(ctx context.Context, meta Meta) (*memory, error) {
	m := &memory{docs: map[clipsearch.ID]doc{}}
	m.vectors = &flat{Less: m.less}
	v := make(clipsearch.Vector, meta.Dim)
	err := x.view(ctx, func(t tx) error {
		return t.scan(spaceKey(vectorPrefix, meta.Space), true, func(key, value []byte, err error) error {
			_, id, _, ok := parseVectorKey(key)
			if err != nil || !ok || decodeVector(v, value) != nil || unitLength(v) != nil {
				return ctx.Err()
			}
			m.vectors.Add(m.doc(id), v)
			return ctx.Err()
		})
	})
	return m, err
}

// loadColumns reads the records of all pictures, also of those without vectors of
// the space that answers. It leaves out what is damaged: no filter admits it.
func (x *Index) loadColumns(ctx context.Context, mem *memory) error {
	columns := &columns{}
	err := x.view(ctx, func(t tx) error {
		return t.scan([]byte(recordPrefix), true, func(key, value []byte, err error) error {
			id, ok := parseIDKey(key)
			if err == nil && ok {
				if r, err := decodeRecord(value); err == nil {
					columns.set(mem.doc(id), r.image(id))
				}
			}
			return ctx.Err()
		})
	})
	if err == nil {
		mem.columns = columns
	}
	return err
}

// Nearest returns the k pictures nearest to v among those that f admits, exactly,
// best first. Of several vectors of a picture the best counts.
func (x *Index) Nearest(ctx context.Context, v clipsearch.Vector, k int, f clipsearch.Filter) ([]clipsearch.Hit, error) {
	ctx, err := x.validQuery(ctx, v, k)
	if err != nil {
		return nil, fmt.Errorf("nearest: %w", err)
	}
	var hits []clipsearch.Hit
	err = x.withVectors(ctx, f, func(m *memory) {
		for _, nb := range m.vectors.Search(v, k, in(m.admitted(f))) {
			hits = append(hits, clipsearch.Hit{ID: m.ids[nb.doc], Score: nb.score})
		}
	})
	return hits, err
}

// validQuery returns an error wrapping [clipsearch.ErrInvalid] unless the k nearest
// to v can be asked for. The context that it returns names the space that v was
// proven for.
func (x *Index) validQuery(ctx context.Context, v clipsearch.Vector, k int) (context.Context, error) {
	if k < 1 {
		return ctx, fmt.Errorf("%d hits asked for: %w", k, clipsearch.ErrInvalid)
	}
	m, err := x.metaIn(ctx)
	if err == nil {
		err = validVector(v, m.Dim)
	}
	return clipsearch.InSpace(ctx, m.Space), err
}
