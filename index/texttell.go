package index

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"

	"github.com/clipsearch/clipsearch"
)

// take waits until nobody else tells Bleve, opens or closes it. give ends that.
func (t *text) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case t.telling <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *text) give() { <-t.telling }

// settle brings Bleve to where the store was when it was called, and has the store
// say so now and then.
func (t *text) settle(ctx context.Context) error {
	for {
		more, err := t.settleSome(ctx)
		if err = errors.Join(err, t.clean(ctx), t.rebuilt()); err != nil || !more {
			return err
		}
	}
}

func (t *text) settleSome(ctx context.Context) (more bool, err error) {
	if err := t.take(ctx); err != nil {
		return false, err
	}
	defer t.give()
	return t.tellMost(ctx, textLater)
}

// catchUp has Bleve know of the changes up to one. What the store is to say of that is
// left to the goroutine: who looks for words does not wait for writers.
func (t *text) catchUp(ctx context.Context, change uint64) error {
	if err := t.take(ctx); err != nil {
		return err
	}
	defer t.give()
	if t.words != nil && t.knows(change) {
		return nil // somebody was quicker
	}
	defer t.rouse()
	return t.tell(ctx)
}

// tell tells Bleve of all that has changed. Whoever calls it holds telling.
func (t *text) tell(ctx context.Context) error {
	_, err := t.tellMost(ctx, math.MaxInt)
	return err
}

// tellMost tells Bleve of so many pictures that have changed, and reports whether there
// are more. Whoever calls it holds telling.
func (t *text) tellMost(ctx context.Context, most int) (more bool, err error) {
	if err := t.open(); err != nil {
		return false, err
	}
	todo, last, more := t.todo(most)
	for ids := range slices.Chunk(slices.Collect(maps.Keys(todo)), textBatch) {
		if err := t.tellSome(ctx, ids, todo); err != nil {
			return false, err
		}
	}
	if !more {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.known, t.whole = last, true
	}
	return more, ctx.Err()
}

// tellSome tells Bleve of the pictures ids as they are now, of which todo says what
// had changed before. Whoever calls it holds telling.
func (t *text) tellSome(ctx context.Context, ids []clipsearch.ID, todo map[clipsearch.ID]note) error {
	put, gone, err := t.x.documents(ctx, ids)
	if err == nil {
		err = checkSpace(t.x.dir, margin)
	}
	if err == nil {
		err = t.words.write(put, gone)
	}
	if err == nil && t.next != nil {
		err = t.writeNext(ids, put, gone)
	}
	if err != nil {
		return withSpace(err, t.x.dir)
	}
	t.told += len(ids)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		for _, w := range t.watches {
			w.told[id] = struct{}{}
		}
		if n := t.dirty[id]; n.change == todo[id].change { // else it has changed since
			delete(t.dirty, id)
			if n.kept {
				t.marked[id] = struct{}{}
			}
		}
	}
	return nil
}

// documents reads the words of pictures from the store, and tells which of them
// are gone.
func (x *Index) documents(ctx context.Context, ids []clipsearch.ID) (put map[clipsearch.ID]document, gone []clipsearch.ID, err error) {
	put = make(map[clipsearch.ID]document, len(ids))
	err = x.view(ctx, func(t tx) error {
		for _, id := range ids {
			r, err := t.record(id)
			switch {
			case errors.Is(err, errMissing):
				gone = append(gone, id)
			case err != nil: // Check names it
				put[id] = document{}
			default:
				put[id] = newDocument(r.image(id))
			}
		}
		return nil
	})
	return put, gone, err
}
