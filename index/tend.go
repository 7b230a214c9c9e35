package index

import (
	"context"
	"sync"
)

// tender works behind the searches: it brings codes and graphs up to date with what
// was written, and writes them to the store now and then.
type tender struct {
	x      *Index
	signal chan struct{}
	begin  sync.Once
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
}

func newTender(x *Index) *tender {
	t := &tender{x: x, signal: make(chan struct{}, 1), done: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// wake has the tender look whether there is work. It does not wait.
func (t *tender) wake() {
	t.begin.Do(func() { go t.run() })
	select {
	case t.signal <- struct{}{}:
	default:
	}
}

func (t *tender) run() {
	defer close(t.done)
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-t.signal:
			// What fails here, as for want of memory or of room on the disk, leaves
			// searches exact and slower; the next write tries again.
			_ = t.x.tend(t.ctx)
		}
	}
}

// end ends the work and waits until it has.
func (t *tender) end() {
	t.cancel()
	t.begin.Do(func() { close(t.done) })
	<-t.done
}

// tend does what there is to do.
func (x *Index) tend(ctx context.Context) error {
	x.mu.RLock()
	mem, meta := x.mem, x.meta()
	pictures, captions := mem.vectors, mem.captionVectors()
	x.mu.RUnlock()
	for _, n := range []*near{pictures, captions} {
		if n == nil {
			continue
		}
		if err := n.work(ctx); err != nil {
			return err
		}
	}
	if pictures == nil {
		return nil
	}
	return x.saveNear(ctx, meta, mem.pictures, pictures, false)
}

// work brings n up to date, until something else has taken its place.
func (n *near) work(ctx context.Context) error {
	ctx, cancel := n.while(ctx)
	defer cancel()
	if err := n.take(ctx); err != nil {
		return err
	}
	defer n.give()
	return n.Work(ctx)
}

// Settle brings codes and graph up to date with all that was written, and writes
// them to the store, so that the next who opens the index finds them. It may take a
// while and need not be called.
func (x *Index) Settle(ctx context.Context) error {
	if err := x.load(ctx, false); err != nil {
		return err
	}
	x.mu.RLock()
	mem, meta := x.mem, x.meta()
	near := mem.vectors
	x.mu.RUnlock()
	if near == nil {
		return nil
	}
	if err := near.work(ctx); err != nil {
		return err
	}
	return x.saveNear(ctx, meta, mem.pictures, near, true)
}
