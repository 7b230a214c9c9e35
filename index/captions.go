package index

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index/ann"
)

// captions are the distinct texts that have vectors.
type captions struct {
	texts   []string
	docs    map[string]doc
	uses    []int // of each text: how many pictures have it
	free    []doc
	vectors *near
}

// doc returns the number of a text, and whether it is new.
func (c *captions) doc(text string) (d doc, fresh bool) {
	if d, ok := c.docs[text]; ok {
		c.uses[d]++
		return d, false
	}
	d = doc(len(c.texts))
	if n := len(c.free); n > 0 {
		d, c.free = c.free[n-1], c.free[:n-1]
		c.texts[d], c.uses[d] = text, 1
	} else {
		c.texts, c.uses = append(c.texts, text), append(c.uses, 1)
	}
	c.docs[text] = d
	return d, true
}

func (c *captions) drop(text string) {
	d, ok := c.docs[text]
	if !ok {
		return
	}
	if c.uses[d]--; c.uses[d] > 0 {
		return
	}
	c.vectors.Remove(d)
	delete(c.docs, text)
	c.texts[d] = ""
	c.free = append(c.free, d)
}

// rememberCaptions keeps the texts in memory up to date. The caller holds x.mu.
func (x *Index) rememberCaptions(ch *change) error {
	c := x.mem.captions
	if c == nil {
		return nil
	}
	space := x.meta().Space
	had := ch.old != nil && ch.old.of(space).Captions > 0
	keeps := !ch.gone() && ch.captions == nil && ch.rec.of(space).Captions > 0
	if had && !keeps {
		for _, t := range ch.old.Captions {
			c.drop(string(t))
		}
	}
	if ch.gone() {
		return nil
	}
	for n, v := range ch.captions {
		if d, fresh := c.doc(string(ch.rec.Captions[n])); fresh {
			if err := c.vectors.Add(d, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// NearestCaptions returns the k captions in the index that are nearest to v, best
// first, each text once. Only captions that were stored with vectors are looked at.
func (x *Index) NearestCaptions(ctx context.Context, v clipsearch.Vector, k int) ([]clipsearch.TextHit, error) {
	ctx, err := x.validQuery(ctx, v, k)
	if err != nil {
		return nil, fmt.Errorf("nearest captions: %w", err)
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	for x.mem.captions == nil {
		x.mu.RUnlock()
		err := x.loadCaptions(ctx)
		x.mu.RLock()
		if err != nil {
			return nil, fmt.Errorf("load captions: %w", err)
		}
	}
	if _, err := x.metaIn(ctx); err != nil {
		return nil, fmt.Errorf("nearest captions: %w", err)
	}
	c := x.mem.captions
	var hits []clipsearch.TextHit
	for _, nb := range c.vectors.Search(v, k, nil) {
		hits = append(hits, clipsearch.TextHit{Text: c.texts[nb.doc], Score: nb.score})
	}
	slices.SortFunc(hits, func(a, b clipsearch.TextHit) int { // numbers say nothing about texts that are as near
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Text, b.Text))
	})
	return hits, nil
}

// loadCaptions loads the captions' vectors, unless somebody has meanwhile.
func (x *Index) loadCaptions(ctx context.Context) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	x.mu.RLock()
	loaded := x.mem.captions != nil
	x.mu.RUnlock()
	if loaded {
		return nil
	}
	c, err := x.readCaptions(ctx, x.meta())
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mem.captions = c
	x.tender.wake()
	return nil
}

// readCaptions reads the captions' vectors of the space that m names.
func (x *Index) readCaptions(ctx context.Context, m Meta) (*captions, error) {
	a, err := ann.New(ann.Options{Dim: m.Dim, Workers: workers()})
	if err != nil {
		return nil, err
	}
	c := &captions{docs: map[string]doc{}, vectors: newNear(a)}
	l := loader{to: a}
	v := make(clipsearch.Vector, m.Dim)
	err = x.view(ctx, func(t tx) error {
		var of clipsearch.ID
		var rec record
		return t.scan(spaceKey(captionPrefix, m.Space), true, func(key, value []byte, err error) error {
			_, id, n, ok := parseVectorKey(key)
			if err != nil || !ok || decodeVector(v, value) != nil || unitLength(v) != nil {
				return ctx.Err()
			}
			if id != of {
				of = id
				if rec, err = t.record(id); err != nil {
					rec = record{}
				}
			}
			if n < len(rec.Captions) {
				if d, fresh := c.doc(string(rec.Captions[n])); fresh {
					if err := l.add(d, v); err != nil {
						return err
					}
				}
			}
			return ctx.Err()
		})
	})
	if err == nil {
		err = l.flush()
	}
	return c, err
}
