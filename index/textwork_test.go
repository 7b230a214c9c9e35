package index

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
)

// TestMatchBesideWriter: who looks for words does not wait for who writes to the store,
// and sees what was put before all the same.
func TestMatchBesideWriter(t *testing.T) {
	x := newIndex(t)
	put(t, x, testEntry(1))
	for n, what := range []string{"the first", "an open text index"} {
		put(t, x, testEntry(n+2))
		x.writing.Lock() // as a load, Check, Compact or Change does for as long as it takes
		within(t, 10*time.Second, "Match of "+what, func() {
			if hits := match(t, x, fmt.Sprintf("number%d", n+2), 5, nil); len(hits) != 1 {
				t.Errorf("%d hits", len(hits))
			}
			if st, err := x.Stats(t.Context()); err != nil || st.TextDocuments != n+2 {
				t.Errorf("Stats = %+v, %v", st, err)
			}
		})
		x.writing.Unlock()
	}
	for end := time.Now().Add(10 * time.Second); keysOf(t, x, dirtyPrefix) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody tells the store what the text index knows")
		}
	}
}

// TestMatchBesideMatch: searches for words wait for no other, nor for longer than
// their contexts.
func TestMatchBesideMatch(t *testing.T) {
	x := newIndex(t)
	put(t, x, testEntry(1))
	match(t, x, "dog", 5, nil)
	in, out := make(chan bool), make(chan bool)
	go func() { _ = x.text.with(context.Background(), func(*wordIndex) error { close(in); <-out; return nil }) }()
	<-in
	put(t, x, testEntry(2)) // Bleve is to be told of it
	within(t, 10*time.Second, "Match", func() {
		if hits := match(t, x, "number2", 5, nil); len(hits) != 1 {
			t.Errorf("%d hits", len(hits))
		}
	})
	close(out)
	put(t, x, testEntry(3))
	if err := x.text.take(t.Context()); err != nil { // as who builds it anew
		t.Fatal(err)
	}
	defer x.text.give()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	within(t, 10*time.Second, "Match", func() {
		if _, err := x.Match(ctx, "dog", 5, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Match = %v", err)
		}
	})
}

// TestMatchSeesAll: whoever puts, finds, while others do the same, compare and build
// anew.
func TestMatchSeesAll(t *testing.T) {
	x := newIndex(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	ended := make(chan error)
	for worker := range 3 {
		go func() {
			var err error
			for n := worker; ctx.Err() == nil && err == nil; n += 3 {
				err = putAndFind(x, n)
			}
			ended <- err
		}()
	}
	go func() {
		var err error
		for ctx.Err() == nil && err == nil {
			err = errors.Join(x.text.renew(context.Background()), clean(x))
		}
		ended <- err
	}()
	for range 4 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	mustBeClean(t, x)
}

// putAndFind puts picture n, finds it, takes it out every second time and does not find
// it any more.
func putAndFind(x *Index, n int) error {
	word := fmt.Sprintf("number%d", n)
	find := func(want int) error {
		hits, err := x.Match(context.Background(), word, 5, nil)
		if err != nil || len(hits) != want {
			return fmt.Errorf("%s: %d hits, want %d: %v", word, len(hits), want, err)
		}
		return nil
	}
	e := lean(n)
	e.Captions = []string{word}
	if err := x.Put(context.Background(), []clipsearch.Entry{e}); err != nil {
		return err
	}
	if err := find(1); err != nil || n%2 == 0 {
		return err
	}
	if err := x.Delete(context.Background(), []clipsearch.ID{e.ID}); err != nil {
		return err
	}
	return find(0)
}

func clean(x *Index) error {
	problems, err := x.Check(context.Background(), false)
	if len(problems) > 0 {
		return fmt.Errorf("Check = %+v, %w", problems, err)
	}
	return err
}
