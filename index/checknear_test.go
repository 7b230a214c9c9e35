package index

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index/ann"
)

// within fails the test if fn has not returned in time.
func within(t *testing.T, limit time.Duration, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); fn() }()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("%s does not come back", what)
	}
}

// inMemory returns what searches of x work on.
func inMemory(x *Index) (*memory, *near) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.mem, x.mem.vectors
}

// TestCheckDuringSave: a saving needs the lock of writers when Check waits for it.
func TestCheckDuringSave(t *testing.T) {
	x := openSmall(t, filepath.Join(t.TempDir(), "index"))
	putLean(t, x, 0, 300)
	settle(t, x)
	putLean(t, x, 300, 310)
	mem, n := inMemory(x)
	s := &saver{x: x, meta: x.meta(), of: n}
	checked := make(chan error, 1)
	within(t, 10*time.Second, "Save", func() {
		_, _, err := n.Save(context.Background(), ann.Kept{}, ann.Keeper{
			At: func(freeze func()) {
				go func() { _, err := x.Check(context.Background(), false); checked <- err }()
				time.Sleep(200 * time.Millisecond) // until it waits
				s.at(freeze)
			},
			Name: func(d uint32) ann.Name { return ann.Name(mem.pictures.name(doc(d))) },
			Put:  s.put,
		})
		if err != nil {
			t.Error(err)
		}
	})
	within(t, 10*time.Second, "Check", func() {
		if err := <-checked; err != nil {
			t.Error(err)
		}
	})
}

// TestCheckDuringWork: who waits for a graph to be built keeps nobody from writing,
// and does not wait longer than its context.
func TestCheckDuringWork(t *testing.T) {
	x := newIndex(t)
	putLean(t, x, 0, 20)
	nearest(t, x, 1)
	_, n := inMemory(x)
	if err := n.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer n.give()
	ctx, cancel := context.WithCancel(t.Context())
	checked := make(chan error, 1)
	go func() { _, err := x.Check(ctx, false); checked <- err }()
	time.Sleep(200 * time.Millisecond) // until it waits
	within(t, 5*time.Second, "Put", func() { putLean(t, x, 20, 21) })
	cancel()
	within(t, 5*time.Second, "Check", func() {
		if err := <-checked; !errors.Is(err, context.Canceled) {
			t.Errorf("Check = %v", err)
		}
	})
}

// TestCheckDuringWrites: what comes and goes while Check looks is nothing wrong.
func TestCheckDuringWrites(t *testing.T) {
	x := openSmall(t, filepath.Join(t.TempDir(), "index"))
	putLean(t, x, 0, 300)
	settle(t, x)
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() {
		var err error
		for n := 0; err == nil && ctx.Err() == nil; n++ {
			err = errors.Join(
				x.Delete(context.Background(), []clipsearch.ID{testID(n % 300), testID((n + 7) % 300)}),
				x.Put(context.Background(), []clipsearch.Entry{lean(n % 300), lean(300 + n%50)}))
		}
		written <- err
	}()
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		mustBeClean(t, x)
	}
	cancel()
	if err := <-written; err != nil {
		t.Error(err)
	}
	mustBeClean(t, x)
}

// TestNearIsWrong: codes that are missing, and those of no picture, are named and made
// again.
func TestNearIsWrong(t *testing.T) {
	for what, do := range map[string]func(m *memory, n *near) error{
		"its vector has no codes": func(m *memory, n *near) error { n.Remove(m.docs[testID(3)]); return nil },
		"301 codes of 300 vectors": func(m *memory, n *near) error {
			return n.Add(m.docs[testID(3)], unit(testDim, 77))
		},
	} {
		t.Run(what, func(t *testing.T) {
			x := openSmall(t, filepath.Join(t.TempDir(), "index"))
			putLean(t, x, 0, 300)
			settle(t, x)
			if err := do(inMemory(x)); err != nil {
				t.Fatal(err)
			}
			mustName(t, x, what)
			if _, err := x.Check(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			mustBeClean(t, x)
			if nearest(t, x, 3) != testID(3) {
				t.Error("it is not found after repair")
			}
		})
	}
}
