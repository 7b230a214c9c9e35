package index

import (
	"context"
	"errors"
	"fmt"
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
	c.x.text.work.Lock()
	if why := c.x.text.healed; why != "" {
		c.wrong("text", "text index was built again: "+why, func(*repair) {})
		c.x.text.healed = ""
	}
	c.x.text.work.Unlock()
	docs := map[string]bool{}
	err := c.x.text.read(func(w *wordIndex) error {
		err := w.segments(func(path string) {
			if err := segmentDamage(path); err != nil {
				c.wrong("text", fmt.Sprintf("text segment %s is damaged: %v", filepath.Base(path), err), fix)
			}
		})
		if err != nil {
			return err
		}
		if err := w.each(func(name string) { docs[name] = true }); err != nil {
			return err
		}
		return c.compareText(docs, fix)
	}, nil)
	if err != nil {
		c.wrong("text", "text index cannot be read: "+oneLine(err), fix)
	}
}

// compareText compares the documents with the records. What has been put since the
// text index was brought up to date is dirty, and left out.
func (c *check) compareText(docs map[string]bool, fix func(*repair)) error {
	c.x.writing.Lock()
	defer c.x.writing.Unlock()
	ids, err := c.x.allIDs()
	if err != nil {
		return err
	}
	for _, id := range ids {
		name := string(id[:])
		if !docs[name] && !c.x.text.isDirty(id) {
			c.wrong(id.String(), "text document is missing", fix)
		}
		delete(docs, name)
	}
	for name := range docs {
		if len(name) == len(clipsearch.ID{}) && c.x.text.isDirty(clipsearch.ID([]byte(name))) {
			continue
		}
		c.wrong(fmt.Sprintf("%x", name), "text document of a picture that is not here", fix)
	}
	return nil
}
