package index

import (
	"context"
	"maps"
	"slices"

	"github.com/clipsearch/clipsearch"
)

// note is what is known of a change that Bleve does not know.
type note struct {
	change uint64
	kept   bool // x/ says so
}

// changed notes that the words of ids are not what Bleve knows. The store's x/
// says so too.
func (t *text) changed(ids []clipsearch.ID) {
	if len(ids) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changes = true
	t.change++
	for _, id := range ids {
		t.dirty[id] = note{t.change, true}
	}
	t.start()
	if len(t.dirty) >= textBatch {
		signal(t.full)
	}
}

// again notes that Bleve is to be told of ids, though they may be as it knows them.
func (t *text) again(ids []clipsearch.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.change++
	for _, id := range ids {
		_, kept := t.marked[id]
		delete(t.marked, id)
		t.dirty[id] = note{t.change, kept || t.dirty[id].kept}
	}
}

// watch gathers what Bleve is told of from the moment on at which it begins.
type watch struct{ told map[clipsearch.ID]struct{} }

func (t *text) watch() (w *watch, stop func()) {
	w = &watch{map[clipsearch.ID]struct{}{}}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watches = append(t.watches, w)
	return w, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.watches = slices.DeleteFunc(t.watches, func(o *watch) bool { return o == w })
	}
}

// changedSince reports whether a picture has changed since w began, or shortly before.
func (t *text) changedSince(w *watch, id clipsearch.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, told := w.told[id]
	_, dirty := t.dirty[id]
	return told || dirty
}

// knows reports whether Bleve, if it is open, knows of the changes up to one.
func (t *text) knows(change uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known >= change || len(t.dirty) == 0
}

func (t *text) lastChange() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.change
}

// todo returns at most so many of the pictures that have changed, and the last change.
func (t *text) todo(most int) (todo map[clipsearch.ID]note, last uint64, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirty) <= most {
		return maps.Clone(t.dirty), t.change, false
	}
	todo = make(map[clipsearch.ID]note, most)
	for id, n := range t.dirty {
		if len(todo) == most {
			break
		}
		todo[id] = n
	}
	return todo, t.change, true
}

func (t *text) isDirty(id clipsearch.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.dirty[id]
	return ok
}

// clean removes x/ of what Bleve knows from the store.
func (t *text) clean(ctx context.Context) error {
	for {
		ids := t.takeMarked()
		if len(ids) == 0 {
			return nil
		}
		if ctx.Err() != nil {
			t.mark(ids)
			return ctx.Err()
		}
		if err := t.cleanSome(ids); err != nil {
			t.mark(ids)
			return err
		}
	}
}

func (t *text) mark(ids []clipsearch.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		t.marked[id] = struct{}{}
	}
}

func (t *text) takeMarked() (ids []clipsearch.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.marked {
		ids = append(ids, id)
		delete(t.marked, id)
		if len(ids) == textBatch {
			break
		}
	}
	return ids
}

// cleanSome removes x/ of ids, but of those that changed again.
func (t *text) cleanSome(ids []clipsearch.ID) error {
	return t.x.update(func(tx tx) error {
		w := writer{t: tx}
		for _, id := range ids {
			if !t.isDirty(id) {
				w.delete(idKey(dirtyPrefix, id))
			}
		}
		return w.err
	})
}
