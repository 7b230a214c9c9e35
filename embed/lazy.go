package embed

import (
	"errors"
	"sync"
	"time"
)

// lazy is a value that is made when it is first asked for, and again after it was
// closed because nobody had used it for a time. An error is not kept: the next one
// to ask tries again.
type lazy[T any] struct {
	open  func() (T, error)
	close func(T) error
	idle  time.Duration // until it is closed; 0: never

	mu      sync.Mutex
	made    bool
	dropped bool
	value   T
	users   int
	timer   *time.Timer
}

// get returns the value, which stays open until done is called, once.
func (l *lazy[T]) get() (value T, done func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped {
		return value, nil, errors.New("the encoder is closed")
	}
	if !l.made {
		if l.value, err = l.open(); err != nil {
			return value, nil, err
		}
		l.made = true
	}
	l.users++
	return l.value, l.done, nil
}

func (l *lazy[T]) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users--
	if l.users > 0 || l.idle == 0 || l.dropped {
		return
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(l.idle, l.unload)
		return
	}
	l.timer.Reset(l.idle)
}

// unload closes a value that nobody uses. If that fails there is nobody to tell, and
// nothing to do about it: the next one to ask gets a value of its own.
func (l *lazy[T]) unload() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users > 0 || !l.made {
		return
	}
	l.close(l.value) //nolint:errcheck
	var none T
	l.value, l.made = none, false
}

// drop closes the value, if it was made; it will not be made again.
func (l *lazy[T]) drop() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
	}
	made := l.made
	l.made, l.dropped = false, true
	if !made {
		return nil
	}
	return l.close(l.value)
}
