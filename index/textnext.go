package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/clipsearch/clipsearch"
)

// A text index in another language is built beside the one that answers, in a
// folder of its own, and then takes its place. That it is wanted is written down:
// the language of the index is not that of the text index. Nothing else needs to
// be: what next lacks is found by comparing it with the store, and of what changes
// while it is there, x/ is removed only after it knows too. So whoever opens the
// index after a crash goes on.

func nextDir(dir string) string { return dir + ".next" }
func oldDir(dir string) string  { return dir + ".old" }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// openNext opens next or begins it, if it is wanted. Whoever calls it holds telling.
func (t *text) openNext() {
	next, err := t.wantedNext()
	if next != nil && next != t.next {
		t.rouse()
	}
	t.setNext(next, err)
}

// setNext notes what next is, after the searches that are under way.
func (t *text) setNext(next *wordIndex, err error) {
	if next == t.next && err == nil && t.nextErr == nil {
		return // searches need not wait
	}
	t.work.Lock()
	defer t.work.Unlock()
	t.next, t.nextErr = next, err
}

// wantedNext returns what next is to be; nil if none is wanted.
func (t *text) wantedNext() (*wordIndex, error) {
	want, dir := t.x.meta().WordLanguage(), nextDir(t.dir)
	if t.next != nil && t.next.language == want && t.words.language != want {
		return t.next, nil
	}
	if old := t.next; old != nil {
		t.setNext(nil, nil)
		_ = old.close() // it goes anyway
	}
	if t.words.language == want {
		return nil, errors.Join(os.RemoveAll(dir), removeSeal(dir+".seal"))
	}
	w, err := openWords(dir)
	if err == nil && w.language != want {
		_ = w.close()
		err = errTextGone
	}
	if errors.Is(err, errTextGone) {
		if err = checkSpace(t.x.dir, margin+treeSize(t.dir)); err == nil {
			w, err = createWords(dir, want)
		}
	}
	if err == nil {
		err = t.compareNext(w)
	}
	if err != nil {
		return nil, withSpace(err, t.x.dir)
	}
	return w, nil
}

// compareNext finds out what w does not know.
func (t *text) compareNext(w *wordIndex) error {
	lacking, err := t.lacking(w)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.missing, t.filling = map[clipsearch.ID]struct{}{}, nil
	for _, id := range lacking {
		t.missing[id] = struct{}{}
	}
	return err
}

// writeNext tells next what Bleve was told of ids. What next is being told of at
// this moment, maybe of an older picture, stays dirty.
func (t *text) writeNext(ids []clipsearch.ID, put map[clipsearch.ID]document, gone []clipsearch.ID) error {
	var busy []clipsearch.ID
	t.mu.Lock()
	for _, id := range ids {
		delete(t.missing, id)
		if _, ok := t.filling[id]; ok {
			busy = append(busy, id)
		}
	}
	t.mu.Unlock()
	t.again(busy)
	return t.next.write(put, gone)
}

// translate begins next, after note has noted the language. Nobody fills what was
// next until then.
func (t *text) translate(note func() error) error {
	t.building.Lock()
	defer t.building.Unlock()
	if err := note(); err != nil {
		return err
	}
	if err := t.take(context.Background()); err != nil {
		return err
	}
	defer t.give()
	if err := t.open(); err != nil {
		return err
	}
	return t.nextErr
}

// build completes next, if there is one, and puts it in the place of the text index.
func (t *text) build(ctx context.Context) error {
	for {
		more, err := t.buildSome(ctx)
		if err != nil || !more {
			return err
		}
		if t.hasDirty() {
			if err := t.settle(ctx); err != nil {
				return err
			}
		}
	}
}

// buildSome does a part of that, and reports whether there is more to do.
func (t *text) buildSome(ctx context.Context) (more bool, err error) {
	t.building.Lock()
	defer t.building.Unlock()
	select {
	case <-t.stop:
		return false, errClosed
	default:
	}
	t.work.RLock()
	next, err := t.next, t.nextErr
	t.work.RUnlock()
	if next == nil {
		return false, err
	}
	some, err := t.fill(ctx, next)
	if err == nil && !some {
		err = t.swap(ctx)
	}
	return true, err
}

func (t *text) hasDirty() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.dirty) > 0
}

// fill tells next of some pictures that it misses, if there are any.
func (t *text) fill(ctx context.Context, next *wordIndex) (some bool, err error) {
	ids := t.takeMissing()
	if len(ids) == 0 {
		return false, ctx.Err()
	}
	put, gone, err := t.x.documents(ctx, ids)
	if err == nil {
		err = checkSpace(t.x.dir, margin)
	}
	if err == nil {
		err = next.write(put, gone)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.filling = nil
	if err != nil {
		for _, id := range ids {
			t.missing[id] = struct{}{}
		}
	}
	return true, withSpace(err, t.x.dir)
}

func (t *text) takeMissing() (ids []clipsearch.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.filling = map[clipsearch.ID]struct{}{}
	for id := range t.missing {
		ids = append(ids, id)
		t.filling[id] = struct{}{}
		delete(t.missing, id)
		if len(ids) == textBatch {
			break
		}
	}
	return ids
}

// swap puts next, which is complete, in the place of the text index. The caller
// has t.building.
func (t *text) swap(ctx context.Context) error {
	if err := t.take(ctx); err != nil {
		return err
	}
	defer t.give()
	if err := t.tell(ctx); err != nil || t.next == nil || t.lacksSome() {
		return err
	}
	words, next := t.words, t.next
	t.setWords(nil) // searches wait for telling
	t.setNext(nil, nil)
	err := errors.Join(words.close(), next.close())
	if err == nil {
		err = removeSeal(t.dir + ".seal")
	}
	if err == nil {
		err = os.Rename(t.dir, oldDir(t.dir))
	}
	if err == nil {
		err = finishSwap(t.dir)
	}
	if err != nil {
		return fmt.Errorf("put the new text index in its place: %w", err)
	}
	return t.open()
}

// lacksSome reports whether there is something that next does not know.
func (t *text) lacksSome() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.missing) > 0
}

// finishSwap ends what a swap began, if it began: the text index is gone, to where
// it is thrown away.
func finishSwap(dir string) error {
	if !exists(oldDir(dir)) {
		return nil
	}
	next := nextDir(dir)
	if !exists(dir) && exists(next) {
		if err := os.Rename(next, dir); err != nil {
			return err
		}
		if err := os.Rename(next+".seal", dir+".seal"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return os.RemoveAll(oldDir(dir))
}
