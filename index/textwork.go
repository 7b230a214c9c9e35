package index

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/clipsearch/clipsearch"
)

const (
	textBatch = 500         // pictures of one write to Bleve
	textEvery = time.Second // and how long they wait for company
	textLater = 5000        // more than this is left to the next process when this one closes
)

// text keeps the words of the pictures findable. Writes to the store only note
// which pictures changed; a goroutine tells Bleve, many at once. Bleve is opened
// when it is first needed.
type text struct {
	x   *Index
	dir string

	mu      sync.Mutex
	dirty   map[clipsearch.ID]struct{} // changed, and Bleve does not know yet
	running bool
	changes bool          // changed has been called
	wake    chan struct{} // there is something dirty
	full    chan struct{} // there is a batch of it
	stop    chan struct{}
	done    chan struct{}

	// See textnext.go.
	building sync.Mutex                 // held by whoever builds, opens or closes next; taken before work
	missing  map[clipsearch.ID]struct{} // what next does not know. Guarded by mu
	filling  map[clipsearch.ID]struct{} // what next is being told of. Guarded by mu
	next     *wordIndex                 // guarded by work
	nextErr  error                      // why there is none. Guarded by work

	work    sync.RWMutex // held for writing by whoever writes to Bleve, opens or closes it
	words   *wordIndex   // nil until opened
	rebuild bool         // it is being built anew, and R says so
	begun   bool         // what was there before is gone, and R says so
	healed  string       // why it was built again, until Check has told
	told    int          // how many pictures Bleve was told of
	closed  bool
}

// newText reads what a crash may have left to do.
func newText(dir string, x *Index) *text {
	t := &text{
		x: x, dir: dir, dirty: map[clipsearch.ID]struct{}{},
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	err := x.store.view(func(tx tx) error {
		b, err := tx.get([]byte(rebuildKey))
		t.rebuild, t.begun = !errors.Is(err, errMissing), err == nil && len(b) > 0
		return tx.scan([]byte(dirtyPrefix), false, func(key, _ []byte, _ error) error {
			if id, ok := parseIDKey(key); ok {
				t.dirty[id] = struct{}{}
			}
			return nil
		})
	})
	if err == nil && (t.rebuild || len(t.dirty) > 0 || exists(nextDir(dir))) {
		t.start()
	}
	return t
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
	for _, id := range ids {
		t.dirty[id] = struct{}{}
	}
	t.start()
	if len(t.dirty) >= textBatch {
		signal(t.full)
	}
}

// start wakes the goroutine, which it starts if there is none. Nobody else may use
// t or the caller holds t.mu.
func (t *text) start() {
	if !t.running {
		t.running = true
		go t.run()
	}
	signal(t.wake)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run brings Bleve up to date every now and then, until stop.
func (t *text) run() {
	defer close(t.done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-t.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		select {
		case <-t.wake:
		case <-t.stop:
			return
		}
		select {
		case <-t.full:
		case <-time.After(textEvery):
		case <-t.stop:
			return
		}
		_ = t.settle(ctx)     // it stays dirty; whoever asks for words gets the error
		_ = t.build(ctx)      // whoever changed the language gets the error
		if ctx.Err() == nil { // Close would wait for it
			_ = t.x.store.settle() // another time, then
		}
	}
}

// settle brings Bleve to where the store was when it was called.
func (t *text) settle(ctx context.Context) error {
	t.work.Lock()
	defer t.work.Unlock()
	return t.settleLocked(ctx)
}

func (t *text) settleLocked(ctx context.Context) error {
	if err := t.open(); err != nil {
		return err
	}
	t.mu.Lock()
	todo := maps.Clone(t.dirty)
	t.mu.Unlock()
	batch := make([]clipsearch.ID, 0, textBatch)
	for id := range todo {
		batch = append(batch, id)
		if len(batch) < textBatch {
			continue
		}
		if err := t.settleBatch(ctx, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	if err := t.settleBatch(ctx, batch); err != nil {
		return err
	}
	return t.rebuilt()
}

// settleBatch tells Bleve of the pictures ids as they are now. Whoever calls it
// has t.work.
func (t *text) settleBatch(ctx context.Context, ids []clipsearch.ID) error {
	if len(ids) == 0 {
		return ctx.Err()
	}
	t.take(ids)
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
		t.giveBack(ids)
		return withSpace(err, t.x.dir)
	}
	t.told += len(ids)
	return t.x.clean(t, ids)
}

func (t *text) take(ids []clipsearch.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		delete(t.dirty, id)
	}
}

func (t *text) giveBack(ids []clipsearch.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		t.dirty[id] = struct{}{}
	}
}

func (t *text) isDirty(id clipsearch.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.dirty[id]
	return ok
}

// clean removes x/ of ids from the store, but of those that changed again.
func (x *Index) clean(t *text, ids []clipsearch.ID) error {
	return x.update(func(tx tx) error {
		w := writer{t: tx}
		for _, id := range ids {
			if !t.isDirty(id) {
				w.delete(idKey(dirtyPrefix, id))
			}
		}
		return w.err
	})
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

// open opens Bleve, and begins a rebuild where there is none to open. Whoever
// calls it has t.work.
func (t *text) open() error {
	switch {
	case t.closed:
		return errClosed
	case t.words != nil:
		t.nextErr = t.openNext()
		return nil
	}
	if err := finishSwap(t.dir); err != nil {
		return fmt.Errorf("open text index: %w", err)
	}
	if !t.rebuild || t.begun {
		err := t.reopen()
		if !errors.Is(err, errTextGone) {
			return err
		}
		if errors.Is(err, errHarmed) {
			t.healed = oneLine(err)
		}
	}
	return t.restart()
}

// reopen opens the Bleve that is there, whole or in the middle of a rebuild. The
// error wraps errTextGone if it is of no use.
func (t *text) reopen() error {
	w, err := openWords(t.dir)
	if err != nil {
		return err
	}
	if t.rebuild {
		lacking, err := t.lacking(w)
		if w.language != t.x.meta().WordLanguage() {
			err = fmt.Errorf("%w in the language that is wanted", errTextGone)
		}
		if err != nil {
			return errors.Join(err, w.close())
		}
		t.giveBack(lacking)
	}
	t.words = w
	t.nextErr = t.openNext()
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
// that was done.
func (t *text) restart() error {
	if err := checkSpace(t.x.dir, margin); err != nil {
		return err
	}
	all, err := t.x.allIDs()
	if err != nil {
		return err
	}
	note := func(begun bool, value []byte) error {
		if len(all) == 0 && !t.rebuild {
			return nil
		}
		err := t.x.update(func(tx tx) error { return tx.set([]byte(rebuildKey), value) })
		if err == nil {
			t.rebuild, t.begun = true, begun
		}
		return err
	}
	if err := note(false, nil); err != nil {
		return err
	}
	if t.words, err = createWords(t.dir, t.x.meta().WordLanguage()); err != nil {
		return withSpace(err, t.x.dir)
	}
	t.giveBack(all)
	return note(true, []byte{1})
}

// rebuilt ends a rebuild.
func (t *text) rebuilt() error {
	if !t.rebuild {
		return nil
	}
	if err := t.x.update(func(tx tx) error { return tx.delete([]byte(rebuildKey)) }); err != nil {
		return err
	}
	t.rebuild, t.begun = false, false
	return nil
}

// renew throws Bleve away and builds it from the store.
func (t *text) renew(ctx context.Context) error {
	t.building.Lock()
	defer t.building.Unlock()
	t.work.Lock()
	defer t.work.Unlock()
	if t.closed {
		return errClosed
	}
	if t.words != nil {
		_ = t.words.close() // it goes anyway
		t.words = nil
	}
	if err := t.restart(); err != nil {
		return err
	}
	return t.settleLocked(ctx)
}

// with runs fn over a Bleve that knows all that was put before, and once more over
// a new one if the first turns out to be damaged.
func (t *text) with(ctx context.Context, fn func(*wordIndex) error) error {
	err := t.settle(ctx)
	if err == nil || errors.Is(err, clipsearch.ErrNoSpace) {
		err = t.read(fn, err)
	}
	if errors.Is(err, errTextGone) {
		if err = t.renew(ctx); err == nil {
			err = t.read(fn, nil)
		}
	}
	return err
}

// read runs fn unless Bleve is not there: because of why.
func (t *text) read(fn func(*wordIndex) error, why error) error {
	t.work.RLock()
	defer t.work.RUnlock()
	if t.closed {
		return errClosed
	}
	if t.words == nil {
		return why
	}
	return fn(t.words)
}

// close ends the goroutine, tells Bleve what little it does not know, and closes it.
func (t *text) close() error {
	t.mu.Lock()
	running, finish := t.running, t.changes && len(t.dirty) > 0 && len(t.dirty) <= textLater
	t.running = true // nobody starts it any more
	t.mu.Unlock()
	close(t.stop)
	if running {
		<-t.done
	}
	t.building.Lock()
	defer t.building.Unlock()
	t.work.Lock()
	defer t.work.Unlock()
	var err error
	if finish && !t.closed {
		if err = t.settleLocked(context.Background()); errors.Is(err, clipsearch.ErrNoSpace) {
			err = nil // x/ remembers it
		}
	}
	t.closed = true
	if t.next != nil {
		err = errors.Join(err, t.next.close())
		t.next = nil
	}
	if t.words == nil {
		return err
	}
	if cerr := t.words.close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("close text index: %w", cerr))
	}
	t.words = nil
	return err
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
