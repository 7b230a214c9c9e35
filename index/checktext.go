package index

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"path/filepath"

	"github.com/clipsearch/clipsearch"
)

// checkText compares the documents with the pictures.
func (c *check) checkText(ctx context.Context) {
	fix := func(*repair) { c.retext = true }
	if err := c.x.text.settle(ctx); err != nil && !errors.Is(err, clipsearch.ErrNoSpace) {
		c.wrong("text", "text index cannot be brought up to date: "+oneLine(err), fix)
		return
	}
	if why := c.x.text.takeHealed(ctx); why != "" {
		c.wrong("text", "text index was built again: "+why, func(*repair) {})
	}
	err := c.x.text.reading(ctx, func(w *wordIndex) error {
		err := w.segments(func(path string) {
			if err := segmentDamage(path); err != nil {
				c.wrong("text", fmt.Sprintf("text segment %s is damaged: %v", filepath.Base(path), err), fix)
			}
		})
		if err != nil {
			return err
		}
		return c.compareText(ctx, w, fix)
	})
	if err != nil && !errors.Is(err, clipsearch.ErrNoSpace) {
		c.wrong("text", "text index cannot be read: "+oneLine(err), fix)
	}
}

// takeHealed returns why Bleve was built again, the first time that it is asked.
func (t *text) takeHealed(ctx context.Context) (why string) {
	if t.take(ctx) != nil {
		return ""
	}
	defer t.give()
	why, t.healed = t.healed, ""
	return why
}

// compareText compares the documents with the records: which there are, and their
// words. What has changed since the text index was brought up to date is left out.
func (c *check) compareText(ctx context.Context, w *wordIndex, fix func(*repair)) error {
	seed := maphash.MakeSeed()
	since, stop := c.x.text.watch()
	defer stop()
	sums, err := w.digests(seed)
	if err != nil {
		return err
	}
	c.x.writing.Lock()
	defer c.x.writing.Unlock()
	ids, err := c.x.allIDs()
	if err != nil {
		return err
	}
	for _, id := range ids {
		sum, known := sums[string(id[:])]
		delete(sums, string(id[:]))
		switch same, err := c.sameWords(ctx, w, id, seed, sum); {
		case err != nil:
			return err
		case c.x.text.changedSince(since, id):
		case !known:
			c.wrong(id.String(), "text document is missing", fix)
		case !same:
			c.wrong(id.String(), "text document has other words than the picture", fix)
		}
	}
	for name := range sums {
		if len(name) == len(clipsearch.ID{}) && c.x.text.changedSince(since, clipsearch.ID([]byte(name))) {
			continue
		}
		c.wrong(fmt.Sprintf("%x", name), "text document of a picture that is not here", fix)
	}
	return nil
}

// sameWords reports whether sum is the digest of a picture's words. It takes a
// record that is damaged for the same: that is told elsewhere.
func (c *check) sameWords(ctx context.Context, w *wordIndex, id clipsearch.ID, seed maphash.Seed, sum uint64) (same bool, err error) {
	err = c.x.view(ctx, func(t tx) error {
		r, err := t.record(id)
		same = err != nil || w.digest(seed, newDocument(r.image(id))) == sum
		return nil
	})
	return same, err
}
