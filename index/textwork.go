package index

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
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
// which pictures changed; a goroutine tells Bleve, many at once, or whoever looks for
// words does. Bleve is opened when it is first needed.
//
// Searches wait for nobody who writes to the store, and for each other as little: the
// store is written to, where Bleve knows what it says in x/, by the goroutine.
type text struct {
	x   *Index
	dir string

	mu      sync.Mutex
	dirty   map[clipsearch.ID]note     // changed, and Bleve does not know yet
	change  uint64                     // the last, counted
	known   uint64                     // up to which one Bleve knows
	marked  map[clipsearch.ID]struct{} // Bleve knows, and x/ does not say so yet
	watches []*watch
	rebuild bool // it is being built anew, and R says so. Changes under Index.writing too, as does begun
	begun   bool // what was there before is gone, and R says so
	whole   bool // Bleve knows all that is to be built anew
	running bool
	changes bool          // changed has been called
	wake    chan struct{} // there is something dirty
	full    chan struct{} // there is a batch of it
	stop    chan struct{}
	done    chan struct{}

	// See textnext.go.
	building sync.Mutex                 // held by whoever builds, opens or closes next; taken before telling
	missing  map[clipsearch.ID]struct{} // what next does not know. Guarded by mu
	filling  map[clipsearch.ID]struct{} // what next is being told of. Guarded by mu

	telling chan struct{} // held by whoever tells Bleve, opens or closes it; taken before work
	healed  string        // why it was built again, until Check has told. Guarded by telling
	told    int           // how many pictures Bleve was told of. Guarded by telling

	work    sync.RWMutex // held by searches; guards what follows, which only who holds telling changes
	words   *wordIndex   // nil until opened
	next    *wordIndex
	nextErr error // why there is none
	closed  bool
}

// note is what is known of a change that Bleve does not know.
type note struct {
	change uint64
	kept   bool // x/ says so
}

// newText reads what a crash may have left to do.
func newText(dir string, x *Index) *text {
	t := &text{
		x: x, dir: dir, dirty: map[clipsearch.ID]note{}, marked: map[clipsearch.ID]struct{}{}, change: 1,
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}), telling: make(chan struct{}, 1),
	}
	err := x.store.view(func(tx tx) error {
		b, err := tx.get([]byte(rebuildKey))
		t.rebuild, t.begun = !errors.Is(err, errMissing), err == nil && len(b) > 0
		return tx.scan([]byte(dirtyPrefix), false, func(key, _ []byte, _ error) error {
			if id, ok := parseIDKey(key); ok {
				t.dirty[id] = note{t.change, true}
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

// rouse has the goroutine look what there is to do.
func (t *text) rouse() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.start()
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

// with runs fn over a Bleve that knows all that was put before, and once more over
// a new one if the first turns out to be damaged.
func (t *text) with(ctx context.Context, fn func(*wordIndex) error) error {
	err := t.reading(ctx, fn)
	if errors.Is(err, errTextGone) {
		if err = t.renew(ctx); err == nil {
			err = t.reading(ctx, fn)
		}
	}
	return err
}

// reading runs fn over a Bleve that knows all that was put before; where the disk has
// no room to tell it, over what it knows.
func (t *text) reading(ctx context.Context, fn func(*wordIndex) error) error {
	for last := t.lastChange(); ; {
		if done, err := t.read(last, fn); done {
			return err
		}
		err := t.catchUp(ctx, last)
		if errors.Is(err, clipsearch.ErrNoSpace) {
			if done, err := t.read(0, fn); done {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// read runs fn if Bleve is open and knows of the changes up to one.
func (t *text) read(change uint64, fn func(*wordIndex) error) (done bool, err error) {
	t.work.RLock()
	defer t.work.RUnlock()
	switch {
	case t.closed:
		return true, errClosed
	case t.words == nil || !t.knows(change):
		return false, nil
	}
	return true, fn(t.words)
}

// close ends the goroutine, finishes what little there is to do, and closes Bleve.
func (t *text) close() error {
	t.mu.Lock()
	running, changed := t.running, t.changes
	t.running = true // nobody starts it any more
	t.mu.Unlock()
	close(t.stop)
	if running {
		<-t.done
	}
	t.building.Lock()
	defer t.building.Unlock()
	err := t.take(context.Background())
	if err != nil {
		return err
	}
	defer t.give()
	if !t.closed {
		if err = t.finish(changed); errors.Is(err, clipsearch.ErrNoSpace) {
			err = nil // x/ remembers it
		}
	}
	t.work.Lock()
	words, next := t.words, t.next
	t.closed, t.words, t.next = true, nil, nil
	t.work.Unlock()
	if next != nil {
		err = errors.Join(err, next.close())
	}
	if words != nil {
		if cerr := words.close(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("close text index: %w", cerr))
		}
	}
	return err
}

// finish tells Bleve what little it does not know, if something was changed, and has
// the store say so. Whoever calls it holds telling.
func (t *text) finish(changed bool) error {
	t.mu.Lock()
	tell, clean := changed && len(t.dirty) > 0 && len(t.dirty) <= textLater, len(t.marked) <= textLater
	t.mu.Unlock()
	if tell {
		if err := t.tell(context.Background()); err != nil {
			return err
		}
	}
	if !clean {
		return nil
	}
	return errors.Join(t.clean(context.Background()), t.rebuilt())
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
