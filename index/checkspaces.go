package index

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"context"

	"github.com/clipsearch/clipsearch"
)

// checkLostSpace looks for what a space was whose entry is damaged: its vectors
// tell their dimension. Without any, nothing is lost.
func (c *check) checkLostSpace(space clipsearch.Space, why error) {
	key := spaceKey(spacePrefix, space)
	if !c.restoreSpace(space, "space is damaged: "+why.Error()) {
		c.wrongKey(keyName(key), "space is damaged: "+why.Error(), key)
	}
}

// restoreSpace has the entry of a space written again, as far as its vectors tell
// what it was. It returns false where there are none.
func (c *check) restoreSpace(space clipsearch.Space, what string) bool {
	dim := 0
	_ = c.x.store.view(func(t tx) error {
		return t.scan(spaceKey(vectorPrefix, space), true, func(_, value []byte, err error) error {
			if err != nil {
				return nil
			}
			dim = len(value) / 4
			return errStop
		})
	})
	if dim == 0 {
		return false
	}
	e := spaceEntry{Model: fmt.Sprintf("unknown-%.12s", space), Dim: dim}
	c.spaces[space] = e
	c.wrong(keyName(spaceKey(spacePrefix, space)), what, func(r *repair) { r.spaces[space] = e })
	return true
}

// knowSpaces looks for spaces that have lost their entry, before their vectors are
// taken for foreign ones: the one that answers, the one that did before, the one that
// is to, and those that records name.
func (c *check) knowSpaces(t tx) error {
	m := c.x.meta()
	if _, ok := c.spaces[m.Space]; !ok {
		c.spaces[m.Space] = spaceEntry{Model: m.Model, Dim: m.Dim}
		c.wrong("store", "the space that answers is missing", func(r *repair) { r.space = true })
	}
	w, err := t.intent()
	if err != nil {
		return err
	}
	promised := map[clipsearch.Space]bool{m.Previous: true, w.next(): true}
	for _, p := range c.pictures {
		for _, s := range p.rec.Stored {
			promised[clipsearch.Space(s.Space)] = true
		}
	}
	delete(promised, clipsearch.Space{})
	lost := slices.DeleteFunc(slices.Collect(maps.Keys(promised)), func(s clipsearch.Space) bool { return c.spaces[s].Dim > 0 })
	slices.SortFunc(lost, func(a, b clipsearch.Space) int { return bytes.Compare(a[:], b[:]) })
	for _, space := range lost {
		c.restoreSpace(space, fmt.Sprintf("space %.12s is missing, and pictures have vectors of it", space))
	}
	c.checkIntent(t)
	return nil
}

// wrongIn notes that a picture has lost vectors of a space that does not answer.
// They are made again if they are wanted, so the picture stays.
func (c *check) wrongIn(id clipsearch.ID, space clipsearch.Space, what string) {
	c.wrong(id.String(), what+": repair drops those of this picture, `clipsearch model switch` makes them again", func(r *repair) { r.stripOf(id, space) })
}

// wrongVector notes that a picture has lost vectors of the space that answers.
// Whoever has the model makes them again, and its words find it meanwhile.
func (c *check) wrongVector(id clipsearch.ID, what string) {
	then := ": repair has it made again"
	if !c.x.makes(c.x.meta()) {
		then = ": repair drops it, `clipsearch ingest --vectors` brings it back"
	}
	c.wrong(id.String(), what+then, func(r *repair) {
		r.stripOf(id, c.x.meta().Space)
		r.owed = true
	})
}

// wrongCaptions notes that a picture has lost vectors of its captions.
func (c *check) wrongCaptions(id clipsearch.ID, what string) {
	c.wrong(id.String(), what+": repair has those of its captions made again", func(r *repair) { r.captions[id], r.owed = true, true })
}

// stripOf has a picture lose its vectors of a space.
func (r *repair) stripOf(id clipsearch.ID, space clipsearch.Space) {
	if r.strip[id] == nil {
		r.strip[id] = map[clipsearch.Space]bool{}
	}
	r.strip[id][space] = true
}

// strip takes a picture's vectors of some spaces away, found by their keys.
func (c *check) strip(w *writer, id clipsearch.ID, spaces map[clipsearch.Space]bool) {
	p := c.pictures[id]
	var kept []stored
	for _, s := range p.rec.Stored {
		space := clipsearch.Space(s.Space)
		if !spaces[space] {
			kept = append(kept, s)
			continue
		}
		w.dropVectors(vectorPrefix, s.Space, id, 0, s.Vectors)
		w.dropVectors(captionPrefix, s.Space, id, 0, s.Captions)
	}
	p.rec.Stored = kept
	w.set(idKey(recordPrefix, id), p.rec.encode())
}

// checkIntent checks what the index notes that it owes.
func (c *check) checkIntent(t tx) {
	b, err := t.get([]byte(intentKey))
	if errors.Is(err, errMissing) {
		return
	}
	if err == nil {
		err = decode(b, &c.intent)
	}
	if err != nil {
		c.intent = intent{Owed: true}
		c.wrong("store", "the note of a change to another model is damaged: "+err.Error()+": repair gives the change up, start it again with `clipsearch model switch`", func(r *repair) { r.owed = true })
		return
	}
	if next := c.intent.next(); len(c.intent.Next) > 0 && (c.spaces[next].Dim == 0 || next == c.x.meta().Space) {
		c.intent = intent{Owed: true}
		c.wrong("store", fmt.Sprintf("the index is being changed to a space that it does not have, %.12s: repair gives the change up", next), func(r *repair) { r.owed = true })
	}
}

// checkAnswers checks that a picture has vectors of the space that answers, or that
// the index knows of its debt.
func (c *check) checkAnswers(id clipsearch.ID, p *picture) {
	if p.rec.of(c.x.meta().Space).Vectors > 0 || c.intent.Owed {
		return
	}
	c.wrong(id.String(), "there is no vector of the space that answers: repair has it made", func(r *repair) { r.owed = true })
}

// checkModels checks the copies of the models.
func (c *check) checkModels(ctx context.Context) {
	for space, e := range c.spaces {
		c.checkModel(space, e)
	}
	strange, err := c.x.strangeModels(ctx)
	if err != nil {
		return // the store is closed, and others have said so
	}
	for _, dir := range strange {
		if info, err := os.Stat(dir); err != nil || time.Since(info.ModTime()) < time.Hour {
			continue // put there for a change that begins just now, or that a kill has stopped
		}
		c.wrong("models", "the copy of a model that the index does not know: "+filepath.Base(dir), func(*repair) { c.strange = append(c.strange, dir) })
	}
}

// checkModel checks the copy of one model. That of the space that answers can be
// made again by a program that has it.
func (c *check) checkModel(space clipsearch.Space, e spaceEntry) {
	o := c.x.options
	what, hint := "the copy of the model", ""
	var fix func(*repair)
	switch {
	case space != c.x.meta().Space:
		what = "the copy of model " + e.Model
		hint = ": bring it back with `clipsearch model switch`, or drop it with `clipsearch prune --spaces`"
	case o.saves(space):
		fix = func(*repair) { c.remodel = true }
	case o.SaveModel != nil:
		hint = ": this program has no other: bring it back with `clipsearch model switch`"
	}
	dir := ModelDir(c.x.dir, space)
	if _, err := os.Stat(dir); err != nil {
		if o.keeps(space, e) {
			c.wrong("models", what+" is missing"+hint, fix)
		}
		return
	}
	if o.CheckModel == nil {
		return
	}
	for _, wrong := range o.CheckModel(dir) {
		c.wrong("models", what+" is damaged: "+oneLine(wrong)+hint, fix)
	}
}
