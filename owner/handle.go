package owner

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Handle is an index, wherever its owner is: an [Index] that goes on when owners
// come and go. Its methods may be called from several goroutines; Close when
// they have returned.
type Handle struct {
	dir     string
	options Options
	turn    chan struct{} // held by whoever is acquiring, or closing

	mu     sync.Mutex
	link   link // nil between two owners
	closed bool
	ended  error     // an owner died: what writes are told
	former []*client // left, and perhaps still answering calls begun
}

// link is the way to the index: a tenure of this process, or a client of another.
type link interface{ close() error }

// Info says who owns an index.
type Info struct {
	Owned  bool // by this process, through this Handle
	Holder Holder
}

// Info returns the owner at this moment, or nothing between two owners.
func (h *Handle) Info() Info {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch l := h.link.(type) {
	case *tenure:
		return Info{Owned: true, Holder: l.file.Holder}
	case *client:
		return Info{Holder: l.holder}
	}
	return Info{}
}

// Close ends this process's part. An owner first lets the calls of its clients
// end, and closes the index; its clients go on with another owner.
func (h *Handle) Close() error {
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	h.mu.Lock()
	l, former := h.link, h.former
	h.link, h.former, h.closed = nil, nil, true
	h.mu.Unlock()
	for _, c := range former {
		_ = c.close()
	}
	if l == nil {
		return nil
	}
	return l.close()
}

// maxDeaths bounds how many owners may die of one read.
const maxDeaths = 3

// do makes a call, with this owner or the next.
func do[Q, A any](ctx context.Context, h *Handle, m method[Q, A], q Q) (A, error) {
	for deaths := 1; ; {
		var zero A
		l, err := h.connect(ctx, m.writes)
		if err != nil {
			return zero, err
		}
		a, err := invoke(ctx, l, m, q)
		switch {
		case errors.Is(err, errLeft): // and did not do it
			h.drop(l, true)
		case errors.Is(err, errDied):
			ended := h.drop(l, false)
			if m.writes || deaths == maxDeaths {
				return zero, ended
			}
			deaths++
		default:
			return a, err
		}
	}
}

func invoke[Q, A any](ctx context.Context, l link, m method[Q, A], q Q) (A, error) {
	switch l := l.(type) {
	case *client:
		return ask(ctx, l, m, q)
	case *tenure:
		if !l.service.gate.enter() {
			var zero A
			return zero, fmt.Errorf("index %s is closed", l.dir)
		}
		defer l.service.gate.exit()
		return m.call(l.service.source, ctx, q)
	}
	panic("owner: a link of a third kind")
}

// connect returns the way to the index, and acquires one where there is none.
func (h *Handle) connect(ctx context.Context, writes bool) (link, error) {
	if l, err := h.current(writes); l != nil || err != nil {
		return l, err
	}
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for index %s: %w", h.dir, ctx.Err())
	}
	if l, err := h.current(writes); l != nil || err != nil {
		return l, err // another goroutine has acquired it
	}
	l, err := h.acquire(ctx)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.link = l
	return l, nil
}

// current returns the link, or nil where there is none that lives.
func (h *Handle) current(writes bool) (link, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fmt.Errorf("index %s is closed", h.dir)
	}
	if c, ok := h.link.(*client); ok {
		select {
		case <-c.gone: // between two calls
			h.dropLocked(c, c.clean)
		default:
		}
	}
	if writes && h.ended != nil && !h.options.Enduring {
		return nil, h.ended
	}
	return h.link, nil
}

// drop forgets the link to an owner that has gone, and returns the error for
// calls that it may have taken along.
func (h *Handle) drop(l link, clean bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := l.(*client) // a tenure ends by Close alone
	h.dropLocked(c, clean)
	return endedError(h.dir, c.holder)
}

func (h *Handle) dropLocked(c *client, clean bool) {
	if h.link != link(c) {
		return // another goroutine was first
	}
	h.link = nil
	if !clean {
		h.ended = endedError(h.dir, c.holder)
	}
	// Its lifeline stays: calls of other goroutines may still be in its hands.
	var still []*client
	for _, f := range append(h.former, c) {
		select {
		case <-f.gone:
		default:
			still = append(still, f)
		}
	}
	h.former = still
}
