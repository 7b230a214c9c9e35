package owner

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// wait is one wait for the holder of an index.
type wait struct {
	dir     string
	options Options
	start   time.Time
	noticed bool

	holder Holder // as last seen, and since when
	token  string
	since  time.Time
	pause  time.Duration
}

func newWait(dir string, o Options) *wait {
	now := time.Now()
	return &wait{dir: dir, options: o, start: now, since: now, pause: firstPause}
}

const firstPause, longestPause = 5 * time.Millisecond, 100 * time.Millisecond

// join connects to the owner that owner.json names. An error that wraps
// errNotReady says that trying again makes sense.
func (w *wait) join(ctx context.Context) (*client, error) {
	f, err := readHolderFile(w.dir)
	if err != nil {
		return nil, fmt.Errorf("%w: it has not said where it listens", errNotReady)
	}
	w.holder = f.Holder
	if w.token != f.Token {
		w.token, w.since, w.pause = f.Token, time.Now(), firstPause // patience is for one holder
	}
	if f.Network == "" {
		return nil, fmt.Errorf("%w: it is opening the index", errNotReady)
	}
	// A holder that accepts and never answers must not keep the notice from coming.
	until := w.since.Add(w.options.Patience)
	if notice := w.start.Add(w.options.Notice); !w.noticed && notice.Before(until) {
		until = notice
	}
	if least := time.Now().Add(500 * time.Millisecond); until.Before(least) {
		until = least
	}
	c, err := dial(ctx, w.dir, f, until)
	if err != nil {
		return nil, err
	}
	c.notice, c.waiting = w.options.Notice, sync.OnceFunc(func() {
		if !w.noticed && w.options.Waiting != nil {
			w.options.Waiting(f.Holder)
		}
	})
	return c, nil
}

// sleep pauses between two attempts, longer each time, and tells the caller of
// the holder. It returns an error when one holder has taken too long.
func (w *wait) sleep(ctx context.Context, reason error) error {
	if !w.noticed && time.Since(w.start) >= w.options.Notice {
		w.noticed = true
		if w.options.Waiting != nil {
			w.options.Waiting(w.holder)
		}
	}
	if waited := time.Since(w.since); waited >= w.options.Patience {
		return fmt.Errorf("index %s is held by %s, waited %s for it (%w): end that process or try again later",
			w.dir, w.holder, waited.Round(time.Second/10), reason)
	}
	timer := time.NewTimer(w.pause)
	defer timer.Stop()
	w.pause = min(2*w.pause, longestPause)
	select {
	case <-ctx.Done():
		return fmt.Errorf("index %s is held by %s: %w", w.dir, w.holder, ctx.Err())
	case <-timer.C:
		return nil
	}
}
