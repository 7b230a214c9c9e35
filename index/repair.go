package index

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/clipsearch/clipsearch"
)

// repair is what is to be put right in the store.
type repair struct {
	drop     [][]byte               // keys
	out      map[clipsearch.ID]bool // pictures to take out
	paths    map[clipsearch.ID]bool // whose path entries are to be written again
	captions map[clipsearch.ID]bool // whose captions' vectors are to be dropped
	counts   bool
	strip    map[clipsearch.ID]map[clipsearch.Space]bool // pictures, and spaces whose vectors they are to lose
	spaces   map[clipsearch.Space]spaceEntry             // to be written again
	owed     bool                                        // vectors of the space that answers
	space    bool                                        // s/ of the space that answers, and M
	derived  map[clipsearch.Space]bool                   // whose codes are to be made again
	meta     bool                                        // the files
}

// plan is what all that was found wrong needs; nil if nothing.
func (c *check) plan() *repair {
	if len(c.repairs) == 0 {
		return nil
	}
	r := &repair{
		out: map[clipsearch.ID]bool{}, paths: map[clipsearch.ID]bool{}, captions: map[clipsearch.ID]bool{},
		strip: map[clipsearch.ID]map[clipsearch.Space]bool{}, spaces: map[clipsearch.Space]spaceEntry{}, derived: map[clipsearch.Space]bool{},
	}
	for _, fix := range c.repairs {
		fix(r)
	}
	return r
}

// repairStore puts the store right. The caller holds x.writing.
func (c *check) repairStore() error {
	r := c.plan()
	if r == nil {
		return nil
	}
	if r.meta {
		if err := writeMeta(c.x.dir, c.x.meta()); err != nil {
			return err
		}
	}
	if len(r.out)+len(r.strip)+len(r.drop) > 0 { // vectors go, and no journal says so
		for space := range c.x.journal.spaces {
			r.derived[space] = true
		}
	}
	for space := range r.derived {
		if err := c.x.forgetDerived(space); err != nil {
			return fmt.Errorf("repair: %w", err)
		}
	}
	steps := c.steps(r)
	const many = 500 // of them fit a transaction
	for len(steps) > 0 {
		n := min(many, len(steps))
		err := c.x.store.update(func(t tx) error {
			w := writer{t: t}
			for _, step := range steps[:n] {
				step(&w)
			}
			return w.err
		})
		if err != nil {
			return fmt.Errorf("repair: %w", err)
		}
		steps = steps[n:]
	}
	c.x.text.changed(slices.Collect(maps.Keys(r.out))) // not before they are gone: they would be written once more
	c.x.unload()
	return c.recount()
}

// steps are the writes of r.
func (c *check) steps(r *repair) (steps []func(*writer)) {
	add := func(step func(*writer)) { steps = append(steps, step) }
	for _, key := range r.drop {
		add(func(w *writer) { w.delete(key) })
	}
	for id, spaces := range r.strip {
		if !r.out[id] {
			add(func(w *writer) { c.strip(w, id, spaces) })
		}
	}
	for space, e := range r.spaces {
		add(func(w *writer) { w.set(spaceKey(spacePrefix, space), encode(e)) })
	}
	if r.owed {
		add(func(w *writer) { w.intent(intent{Next: c.intent.Next, Owed: true}) })
	}
	for id := range r.captions {
		if !r.out[id] {
			add(func(w *writer) { c.dropCaptions(w, id) })
		}
	}
	for id := range r.paths {
		if !r.out[id] {
			add(func(w *writer) { c.writePaths(w, id) })
		}
	}
	for id := range r.out {
		for _, part := range c.takeOut(id) {
			add(part)
		}
	}
	if r.space {
		add(func(w *writer) {
			m := c.x.meta()
			w.set([]byte(metaKey), encode(m))
			w.set(spaceKey(spacePrefix, m.Space), encode(spaceEntry{Model: m.Model, Dim: m.Dim}))
		})
	}
	return steps
}

func (c *check) writePaths(w *writer, id clipsearch.ID) {
	for _, f := range c.pictures[id].rec.Files {
		w.set(pathKey(string(f.Path)), pathEntry{ID: id[:], File: f}.encode())
	}
}

func (c *check) dropCaptions(w *writer, id clipsearch.ID) {
	p := c.pictures[id]
	for i, s := range p.rec.Stored {
		w.dropVectors(captionPrefix, s.Space, id, 0, s.Captions)
		p.rec.Stored[i].Captions = 0
	}
	w.set(idKey(recordPrefix, id), p.rec.encode())
}

// takeOut removes all that there is of a picture, found by its keys: its record
// may not tell.
func (c *check) takeOut(id clipsearch.ID) (steps []func(*writer)) {
	var keys [][]byte
	_ = c.x.store.view(func(t tx) error {
		for space := range c.spaces {
			for _, prefix := range []string{vectorPrefix, captionPrefix} {
				found, err := t.keys(vectorsKey(prefix, space, id))
				keys = append(keys, found...)
				if err != nil {
					return err
				}
			}
		}
		if !c.pictures[id].lost {
			for _, f := range c.pictures[id].rec.Files {
				keys = append(keys, pathKey(string(f.Path)))
			}
			return nil
		}
		return t.scan([]byte(pathPrefix), true, func(key, value []byte, err error) error {
			if of, _, derr := decodePath(value); err == nil && derr == nil && of == id {
				keys = append(keys, append([]byte(nil), key...))
			}
			return nil
		})
	})
	steps = append(steps, func(w *writer) {
		w.delete(idKey(recordPrefix, id))
		w.delete(idKey(thumbPrefix, id))
		w.set(idKey(dirtyPrefix, id), nil)
	})
	for _, key := range keys {
		steps = append(steps, func(w *writer) { w.delete(key) })
	}
	return steps
}

// recount writes n anew.
func (c *check) recount() error {
	var n counts
	err := c.x.store.view(func(t tx) error {
		return t.scan([]byte(recordPrefix), true, func(_, value []byte, err error) error {
			if r, derr := decodeRecord(value); err == nil && derr == nil {
				n.add(&r, 1)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return c.x.store.update(func(t tx) error { return t.set([]byte(countsKey), encode(n)) })
}

// unload forgets what is in memory: the store has changed under it.
func (x *Index) unload() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.replace(newMemory())
	x.short.Store(nil) // who loads anew looks again
}

// replace has searches work on something else. The caller holds x.mu.
func (x *Index) replace(mem *memory) {
	for _, old := range []*near{x.mem.vectors, x.mem.captionVectors()} {
		if old != nil {
			old.stop()
		}
	}
	x.mem = mem
	x.publish()
	x.tender.wake()
}

func (m *memory) captionVectors() *near {
	if m.captions == nil {
		return nil
	}
	return m.captions.vectors
}

// repairRest puts right what is not in the store.
func (c *check) repairRest(ctx context.Context) error {
	var errs []error
	for _, dir := range c.strange {
		errs = append(errs, os.RemoveAll(dir))
	}
	if c.remodel {
		if err := saveModel(c.x.dir, c.x.meta().Space, c.x.options); err != nil {
			errs = append(errs, withSpace(err, c.x.dir))
		}
	}
	if c.retext {
		errs = append(errs, c.x.text.renew(ctx))
	}
	return errors.Join(errs...)
}
