package index

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/clipsearch/clipsearch"
)

// open opens Bleve, and begins a rebuild where there is none to open. Whoever
// calls it holds telling.
func (t *text) open() error {
	switch {
	case t.closed:
		return errClosed
	case t.words != nil:
		t.openNext()
		return nil
	}
	if err := finishSwap(t.dir); err != nil {
		return fmt.Errorf("open text index: %w", err)
	}
	if rebuild, begun := t.rebuilding(); !rebuild || begun {
		err := t.reopen(rebuild)
		if !errors.Is(err, errTextGone) {
			return err
		}
		if errors.Is(err, errHarmed) {
			t.healed = oneLine(err)
		}
	}
	return t.restart()
}

func (t *text) rebuilding() (rebuild, begun bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rebuild, t.begun
}

// setWords has searches use w, after those that are under way.
func (t *text) setWords(w *wordIndex) {
	t.work.Lock()
	defer t.work.Unlock()
	t.words = w
}

// reopen opens the Bleve that is there, whole or in the middle of a rebuild. The
// error wraps errTextGone if it is of no use.
func (t *text) reopen(rebuild bool) error {
	w, err := openWords(t.dir)
	if err != nil {
		return err
	}
	if rebuild {
		lacking, err := t.lacking(w)
		if w.language != t.x.meta().WordLanguage() {
			err = fmt.Errorf("%w in the language that is wanted", errTextGone)
		}
		if err != nil {
			return errors.Join(err, w.close())
		}
		t.again(lacking)
	}
	t.setWords(w)
	t.openNext()
	return nil
}

// lacking returns what Bleve lacks but for the pictures that x/ names: those of
// which it has no document, and documents of pictures that are gone.
func (t *text) lacking(w *wordIndex) (ids []clipsearch.ID, err error) {
	all, err := t.x.allIDs()
	if err != nil {
		return nil, err
	}
	names, err := w.names()
	have := make(map[clipsearch.ID]bool, len(names))
	for _, name := range names {
		have[clipsearch.ID([]byte(name))] = true
	}
	for _, id := range all {
		if !have[id] {
			ids = append(ids, id)
		}
		delete(have, id)
	}
	return slices.AppendSeq(ids, maps.Keys(have)), err
}

// restart begins an empty Bleve, with all pictures dirty. R says first that what is
// there is to go, and then that it has gone, so that a crash later loses nothing
// that was done. Where x/ names all pictures anyway, as in a new index, R need not.
func (t *text) restart() error {
	if err := checkSpace(t.x.dir, margin); err != nil {
		return err
	}
	all, err := t.x.allIDs()
	if err != nil {
		return err
	}
	noted := t.forget(all)
	if !noted {
		if err := t.noteRebuild(false, nil); err != nil {
			return err
		}
	}
	w, err := createWords(t.dir, t.x.meta().WordLanguage())
	if err != nil {
		return withSpace(err, t.x.dir)
	}
	t.again(all)
	t.setWords(w)
	if noted {
		return nil
	}
	return t.noteRebuild(true, []byte{1})
}

// forget notes that Bleve knows nothing any more, and reports whether x/ says so of
// all pictures.
func (t *text) forget(all []clipsearch.ID) (noted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known, t.whole = 0, false
	return !t.rebuild && !slices.ContainsFunc(all, func(id clipsearch.ID) bool { return !t.dirty[id].kept })
}

// noteRebuild has R say that there is a rebuild.
func (t *text) noteRebuild(begun bool, value []byte) error {
	t.x.writing.Lock()
	defer t.x.writing.Unlock()
	err := t.x.store.update(func(tx tx) error { return tx.set([]byte(rebuildKey), value) })
	if err == nil {
		t.setRebuild(true, begun)
	}
	return err
}

func (t *text) setRebuild(rebuild, begun bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rebuild, t.begun = rebuild, begun
}

// rebuilt ends a rebuild that is complete.
func (t *text) rebuilt() error {
	if !t.isRebuilt() {
		return nil
	}
	t.x.writing.Lock()
	defer t.x.writing.Unlock()
	if !t.isRebuilt() {
		return nil // another has begun
	}
	err := t.x.store.update(func(tx tx) error { return tx.delete([]byte(rebuildKey)) })
	if err == nil {
		t.setRebuild(false, false)
	}
	return err
}

func (t *text) isRebuilt() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rebuild && t.whole
}

// renew throws Bleve away and builds it from the store.
func (t *text) renew(ctx context.Context) error {
	t.building.Lock()
	defer t.building.Unlock()
	if err := t.take(ctx); err != nil {
		return err
	}
	defer t.give()
	if t.closed {
		return errClosed
	}
	if w := t.words; w != nil {
		t.setWords(nil)
		_ = w.close() // it goes anyway
	}
	defer t.rouse()
	if err := t.restart(); err != nil {
		return err
	}
	return t.tell(ctx)
}

// allIDs returns every picture of the store.
func (x *Index) allIDs() (ids []clipsearch.ID, err error) {
	err = x.store.view(func(t tx) error {
		return t.scan([]byte(recordPrefix), false, func(key, _ []byte, _ error) error {
			if id, ok := parseIDKey(key); ok {
				ids = append(ids, id)
			}
			return nil
		})
	})
	return ids, err
}
