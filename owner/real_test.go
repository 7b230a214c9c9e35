package owner_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index"
	"github.com/clipsearch/clipsearch/index/indextest"
	"github.com/clipsearch/clipsearch/owner"
)

var _ owner.Index = (*index.Index)(nil)

// realOptions open the index that all this is for.
func realOptions(dir string) owner.Options {
	o := quick(dir)
	o.Create = true
	o.Open = func() (owner.Index, error) {
		return index.Open(dir, index.Options{Space: clipsearch.Space{1}, Model: "test", Dim: 2, Create: true})
	}
	return o
}

func realEntry(n int) clipsearch.Entry {
	e := entry(n)
	e.Space = clipsearch.Space{1}
	return e
}

// A client is one more store: over a socket, and over a loopback port.
func TestConformance(t *testing.T) {
	for name, place := range map[string]func(*testing.T) string{
		"socket": func(t *testing.T) string { return t.TempDir() }, "port": deepDir,
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name == "port" {
				t.Skip("the wire is the same")
			}
			indextest.Run(t, func(t *testing.T) indextest.Store {
				dir := place(t)
				o := realOptions(dir)
				o.Open = func() (owner.Index, error) {
					return index.Open(dir, index.Options{Space: indextest.Space, Model: "test", Dim: indextest.Dim, Create: true})
				}
				acquire(t, dir, o)
				client := acquire(t, dir, o)
				if client.Info().Owned {
					t.Fatal("not a client")
				}
				return client
			})
		})
	}
}

// Owners of a real index are killed and leave by turns, under a client that
// stores: the store takes no second opener and nothing stored is lost.
func TestRealIndex(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	stored := 0
	for round := range 6 {
		c := start(t, "hold real", dir)
		c.says("owned true")
		h := acquire(t, dir, realOptions(dir))
		done := make(chan int, 1)
		go func() {
			n := 0
			for ; n < 20; n++ {
				if err := h.Put(t.Context(), []clipsearch.Entry{realEntry(100*round + n)}); err != nil {
					break
				}
			}
			done <- n
		}()
		time.Sleep(time.Duration(round) * 5 * time.Millisecond)
		killed := round%2 == 0
		if killed {
			c.kill()
		} else {
			c.stdin.Close()
		}
		n := <-done
		if !killed && n != 20 {
			t.Fatalf("round %d: %d of 20 stored, although the owner left in good order", round, n)
		}
		now := images(t, h)
		if now < stored+n || now > stored+n+1 { // one was in flight
			t.Fatalf("round %d: %d images, want %d and perhaps one", round, now, stored+n)
		}
		stored = now
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		_ = c.cmd.Wait()
	}
	h := acquire(t, dir, realOptions(dir))
	client := acquire(t, dir, realOptions(dir))
	if problems, err := client.Check(t.Context(), false); err != nil || len(problems) > 0 || client.Info().Owned || !h.Info().Owned {
		t.Errorf("Check = %v, %v, want nothing", problems, err)
	}
	hits, err := client.Nearest(t.Context(), realEntry(1).Vectors[0], 3, nil)
	if err != nil || len(hits) != 3 {
		t.Errorf("Nearest = %v, %v, want 3 hits", hits, err)
	}
}
