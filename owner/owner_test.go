package owner_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/owner"
)

// A client answers as the owner does: each call of both, and the answers compared.
func TestSameAnswers(t *testing.T) {
	_, own, client := pair(t, nil)
	ctx := t.Context()
	odd := entry(4)
	odd.Captions, odd.Tags, odd.CaptionVectors = []string{}, nil, nil
	odd.TakenAt = time.Time{}
	if err := client.Put(ctx, []clipsearch.Entry{entry(1), entry(2), entry(3), odd}); err != nil {
		t.Fatal(err)
	}
	id, unknown, v := entry(2).ID, clipsearch.ID{1}, entry(9).Vectors[0]
	filter := clipsearch.Filter{{Field: "bytes", Op: ">", Number: 1}, {Field: "taken", Op: ">=", Time: time.Unix(5, 0), Not: true}}
	calls := map[string]func(h *owner.Handle) (any, error){
		"seen":     func(h *owner.Handle) (any, error) { return h.Seen(ctx, append(entry(3).Files, entry(5).Files...)) },
		"has":      func(h *owner.Handle) (any, error) { return h.Has(ctx, []clipsearch.ID{id, unknown}) },
		"image":    func(h *owner.Handle) (any, error) { return h.Image(ctx, id) },
		"empty":    func(h *owner.Handle) (any, error) { return h.Image(ctx, odd.ID) },
		"none":     func(h *owner.Handle) (any, error) { return h.Image(ctx, unknown) },
		"vector":   func(h *owner.Handle) (any, error) { return h.Vector(ctx, id) },
		"thumb":    func(h *owner.Handle) (any, error) { return h.Thumb(ctx, id) },
		"nearest":  func(h *owner.Handle) (any, error) { return h.Nearest(ctx, v, 2, nil) },
		"filtered": func(h *owner.Handle) (any, error) { return h.Nearest(ctx, v, 9, filter) },
		"match":    func(h *owner.Handle) (any, error) { return h.Match(ctx, "caption", 9, nil) },
		"captions": func(h *owner.Handle) (any, error) { return h.NearestCaptions(ctx, v, 9) },
		"files":    func(h *owner.Handle) (any, error) { return h.Files(ctx) },
		"stats":    func(h *owner.Handle) (any, error) { return h.Stats(ctx) },
		"check":    func(h *owner.Handle) (any, error) { return h.Check(ctx, false) },
		"repair":   func(h *owner.Handle) (any, error) { return h.Check(ctx, true) },
		"compact":  func(h *owner.Handle) (any, error) { return nil, h.Compact(ctx) },
		"settle":   func(h *owner.Handle) (any, error) { return nil, h.Settle(ctx) },
		"language": func(h *owner.Handle) (any, error) { return nil, h.SetLanguage(ctx, "de") },
		"klingon":  func(h *owner.Handle) (any, error) { return nil, h.SetLanguage(ctx, "klingon") },
	}
	for name, call := range calls {
		want, wantErr := call(own)
		got, gotErr := call(client)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-owner +client):\n%s", name, diff)
		}
		if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			t.Errorf("%s: client says %v, owner %v", name, gotErr, wantErr)
		}
	}
	if got, err := client.Image(ctx, odd.ID); err != nil || got.Captions == nil || got.Tags != nil {
		t.Errorf("Image = captions %#v, tags %#v, %v; want empty, nil", got.Captions, got.Tags, err)
	}
	if n, err := client.Forget(ctx, []string{entry(1).Files[0].Path, "/absent"}); n != 1 || err != nil {
		t.Errorf("Forget = %d, %v, want 1", n, err)
	}
	if err := client.Delete(ctx, []clipsearch.ID{id}); err != nil {
		t.Error(err)
	}
	if held, err := own.Has(ctx, []clipsearch.ID{entry(1).ID, id, entry(3).ID}); err != nil || held[0] || held[1] || !held[2] {
		t.Errorf("Has = %v, %v after Forget and Delete, want false false true", held, err)
	}
}

// A file of an impossible year is stored without its time, and does not stop its batch.
func TestTimesBeyondRFC3339(t *testing.T) {
	_, own, client := pair(t, nil)
	e := entry(1)
	e.Files[0].ModTime = time.Date(30828, 9, 14, 0, 0, 0, 0, time.UTC)
	e.TakenAt = time.Date(1850, 1, 1, 0, 0, 0, 0, time.FixedZone("LMT", 1172))
	if err := client.Put(t.Context(), []clipsearch.Entry{e}); err != nil {
		t.Fatal(err)
	}
	m, err := own.Image(t.Context(), e.ID)
	if err != nil || !m.TakenAt.Equal(e.TakenAt) || !m.Files[0].ModTime.IsZero() {
		t.Errorf("Image = taken %v, file of %v, %v; want %v, no time", m.TakenAt, m.Files[0].ModTime, err, e.TakenAt)
	}
	if ids, err := client.Seen(t.Context(), e.Files); err != nil || ids[0] != e.ID {
		t.Errorf("Seen = %v, %v, want %v", ids, err, e.ID)
	}
	if e.Files[0].ModTime.IsZero() {
		t.Error("Put has changed the caller's entry")
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	kinds := []error{clipsearch.ErrInvalid, clipsearch.ErrNotFound, clipsearch.ErrNoSpace, clipsearch.ErrReadOnly, context.Canceled, context.DeadlineExceeded}
	failures := []error{
		fmt.Errorf("vector of 3 numbers: %w", clipsearch.ErrInvalid),
		fmt.Errorf("a picture: %w", clipsearch.ErrNotFound),
		fmt.Errorf("12 MB free, 200 MB needed: %w", clipsearch.ErrNoSpace),
		fmt.Errorf("a stick that is locked: %w", clipsearch.ErrReadOnly),
		errors.Join(clipsearch.ErrNoSpace, clipsearch.ErrInvalid),
		errors.New("what nobody decides on:\nsecond line, ünïcödé"),
	}
	var fails error
	_, _, client := pair(t, func(context.Context, string) error { return fails })
	for _, fails = range failures {
		err := client.Put(t.Context(), []clipsearch.Entry{entry(1)})
		if err == nil || err.Error() != fails.Error() {
			t.Errorf("Put = %v, want %v", err, fails)
		}
		for _, kind := range kinds {
			if got, want := errors.Is(err, kind), errors.Is(fails, kind); got != want {
				t.Errorf("errors.Is(%v, %v) = %v, want %v", err, kind, got, want)
			}
		}
	}
}

func TestTextsOfTheOwner(t *testing.T) {
	here, there := clipsearch.Space{1}, clipsearch.Space{2}
	for _, tt := range []struct {
		name        string
		texts       owner.Texts
		own, client clipsearch.Space
		ok          bool
	}{
		{"no encoder", nil, here, here, false},
		{"same space", lengths{}, here, here, true},
		{"spaces not said", lengths{}, clipsearch.Space{}, clipsearch.Space{}, true},
		{"another space", lengths{}, here, there, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			o := quick(dir)
			o.Texts, o.Space = tt.texts, tt.own
			acquire(t, dir, o)
			o = quick(dir)
			o.Space = tt.client
			got, ok, err := acquire(t, dir, o).EncodeTexts(t.Context(), []string{"dog", "horse"})
			if err != nil || ok != tt.ok {
				t.Fatalf("EncodeTexts = %v, %v, want ok %v", ok, err, tt.ok)
			}
			want := []clipsearch.Vector{{3}, {5}}
			if diff := gocmp.Diff(want, got); ok && diff != "" {
				t.Errorf("EncodeTexts (-want +got):\n%s", diff)
			}
		})
	}
}

// lengths encodes a text as its length.
type lengths struct{}

func (lengths) EncodeTexts(_ context.Context, list []string) (vectors []clipsearch.Vector, _ error) {
	for _, s := range list {
		vectors = append(vectors, clipsearch.Vector{float32(len(s))})
	}
	return vectors, nil
}

func TestCancelReachesTheOwner(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan error, 1)
	_, _, client := pair(t, func(ctx context.Context, call string) error {
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if _, err := client.Stats(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stats = %v, want %v", err, context.Canceled)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the owner's call ended with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the owner's call did not end")
	}
}

// A bug in one call is that call's error; the owner serves the others.
func TestPanicIsAnError(t *testing.T) {
	_, _, client := pair(t, nil)
	if _, err := client.Match(t.Context(), "panic", 1, nil); err == nil || !strings.Contains(err.Error(), "asked for it") {
		t.Errorf("Match = %v, want the panic", err)
	}
}

func TestAcquireWhereNothingIs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "absent")
	_, err := owner.Acquire(t.Context(), dir, quick(dir))
	if !errors.Is(err, clipsearch.ErrNotFound) || !strings.Contains(err.Error(), "clipsearch ingest") {
		t.Errorf("Acquire = %v, want ErrNotFound and `clipsearch ingest`", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Acquire has made %s", dir)
	}
	o := quick(dir)
	o.Create = true
	acquire(t, dir, o)
	if info, err := os.Stat(dir); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("made %v, %v, want mode 0700", info.Mode(), err)
	}
}

func TestAcquireAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Acquire(t.Context(), name, quick(name)); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("Acquire = %v, want ErrInvalid", err)
	}
}

// An index that does not open is an error, and nobody has to wait for it after.
func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	o := quick(dir)
	broken := fmt.Errorf("a damaged manifest: %w", clipsearch.ErrInvalid)
	o.Open = func() (owner.Index, error) { return nil, broken }
	if _, err := owner.Acquire(t.Context(), dir, o); !errors.Is(err, broken) || err.Error() != broken.Error() {
		t.Errorf("Acquire = %v, want %v", err, broken)
	}
	if _, err := os.Stat(filepath.Join(dir, "owner.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("owner.json: %v, want none", err)
	}
	if h := acquire(t, dir, quick(dir)); !h.Info().Owned {
		t.Error("the next one does not own the index")
	}
}

func TestClosed(t *testing.T) {
	_, own, client := pair(t, nil)
	for name, h := range map[string]*owner.Handle{"client": client, "owner": own} {
		if err := h.Close(); err != nil {
			t.Errorf("%s: Close = %v", name, err)
		}
		if _, err := h.Stats(t.Context()); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("%s: Stats after Close = %v", name, err)
		}
		if err := h.Close(); err != nil {
			t.Errorf("%s: second Close = %v", name, err)
		}
	}
}

// Nothing is left behind by owners and clients that have come and gone.
func TestNothingLeaks(t *testing.T) {
	dir := t.TempDir()
	round := func() {
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				h, err := owner.Acquire(t.Context(), dir, quick(dir))
				if err != nil {
					t.Error(err)
					return
				}
				if err := h.Put(t.Context(), []clipsearch.Entry{entry(n)}); err != nil {
					t.Error(err)
				}
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	round()
	before := goroutines()
	for range 5 {
		round()
	}
	if after := goroutines(); after > before {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before:\n%s", after, before, buf[:runtime.Stack(buf, true)])
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) != 3 { // owner.lock, fake, fake.lock
		t.Errorf("left in the directory: %v, %v", names, err)
	}
}

// goroutines is the least number of them within a while: connections end in theirs.
func goroutines() int {
	least := math.MaxInt
	for range 50 {
		least = min(least, runtime.NumGoroutine())
		time.Sleep(5 * time.Millisecond)
	}
	return least
}
