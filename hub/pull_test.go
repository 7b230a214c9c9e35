package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

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

// TestBadDays pulls through what a network and a busy hub do. The CDN sends no byte
// twice but what a broken connection had under way.
func TestBadDays(t *testing.T) {
	half := 150_000
	tests := []struct {
		name           string
		hubDay, cdnDay func(f *fake, n int, w http.ResponseWriter, r *http.Request) bool
		ranges         []string // that the CDN is asked for
	}{
		{name: "busy hub", hubDay: func(_ *fake, n int, w http.ResponseWriter, _ *http.Request) bool {
			if n%3 == 0 {
				w.WriteHeader([]int{500, 502, 503, 504, 429, 408}[n/3%6])
			}
			return n%3 == 0
		}, ranges: []string{"GET "}},
		{name: "broken off in the middle", cdnDay: func(f *fake, n int, w http.ResponseWriter, _ *http.Request) bool {
			if n == 1 {
				f.breakOff(w, weightsOf, half)
			}
			return false
		}, ranges: []string{"GET ", "GET bytes=150000-"}},
		{name: "broken off again and again", cdnDay: func(f *fake, n int, w http.ResponseWriter, r *http.Request) bool {
			var from int
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			if to := from + 70_000; to < 300_000 {
				if from > 0 {
					w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-299999/300000", from))
					w.Header().Set("Content-Length", fmt.Sprint(300_000-from))
					w.WriteHeader(206)
				}
				w.Write(f.files[weightsOf][from:to]) //nolint:errcheck // it is broken off anyway
				panic(http.ErrAbortHandler)
			}
			return false
		}, ranges: []string{"GET ", "GET bytes=70000-", "GET bytes=140000-", "GET bytes=210000-", "GET bytes=280000-"}},
		{name: "ends early as if whole", cdnDay: func(f *fake, n int, w http.ResponseWriter, _ *http.Request) bool {
			if n == 1 {
				w.(*counter).ResponseWriter.(http.Flusher).Flush() // no length
				w.Write(f.files[weightsOf][:half])                 //nolint:errcheck // as above
			}
			return n == 1
		}, ranges: []string{"GET ", "GET bytes=150000-"}},
		{name: "range ignored", cdnDay: func(f *fake, n int, w http.ResponseWriter, _ *http.Request) bool {
			if n == 1 {
				f.breakOff(w, weightsOf, half)
			}
			w.Write(f.files[weightsOf]) //nolint:errcheck // as above
			return true
		}, ranges: []string{"GET ", "GET bytes=150000-"}},
		{name: "another range", cdnDay: func(f *fake, n int, w http.ResponseWriter, _ *http.Request) bool {
			switch n {
			case 1:
				f.breakOff(w, weightsOf, half)
			case 2:
				w.Header().Set("Content-Range", "bytes 7-299999/300000")
				w.WriteHeader(206)
				w.Write(f.files[weightsOf][7:]) //nolint:errcheck // as above
			}
			return n == 2
		}, ranges: []string{"GET ", "GET bytes=150000-", "GET "}},
		{name: "range refused", cdnDay: func(f *fake, n int, w http.ResponseWriter, _ *http.Request) bool {
			switch n {
			case 1:
				f.breakOff(w, weightsOf, half)
			case 2:
				w.WriteHeader(416)
			}
			return n == 2
		}, ranges: []string{"GET ", "GET bytes=150000-", "GET "}},
		{name: "address run out", cdnDay: func(_ *fake, n int, w http.ResponseWriter, _ *http.Request) bool {
			if n == 1 {
				w.WriteHeader(403)
			}
			return n == 1
		}, ranges: []string{"GET ", "GET "}},
		{name: "silent CDN", cdnDay: func(f *fake, n int, w http.ResponseWriter, r *http.Request) bool {
			if n == 1 {
				w.Write(f.files[weightsOf][:half]) //nolint:errcheck // as above
				w.(*counter).ResponseWriter.(http.Flusher).Flush()
				<-r.Context().Done()
			}
			return n == 1
		}, ranges: []string{"GET ", "GET bytes=150000-"}},
		{name: "silent hub", hubDay: func(_ *fake, n int, _ http.ResponseWriter, r *http.Request) bool {
			if n == 1 {
				<-r.Context().Done()
			}
			return n == 1
		}, ranges: []string{"GET "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			if tt.hubDay != nil {
				f.hubDay = func(n int, w http.ResponseWriter, r *http.Request) bool { return tt.hubDay(f, n, w, r) }
			}
			if tt.cdnDay != nil {
				f.cdnDay = func(n int, w http.ResponseWriter, r *http.Request) bool { return tt.cdnDay(f, n, w, r) }
			}
			h := f.client()
			h.Patience, h.Parallel = 300*time.Millisecond, 1
			within(t, 20*time.Second, func() {
				if _, err := pull(t, h); err != nil {
					t.Fatalf("Pull: %v", err)
				}
			})
			f.mustStand(h, weightsOf, "config.json")
			if !cmp.Equal(f.seen().fetched, tt.ranges) {
				t.Errorf("the CDN was asked for %q, want %q", f.seen().fetched, tt.ranges)
			}
			for _, name := range filesBelow(t, h.Cache) {
				if strings.HasSuffix(name, ".incomplete") {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

// TestGivesUp pulls from a hub that never comes round: the error says what and why,
// and there is an end to it.
func TestGivesUp(t *testing.T) {
	for _, tt := range []struct {
		name string
		day  func(n int, w http.ResponseWriter, r *http.Request) bool
		asks int
		says string
	}{
		{"down", func(_ int, w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }, maxTries, "503 Service Unavailable, 5 times: try again later"},
		{"asks for an hour", func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
			return true
		}, 1, "429 Too Many Requests: it asks to come back in 1h0m0s"},
		{"silent", func(_ int, _ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, maxTries, "nothing came for"},
		{"drops", func(int, http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, maxTries, "EOF"},
		{"leads in circles", func(_ int, w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return true
		}, maxRedirects, "redirects more than 10 times"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.hubDay = tt.day
			h := f.client()
			h.Patience = 50 * time.Millisecond
			within(t, 10*time.Second, func() {
				if _, err := pull(t, h); err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("Pull = %v, want %q", err, tt.says)
				}
			})
			if len(f.seen().asked) != tt.asks {
				t.Errorf("it was asked %d times, want %d", len(f.seen().asked), tt.asks)
			}
			mustNotStand(t, h)
		})
	}
}

// TestRetryAfter holds the waiting to what a busy hub asks for.
func TestRetryAfter(t *testing.T) {
	f := newFake(t)
	var first, second atomic.Int64
	f.hubDay = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 1:
			first.Store(time.Now().UnixNano())
		case 2:
			second.Store(time.Now().UnixNano())
		}
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
		}
		return n == 1
	}
	h := f.client()
	h.Parallel = 1
	mustPull(t, h)
	if d := time.Duration(second.Load() - first.Load()); d < time.Second {
		t.Errorf("asked again after %s, want 1 s", d)
	}
	for header, want := range map[string]time.Duration{
		"Retry-After: 7": 7 * time.Second, "Retry-After: soon": 0, "Retry-After: -3": 0, "Retry-After: Mon, 02 Jan 2006 15:04:05 GMT": 0,
		`RateLimit: "api";r=0;t=55`: 55 * time.Second, `RateLimit: "api";r=9;t=55`: 0,
	} {
		k, v, _ := strings.Cut(header, ": ")
		if got := retryAfter(http.Header{http.CanonicalHeaderKey(k): {v}}); got != want {
			t.Errorf("retryAfter(%s) = %s, want %s", header, got, want)
		}
	}
}

// TestWrongBytes pulls files that are not what the hub says: nothing of them stays.
func TestWrongBytes(t *testing.T) {
	for _, tt := range []struct {
		name string
		day  func(f *fake, n int, w http.ResponseWriter) bool
		says string
	}{
		{"another byte", func(f *fake, _ int, w http.ResponseWriter) bool {
			b := slices.Clone(f.files[weightsOf])
			b[299_000] ^= 1
			w.Write(b) //nolint:errcheck // the client sees it
			return true
		}, "have the SHA-256"},
		{"too many bytes, told", func(f *fake, _ int, w http.ResponseWriter) bool {
			w.Header().Set("Content-Length", "300001")
			w.Write(append(slices.Clone(f.files[weightsOf]), 0)) //nolint:errcheck // as above
			return true
		}, "the hub lists 300000 bytes"},
		{"too many bytes, untold", func(f *fake, _ int, w http.ResponseWriter) bool {
			w.(*counter).ResponseWriter.(http.Flusher).Flush()
			w.Write(append(slices.Clone(f.files[weightsOf]), make([]byte, 5e6)...)) //nolint:errcheck // as above
			return true
		}, "more came than the 300000 bytes"},
		{"too few bytes, told", func(f *fake, _ int, w http.ResponseWriter) bool {
			w.Header().Set("Content-Length", "7")
			w.Write(f.files[weightsOf][:7]) //nolint:errcheck // as above
			return true
		}, "the hub lists 300000 bytes"},
		{"packed", func(f *fake, _ int, w http.ResponseWriter) bool {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(f.files[weightsOf]) //nolint:errcheck // as above
			return true
		}, "gzip"},
		{"of another size, in the rest", func(f *fake, n int, w http.ResponseWriter) bool {
			if n == 1 {
				f.breakOff(w, weightsOf, 10)
			}
			w.Header().Set("Content-Range", "bytes 10-399999/400000")
			w.WriteHeader(206)
			return true
		}, "has 400000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.cdnDay = func(n int, w http.ResponseWriter, _ *http.Request) bool { return tt.day(f, n, w) }
			h := f.client()
			if _, err := pull(t, h); err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), weightsOf) {
				t.Errorf("Pull = %v, want %q", err, tt.says)
			}
			mustNotStand(t, h)
			if _, err := os.Stat(filepath.Join(h.Cache, "models--org--clip", "blobs", f.etag(weightsOf))); err == nil {
				t.Error("the wrong bytes have the name of the right ones")
			}
			f.cdnDay = nil
			mustPull(t, h)
			f.mustStand(h, weightsOf)
		})
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
