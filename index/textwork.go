package index

import (
	"context"
	"errors"
	"fmt"
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

// rouse has the goroutine look what there is to do.
func (t *text) rouse() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.start()
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
