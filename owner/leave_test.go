package owner_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/owner"
)

// When the owner leaves, its client becomes the owner and nobody notices.
func TestClientGoesOn(t *testing.T) {
	_, own, client := pair(t, nil)
	if err := client.Put(t.Context(), []clipsearch.Entry{entry(1)}); err != nil {
		t.Fatal(err)
	}
	if err := own.Close(); err != nil {
		t.Fatal(err)
	}
	if err := client.Put(t.Context(), []clipsearch.Entry{entry(2)}); err != nil {
		t.Fatal(err)
	}
	if st, err := client.Stats(t.Context()); err != nil || st.Images != 2 || !client.Info().Owned {
		t.Errorf("%d images, owned %v, %v; want 2, true", st.Images, client.Info().Owned, err)
	}
}

// A call that was begun is ended before the owner goes, and what comes meanwhile
// waits for the next owner.
func TestOwnerEndsWhatWasBegun(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	x, own, client := pair(t, func(_ context.Context, call string) error {
		if call == "put" {
			once.Do(func() { close(begun) })
			<-release
		}
		return nil
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := client.Put(t.Context(), []clipsearch.Entry{entry(1)}); err != nil {
			t.Errorf("Put begun before: %v", err)
		}
		if len(x.entries) != 1 {
			t.Errorf("the leaving owner holds %d entries, want 1", len(x.entries))
		}
	})
	<-begun
	wg.Go(func() {
		if err := own.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	time.Sleep(50 * time.Millisecond) // Close has begun to wait
	wg.Go(func() {
		if err := client.Put(t.Context(), []clipsearch.Entry{entry(2)}); err != nil {
			t.Errorf("Put begun after: %v", err)
		}
	})
	time.Sleep(50 * time.Millisecond)
	close(release)
	wg.Wait()
	if st, err := client.Stats(t.Context()); err != nil || st.Images != 2 {
		t.Errorf("%d images, %v; want 2", st.Images, err)
	}
}

// What does not end within the grace is cancelled, and done by the next owner.
func TestGraceEnds(t *testing.T) {
	dir := t.TempDir()
	x, err := openFake(dir)
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	x.before = func(ctx context.Context, _ string) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}
	o := quick(dir)
	o.Open, o.Grace = with(x), 100*time.Millisecond
	own := acquire(t, dir, o)
	client := acquire(t, dir, quick(dir))
	done := make(chan error, 1)
	go func() { done <- client.Put(t.Context(), []clipsearch.Entry{entry(1)}) }()
	<-begun
	if err := own.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Put: %v", err)
	}
	if st, err := client.Stats(t.Context()); err != nil || st.Images != 1 || !client.Info().Owned {
		t.Errorf("%d images, owned %v, %v; want 1, true", st.Images, client.Info().Owned, err)
	}
}

// A call that nothing can end keeps the index open, and the lock.
func TestCallThatDoesNotEnd(t *testing.T) {
	dir := t.TempDir()
	x, err := openFake(dir)
	if err != nil {
		t.Fatal(err)
	}
	begun, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	x.before = func(context.Context, string) error {
		once.Do(func() { close(begun) })
		<-release
		return nil
	}
	o := quick(dir)
	o.Open, o.Grace = with(x), 50*time.Millisecond
	own, err := owner.Acquire(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	o = quick(dir)
	o.Patience = 300 * time.Millisecond
	client := acquire(t, dir, o)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- client.Put(ctx, []clipsearch.Entry{entry(1)}) }()
	<-begun
	if err := own.Close(); err == nil {
		t.Error("Close: no error, although a call runs on")
	}
	if x.closed {
		t.Error("the index was closed under a running call")
	}
	if err := <-done; err == nil {
		t.Error("Put: no error, although its owner was cut off")
	}
	close(release)
	for {
		if held, _ := x.Has(t.Context(), []clipsearch.ID{entry(1).ID}); held[0] {
			break // nothing writes into the directory any more
		}
		time.Sleep(time.Millisecond)
	}
}

// A client that stops reading its answer does not keep the owner from closing.
func TestClientThatDoesNotRead(t *testing.T) {
	dir := deepDir(t)
	x, err := openFake(dir)
	if err != nil {
		t.Fatal(err)
	}
	o := quick(dir)
	o.Open, o.Grace = with(x), 100*time.Millisecond
	own := acquire(t, dir, o)
	e := entry(1)
	e.Thumb = make([]byte, 32<<20) // more than a socket holds
	if err := own.Put(t.Context(), []clipsearch.Entry{e}); err != nil {
		t.Fatal(err)
	}
	h := readHolder(t, dir)
	conn, err := net.Dial(h.Network, h.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	id, err := cbor.Marshal(e.ID)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /thumb HTTP/1.1\r\nHost: owner\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", h.Token, len(id), id)
	if _, err := conn.Read(make([]byte, 1)); err != nil { // the answer has begun
		t.Fatal(err)
	}
	if err := own.Close(); err != nil || !x.closed {
		t.Errorf("Close = %v, index closed %v, want closed", err, x.closed)
	}
}

// Short owners come and go under clients that work all the time: nothing is lost,
// nothing fails, and there is never a second opener.
func TestManyOwnersManyClients(t *testing.T) {
	dir := t.TempDir()
	const writers, each = 6, 25
	var wg, come sync.WaitGroup
	var rounds atomic.Int64
	stop := make(chan struct{})
	for range 3 {
		come.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				h, err := owner.Acquire(t.Context(), dir, quick(dir))
				if err != nil {
					t.Errorf("Acquire: %v", err)
					return
				}
				if _, err := h.Stats(t.Context()); err != nil {
					t.Errorf("Stats: %v", err)
				}
				if h.Info().Owned {
					rounds.Add(1)
				}
				if err := h.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				time.Sleep(5 * time.Millisecond) // no process starts quicker
			}
		})
	}
	for w := range writers {
		wg.Go(func() {
			h, err := owner.Acquire(t.Context(), dir, quick(dir))
			if err != nil {
				t.Errorf("Acquire: %v", err)
				return
			}
			defer h.Close()
			for i := range each {
				if err := h.Put(t.Context(), []clipsearch.Entry{entry(w*each + i)}); err != nil {
					t.Errorf("Put %d of writer %d: %v", i, w, err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	come.Wait()
	st, err := acquire(t, dir, quick(dir)).Stats(t.Context())
	if err != nil || st.Images != writers*each {
		t.Errorf("%d images, %v; want %d", st.Images, err, writers*each)
	}
	t.Logf("%d short owners", rounds.Load())
}

// A goroutine that waits for the next owner stops waiting when its context ends.
func TestContextEndsTheWait(t *testing.T) {
	dir := t.TempDir()
	hold(t, dir, owner.Holder{PID: 4711, Command: "clipsearch serve"}, "", "")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := owner.Acquire(ctx, dir, quick(dir))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 3*time.Second {
		t.Errorf("Acquire = %v after %v, want %v at once", err, time.Since(start), context.DeadlineExceeded)
	}
	if want := fmt.Sprintf("process %d (clipsearch serve)", 4711); err == nil || !contains(err, want) {
		t.Errorf("Acquire = %v, want the name %q in it", err, want)
	}
}
