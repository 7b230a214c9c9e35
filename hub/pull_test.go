package hub

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

// TestPull pulls a model on a good day: the cache is as Python makes it, with the
// needed files alone, and a second pull loads nothing.
func TestPull(t *testing.T) {
	f := newFake(t)
	h := f.client()
	p := mustPull(t, h)
	needed := []string{"README.md", "config.json", weightsOf, "preprocessor_config.json", "tokenizer.json"}
	f.mustStand(h, needed...)
	var want, got []string
	for _, n := range needed {
		want = append(want, "models--org--clip/blobs/"+f.etag(n), "models--org--clip/snapshots/"+testCommit+"/"+n)
	}
	want = append(want, "models--org--clip/refs/main")
	slices.Sort(want)
	if got = filesBelow(t, h.Cache); !cmp.Equal(got, want) {
		t.Errorf("the cache (-want +got):\n%s", cmp.Diff(want, got))
	}
	link, err := os.Readlink(filepath.Join(p.Dir, weightsOf))
	if want := filepath.Join("..", "..", "blobs", f.etag(weightsOf)); link != want {
		t.Errorf("the snapshot's link leads to %q, %v; want %q", link, err, want)
	}
	ref, _ := os.ReadFile(filepath.Join(h.Cache, "models--org--clip", "refs", "main"))
	if string(ref) != testCommit || p.Commit != testCommit || p.Layout != "transformers" || p.Licence != "mit" {
		t.Errorf("ref %q, Pulled %+v", ref, p)
	}
	var bytes int64
	for _, file := range p.Files {
		bytes += file.Bytes
		if file.SHA256 != digest(f.files[file.Name]) {
			t.Errorf("%s has the SHA-256 %s, not the file's", file.Name, file.SHA256)
		}
	}
	if p.Bytes != bytes || p.Loaded != bytes {
		t.Errorf("Bytes %d, Loaded %d, want %d", p.Bytes, p.Loaded, bytes)
	}
	sent := f.seen().sent
	if p = mustPull(t, h); p.Loaded != 0 || f.seen().sent != sent {
		t.Errorf("a second pull loads %d, the CDN sent %d more", p.Loaded, f.seen().sent-sent)
	}
	for _, rev := range []string{testCommit, "refs/pr/1"} {
		if _, err := h.Pull(t.Context(), Repo{"org/clip", rev}, Order{}); err != nil || f.seen().sent != sent {
			t.Errorf("Pull at %s: %v, the CDN sent %d more", rev, err, f.seen().sent-sent)
		}
	}
	if s, err := h.Find(Repo{"org/clip", "refs/pr/1"}); err != nil || s.Commit != testCommit {
		t.Errorf("Find at refs/pr/1 = %v, %v", s, err)
	}
}

// TestResume breaks a pull off, harms what it left, and pulls again.
func TestResume(t *testing.T) {
	for _, tt := range []struct {
		name   string
		harm   func([]byte) []byte
		ranges []string
	}{
		{"left as it was", func(b []byte) []byte { return b }, []string{"GET ", "GET bytes=200000-"}},
		{"cut", func(b []byte) []byte { return b[:1000] }, []string{"GET ", "GET bytes=1000-"}},
		{"empty", func([]byte) []byte { return nil }, []string{"GET ", "GET "}},
		{"zeros, as after a loss of power", func(b []byte) []byte { return make([]byte, len(b)) }, []string{"GET ", "GET bytes=200000-", "GET "}},
		{"too long", func(b []byte) []byte { return make([]byte, 400_000) }, []string{"GET ", "GET "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			ctx, cancel := context.WithCancel(t.Context())
			f.cdnDay = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if n == 1 {
					w.Header().Set("Content-Length", "300000")
					w.Write(f.files[weightsOf][:200_000]) //nolint:errcheck // it is broken off anyway
					w.(*counter).ResponseWriter.(http.Flusher).Flush()
					<-r.Context().Done()
				}
				return n == 1
			}
			h := f.client()
			incomplete := filepath.Join(h.Cache, "models--org--clip", "blobs", f.etag(weightsOf)+".incomplete")
			_, err := h.Pull(ctx, Repo{Name: "org/clip"}, Order{Progress: func(int64, int64) {
				if st, err := os.Stat(incomplete); err == nil && st.Size() == 200_000 {
					cancel()
				}
			}})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("Pull = %v, want that it was called off", err)
			}
			mustNotStand(t, h)
			left, err := os.ReadFile(incomplete)
			if err != nil || len(left) != 200_000 {
				t.Fatalf("left are %d bytes, %v", len(left), err)
			}
			if err := os.WriteFile(incomplete, tt.harm(left), 0o644); err != nil {
				t.Fatal(err)
			}
			var last int64
			p, err := h.Pull(t.Context(), Repo{Name: "org/clip"}, Order{Progress: func(done, _ int64) { last = done }})
			if err != nil || last != p.Bytes {
				t.Fatalf("Pull: %v; progress ended at %d of %d", err, last, p.Bytes)
			}
			f.mustStand(h, weightsOf)
			if !cmp.Equal(f.seen().fetched, tt.ranges) {
				t.Errorf("the CDN was asked for %q, want %q", f.seen().fetched, tt.ranges)
			}
		})
	}
}

// TestHarmedBlob pulls over a blob that has come to harm.
func TestHarmedBlob(t *testing.T) {
	f := newFake(t)
	h := f.client()
	p := mustPull(t, h)
	for _, harm := range []string{"", "short", strings.Repeat("x", 300_000)} {
		if err := os.WriteFile(filepath.Join(p.Dir, weightsOf), []byte(harm), 0o644); err != nil {
			t.Fatal(err)
		}
		if p := mustPull(t, h); p.Loaded != 300_000 {
			t.Errorf("over %d bytes of harm %d are loaded", len(harm), p.Loaded)
		}
		f.mustStand(h, weightsOf)
	}
}

// fullDisk is a file on a disk that has room for so many bytes.
type fullDisk struct {
	partFile
	room *int
}

func (d fullDisk) Write(b []byte) (int, error) {
	n := min(len(b), *d.room)
	n, err := d.partFile.Write(b[:n])
	*d.room -= n
	if err == nil && n < len(b) {
		err = &os.PathError{Op: "write", Path: "blob", Err: syscall.ENOSPC}
	}
	return n, err
}

// TestFullDisk fills the disk on the way, and before: the error tells, nothing is
// half installed, and with room made the pull goes on.
func TestFullDisk(t *testing.T) {
	f := newFake(t)
	h := f.client()
	room := 100_000
	h.create = func(name string) (partFile, error) {
		file, err := createPart(name)
		if strings.Contains(name, f.etag(weightsOf)) {
			return fullDisk{file, &room}, err
		}
		return file, err
	}
	_, err := pull(t, h)
	if !errors.Is(err, clipsearch.ErrNoSpace) || !strings.Contains(err.Error(), "is full: free some and pull again") {
		t.Errorf("Pull = %v, want that the disk is full", err)
	}
	mustNotStand(t, h)
	room = 1 << 30
	h.free = func(string) (int64, error) { return 1000, nil }
	asked := len(f.seen().fetched)
	if _, err := pull(t, h); !errors.Is(err, clipsearch.ErrNoSpace) || !strings.Contains(err.Error(), "MB free") || len(f.seen().fetched) != asked {
		t.Errorf("Pull = %v, and the CDN was asked %d times; want that there is no room, before anything is loaded", err, len(f.seen().fetched)-asked)
	}
	h.free = nil
	p := mustPull(t, h)
	f.mustStand(h, weightsOf)
	if last := f.seen().fetched[len(f.seen().fetched)-1]; !strings.HasPrefix(last, "GET bytes=") {
		t.Errorf("the last request was %q, want the rest of the file", last)
	}
	if p.Loaded >= p.Bytes {
		t.Errorf("%d of %d bytes were loaded again", p.Loaded, p.Bytes)
	}
}

// TestTogether pulls the same model several times at once: it is loaded once.
func TestTogether(t *testing.T) {
	f := newFake(t)
	cache := f.client().Cache
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			h := f.client()
			h.Cache = cache
			if _, err := h.Pull(t.Context(), Repo{Name: "org/clip"}, Order{}); err != nil {
				t.Errorf("Pull: %v", err)
			}
		})
	}
	wg.Wait()
	f.mustStand(&Hub{Cache: cache}, weightsOf, "config.json", "tokenizer.json")
	if f.seen().sent != 300_000 {
		t.Errorf("the CDN sent %d bytes, want 300000", f.seen().sent)
	}
	for _, name := range filesBelow(t, cache) {
		if strings.Contains(name, "tmp") || strings.HasSuffix(name, ".incomplete") {
			t.Errorf("%s is left", name)
		}
	}
}

// TestNoLinks pulls where no symbolic links can be made, and where a snapshot's files
// are copies already.
func TestNoLinks(t *testing.T) {
	f := newFake(t)
	h := f.client()
	h.link = func(string, string) error { return errors.ErrUnsupported }
	p := mustPull(t, h)
	f.mustStand(h, weightsOf, "config.json")
	if st, err := os.Lstat(filepath.Join(p.Dir, weightsOf)); err != nil || !st.Mode().IsRegular() {
		t.Errorf("Lstat = %v, %v, want a file", st, err)
	}
	if p := mustPull(t, h); p.Loaded != 0 {
		t.Errorf("a second pull loads %d", p.Loaded)
	}
	s, err := h.Find(Repo{Name: "org/clip"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prove(map[string]string{weightsOf: digest(f.files[weightsOf])}); err != nil {
		t.Errorf("Prove: %v", err)
	}
}

// TestNewCommit pulls again when main has moved: what is the same is not loaded, and
// the old snapshot stays.
func TestNewCommit(t *testing.T) {
	f := newFake(t)
	h := f.client()
	old := mustPull(t, h)
	f.commit = strings.Repeat("ab", 20)
	f.files["config.json"] = []byte(`{"model_type":"clip","new":1}`)
	p := mustPull(t, h)
	if p.Loaded != int64(len(f.files["config.json"])) || f.seen().sent != 300_000 {
		t.Errorf("Loaded %d, the CDN sent %d", p.Loaded, f.seen().sent)
	}
	f.mustStand(h, weightsOf, "config.json")
	if s, err := h.Find(Repo{Name: "org/clip"}); err != nil || s.Commit != f.commit {
		t.Errorf("Find = %v, %v, want the new commit", s, err)
	}
	if s, err := h.Find(Repo{"org/clip", testCommit[:8]}); err != nil || s.Dir != old.Dir {
		t.Errorf("Find of the old commit = %v, %v", s, err)
	}
}

// TestUntold pulls from a mirror whose listing has no sizes and digests: the files'
// own headers tell them, or nothing is taken.
func TestUntold(t *testing.T) {
	f := newFake(t)
	f.bare = true
	h := f.client()
	p := mustPull(t, h)
	f.mustStand(h, weightsOf, "config.json")
	if p.Bytes < 300_000 {
		t.Errorf("Bytes = %d", p.Bytes)
	}
	f.hubDay = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/resolve/") {
			w.Write([]byte("no etag")) //nolint:errcheck // the client sees it
			return true
		}
		return false
	}
	if _, err := pull(t, h); err == nil || !strings.Contains(err.Error(), "cannot be proven") {
		t.Errorf("Pull = %v, want that nothing proves the files", err)
	}
}

// TestUnwritable pulls into a place where nothing can be made.
func TestUnwritable(t *testing.T) {
	f := newFake(t)
	h := f.client()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.Cache = filepath.Join(file, "hub")
	if _, err := pull(t, h); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Pull = %v, want that %s is in the way", err, file)
	}
}
