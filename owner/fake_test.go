package owner_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/gofrs/flock"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/owner"
)

// fake is an index in one file. Like the real one it refuses a second opener,
// and what Put has returned for is on disk.
type fake struct {
	dir  string
	lock *flock.Flock

	mu      sync.Mutex
	entries map[clipsearch.ID]clipsearch.Entry
	closed  bool
	before  func(ctx context.Context, call string) error // what befalls a call; may be nil
}

func openFake(dir string) (*fake, error) {
	x := &fake{dir: dir, lock: flock.New(filepath.Join(dir, "fake.lock")), entries: map[clipsearch.ID]clipsearch.Entry{}}
	if ok, err := x.lock.TryLock(); err != nil || !ok {
		return nil, fmt.Errorf("fake index: a second opener (%v)", err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "fake"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []clipsearch.Entry
	if err == nil {
		if err := fakeDecoding.Unmarshal(data, &list); err != nil {
			return nil, err
		}
	}
	for _, e := range list {
		x.entries[e.ID] = e
	}
	return x, nil
}

var fakeDecoding, _ = cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid}.DecMode()

func (x *fake) save() error {
	var list []clipsearch.Entry
	for _, e := range x.entries {
		list = append(list, e)
	}
	data, err := cbor.Marshal(list)
	if err != nil {
		return err
	}
	name := filepath.Join(x.dir, "fake")
	if err := os.WriteFile(name+".tmp", data, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".tmp", name)
}

// begin is the start of every call. The mutex is taken after the delay.
func (x *fake) begin(ctx context.Context, call string) (func(), error) {
	if x.before != nil {
		if err := x.before(ctx, call); err != nil {
			return func() {}, err
		}
	}
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		panic("fake index: " + call + " after Close")
	}
	return x.mu.Unlock, nil
}

func (x *fake) Seen(ctx context.Context, files []clipsearch.File) ([]clipsearch.ID, error) {
	end, err := x.begin(ctx, "seen")
	defer end()
	ids := make([]clipsearch.ID, len(files))
	for i, f := range files {
		for id, e := range x.entries {
			if slices.ContainsFunc(e.Files, func(g clipsearch.File) bool {
				return g.Path == f.Path && g.Size == f.Size && g.ModTime.Equal(f.ModTime)
			}) {
				ids[i] = id
			}
		}
	}
	return ids, err
}

func (x *fake) Has(ctx context.Context, ids []clipsearch.ID) ([]bool, error) {
	end, err := x.begin(ctx, "has")
	defer end()
	held := make([]bool, len(ids))
	for i, id := range ids {
		_, held[i] = x.entries[id]
	}
	return held, err
}

func (x *fake) Put(ctx context.Context, batch []clipsearch.Entry) error {
	end, err := x.begin(ctx, "put")
	defer end()
	if err != nil {
		return err
	}
	for _, e := range batch {
		if old, known := x.entries[e.ID]; known {
			if e.Captions == nil {
				e.Captions = old.Captions
			}
			e.Files = append(old.Files, e.Files...)
		}
		x.entries[e.ID] = e
	}
	return x.save()
}

func (x *fake) Forget(ctx context.Context, paths []string) (int, error) {
	end, err := x.begin(ctx, "forget")
	defer end()
	n := 0
	for id, e := range x.entries {
		if len(e.Files) > 0 && slices.Contains(paths, e.Files[0].Path) {
			delete(x.entries, id)
			n++
		}
	}
	return n, errors.Join(err, x.save())
}

func (x *fake) Delete(ctx context.Context, ids []clipsearch.ID) error {
	end, err := x.begin(ctx, "delete")
	defer end()
	for _, id := range ids {
		delete(x.entries, id)
	}
	return errors.Join(err, x.save())
}

func (x *fake) entry(ctx context.Context, call string, id clipsearch.ID) (clipsearch.Entry, error) {
	end, err := x.begin(ctx, call)
	defer end()
	e, ok := x.entries[id]
	if err == nil && !ok {
		err = fmt.Errorf("%s %s: %w", call, id, clipsearch.ErrNotFound)
	}
	return e, err
}

func (x *fake) Image(ctx context.Context, id clipsearch.ID) (clipsearch.Image, error) {
	e, err := x.entry(ctx, "image", id)
	return e.Image, err
}

func (x *fake) Vector(ctx context.Context, id clipsearch.ID) (clipsearch.Vector, error) {
	e, err := x.entry(ctx, "vector", id)
	if err != nil {
		return nil, err
	}
	return e.Vectors[0], nil
}

func (x *fake) Thumb(ctx context.Context, id clipsearch.ID) ([]byte, error) {
	e, err := x.entry(ctx, "thumb", id)
	return e.Thumb, err
}

func (x *fake) hits(admit func(clipsearch.Entry) (float32, bool), k int, f clipsearch.Filter) []clipsearch.Hit {
	var hits []clipsearch.Hit
	for id, e := range x.entries {
		if score, ok := admit(e); ok && f.Admits(e.Image) {
			hits = append(hits, clipsearch.Hit{ID: id, Score: score})
		}
	}
	slices.SortFunc(hits, func(a, b clipsearch.Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return hits[:min(k, len(hits))]
}

func (x *fake) Nearest(ctx context.Context, v clipsearch.Vector, k int, f clipsearch.Filter) ([]clipsearch.Hit, error) {
	end, err := x.begin(ctx, "nearest")
	defer end()
	return x.hits(func(e clipsearch.Entry) (float32, bool) { return v.Dot(e.Vectors[0]), true }, k, f), err
}

func (x *fake) Match(ctx context.Context, words string, k int, f clipsearch.Filter) ([]clipsearch.Hit, error) {
	end, err := x.begin(ctx, "match")
	defer end()
	if words == "panic" {
		panic("asked for it")
	}
	return x.hits(func(e clipsearch.Entry) (float32, bool) { return 1, strings.Contains(e.Caption(), words) }, k, f), err
}

func (x *fake) NearestCaptions(ctx context.Context, v clipsearch.Vector, k int) ([]clipsearch.TextHit, error) {
	end, err := x.begin(ctx, "captions")
	defer end()
	var hits []clipsearch.TextHit
	for _, e := range x.entries {
		for i, text := range e.Captions {
			hits = append(hits, clipsearch.TextHit{Text: text, Score: v.Dot(e.CaptionVectors[i])})
		}
	}
	slices.SortFunc(hits, func(a, b clipsearch.TextHit) int { return cmp.Compare(a.Text, b.Text) })
	return hits[:min(k, len(hits))], err
}

func (x *fake) Files(ctx context.Context) ([]clipsearch.File, error) {
	end, err := x.begin(ctx, "files")
	defer end()
	var list []clipsearch.File
	for _, e := range x.entries {
		list = append(list, e.Files...)
	}
	slices.SortFunc(list, func(a, b clipsearch.File) int { return cmp.Compare(a.Path, b.Path) })
	return list, err
}

func (x *fake) Stats(ctx context.Context) (clipsearch.Stats, error) {
	end, err := x.begin(ctx, "stats")
	defer end()
	return clipsearch.Stats{
		Images: len(x.entries), Model: "fake", Dim: 2, Bytes: map[string]int64{"store": 7},
		Spaces: []clipsearch.SpaceStats{{Model: "fake", Digest: clipsearch.Space{1, 2}, Active: true}},
	}, err
}

func (x *fake) Export(context.Context, clipsearch.ID, int) ([]clipsearch.Record, error) {
	return nil, nil
}

func (x *fake) Salvage(context.Context, clipsearch.ID, int) (clipsearch.Salvaged, error) {
	return clipsearch.Salvaged{Done: true}, nil
}

func (x *fake) Damage(context.Context) (string, error) { return "", nil }

func (x *fake) Import(context.Context, []clipsearch.SpaceModel, []clipsearch.Record) (clipsearch.Imported, error) {
	return clipsearch.Imported{}, nil
}

func (x *fake) Check(ctx context.Context, repair bool) ([]clipsearch.Problem, error) {
	end, err := x.begin(ctx, "check")
	defer end()
	if repair {
		return []clipsearch.Problem{}, err
	}
	return []clipsearch.Problem{{What: "a record is damaged", ID: "x", Repairable: true}}, err
}

func (x *fake) Compact(ctx context.Context) error {
	end, err := x.begin(ctx, "compact")
	defer end()
	return err
}

func (x *fake) Settle(ctx context.Context) error {
	end, err := x.begin(ctx, "settle")
	defer end()
	return err
}

// The spaces are the real index's business.

func (x *fake) Answering(ctx context.Context) (clipsearch.Space, error) {
	return clipsearch.Space{1, 2}, ctx.Err()
}

func (x *fake) Spaces(ctx context.Context) (clipsearch.Spaces, error) {
	end, err := x.begin(ctx, "spaces")
	defer end()
	return clipsearch.Spaces{Images: len(x.entries)}, err
}

func (x *fake) Writable(ctx context.Context) error {
	end, err := x.begin(ctx, "writable")
	defer end()
	return err
}

func (x *fake) SwitchTo(context.Context, clipsearch.SpaceStats) error { return nil }

func (x *fake) Lacking(context.Context, clipsearch.Space, clipsearch.ID, int, bool) ([]clipsearch.Lack, error) {
	return nil, nil
}

func (x *fake) Reencode(context.Context, clipsearch.Space, []clipsearch.Reencoded) error { return nil }
func (x *fake) Change(context.Context) (bool, error)                                     { return true, nil }
func (x *fake) Rollback(context.Context) error                                           { return nil }
func (x *fake) DropSpaces(context.Context) (int, int64, error)                           { return 0, 0, nil }

func (x *fake) SetLanguage(ctx context.Context, name string) error {
	end, err := x.begin(ctx, "language")
	defer end()
	if name == "klingon" {
		err = clipsearch.ErrInvalid
	}
	return err
}

func (x *fake) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	return x.lock.Close()
}

// entry makes the nth picture.
func entry(n int) clipsearch.Entry {
	id := clipsearch.NewID(fmt.Append(nil, "picture ", n))
	v, _ := clipsearch.Unit([]float32{float32(n), 1})
	return clipsearch.Entry{
		Image: clipsearch.Image{
			ID: id, Format: "jpeg", Width: 3, Height: 2, Bytes: int64(n), Captions: []string{fmt.Sprint("caption ", n)},
			Files:   []clipsearch.File{{Path: fmt.Sprintf("/photos/\xff%03d.jpg", n), Size: int64(n), ModTime: time.Unix(int64(n), 123456789)}},
			TakenAt: time.Date(2024, 5, 1, 12, 0, n, 0, time.FixedZone("", 7200)),
		},
		Vectors: []clipsearch.Vector{v}, CaptionVectors: []clipsearch.Vector{v}, Thumb: []byte{0xff, byte(n)},
	}
}

// quick are options with which nobody waits long.
func quick(dir string) owner.Options {
	return owner.Options{
		Open:   func() (owner.Index, error) { return openFake(dir) },
		Notice: 5 * time.Second, Patience: 20 * time.Second, Grace: 2 * time.Second,
		Command: "clipsearch test", Version: "1.2.3",
	}
}

// with opens x, whatever is in the directory, so that a test can lay hands on it.
func with(x *fake) func() (owner.Index, error) {
	return func() (owner.Index, error) { return x, nil }
}

func acquire(t testing.TB, dir string, o owner.Options) *owner.Handle {
	t.Helper()
	h, err := owner.Acquire(t.Context(), dir, o)
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// pair returns an owner of a new index, and a client of it.
func pair(t testing.TB, before func(ctx context.Context, call string) error) (*fake, *owner.Handle, *owner.Handle) {
	t.Helper()
	dir := t.TempDir()
	x, err := openFake(dir)
	if err != nil {
		t.Fatal(err)
	}
	x.before = before
	o := quick(dir)
	o.Open = with(x)
	own := acquire(t, dir, o)
	client := acquire(t, dir, quick(dir))
	if !own.Info().Owned || client.Info().Owned {
		t.Fatalf("owned: first %v, second %v, want true, false", own.Info().Owned, client.Info().Owned)
	}
	return x, own, client
}
