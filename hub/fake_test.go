package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testCommit = "5c1d5c1d5c1d5c1d5c1d5c1d5c1d5c1d5c1d5c1d"
	testToken  = "hf_secret"
	weightsOf  = "model.safetensors"
)

// fake is a hub and the CDN that it sends for large files, with the bad days that a
// test gives them.
type fake struct {
	t        *testing.T
	files    map[string][]byte // of org/clip
	commit   string
	bare     bool                                                     // the listing tells no sizes and digests
	describe func(map[string]any)                                     // changes the listing
	hubDay   func(n int, w http.ResponseWriter, r *http.Request) bool // answers the n-th request of the hub in its place
	cdnDay   func(n int, w http.ResponseWriter, r *http.Request) bool

	hub, cdn *httptest.Server

	mu         sync.Mutex
	asked      []string // of the hub: method and path
	fetched    []string // of the CDN: method and Range
	sent       int      // bytes by the CDN
	hubTokens  []string
	cdnHeaders []http.Header
}

func newFake(t *testing.T) *fake {
	t.Helper()
	rnd := rand.NewChaCha8([32]byte{1})
	weights := make([]byte, 300_000)
	rnd.Read(weights) //nolint:errcheck // it always fills
	f := &fake{t: t, commit: testCommit, files: map[string][]byte{
		weightsOf: weights, "config.json": []byte(`{"model_type":"clip"}`), "tokenizer.json": []byte(`{"model":{}}`),
		"preprocessor_config.json": []byte(`{"size":224}`), "README.md": []byte("---\nlicense: mit\n---\n"), "pytorch_model.bin": []byte("pickle"),
		".gitattributes": nil, "flax_model.msgpack": []byte("flax"),
	}}
	f.cdn = httptest.NewServer(http.HandlerFunc(f.serveCDN))
	f.hub = httptest.NewServer(http.HandlerFunc(f.serveHub))
	t.Cleanup(f.hub.Close)
	t.Cleanup(f.cdn.Close)
	return f
}

// client is a Hub of the fake, which loses no time.
func (f *fake) client() *Hub {
	return &Hub{Endpoint: f.hub.URL, Token: testToken, Cache: filepath.Join(f.t.TempDir(), "hub"), Pause: time.Millisecond, Patience: 5 * time.Second}
}

func isLarge(name string) bool {
	return strings.HasSuffix(name, ".safetensors") || strings.Contains(name, ".onnx")
}

func digest(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
func gitBlob(b []byte) string {
	return fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(b), b)))
}

func (f *fake) etag(name string) string {
	if isLarge(name) {
		return digest(f.files[name])
	}
	return gitBlob(f.files[name])
}

func (f *fake) serveHub(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked = append(f.asked, r.Method+" "+r.URL.Path)
	f.hubTokens = append(f.hubTokens, r.Header.Get("Authorization"))
	n := len(f.asked)
	f.mu.Unlock()
	if f.hubDay != nil && f.hubDay(n, w, r) {
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/api/resolve-cache/"); ok {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(f.files[name])))
		return
	}
	path := r.URL.EscapedPath()
	if rev, ok := strings.CutPrefix(path, "/api/models/org/clip/revision/"); ok {
		if rev, _ = url.PathUnescape(rev); rev != "main" && rev != f.commit && rev != "refs/pr/1" {
			refuse(w, 404, "RevisionNotFound", "Invalid rev id: "+rev)
			return
		}
		f.list(w)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/org/clip/resolve/"+f.commit+"/")
	data, there := f.files[name]
	switch {
	case !strings.HasPrefix(path, "/org/clip/") && !strings.HasPrefix(path, "/api/models/org/clip/"):
		refuse(w, 404, "RepoNotFound", "Repository not found")
		return
	case !ok || !there:
		refuse(w, 404, "EntryNotFound", "Entry not found")
		return
	}
	w.Header().Set("X-Repo-Commit", f.commit)
	w.Header().Set("X-Linked-Etag", `"`+f.etag(name)+`"`)
	w.Header().Set("X-Linked-Size", fmt.Sprint(len(data)))
	if isLarge(name) {
		w.Header().Set("Location", f.cdn.URL+"/blob/"+name+"?Signature=sgn")
		w.WriteHeader(http.StatusFound)
		return
	}
	w.Header().Set("Location", "/api/resolve-cache/"+name)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Error-Code", code)
	w.Header().Set("X-Error-Message", message)
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":%q}`, message)
}

func (f *fake) list(w http.ResponseWriter) {
	var siblings []any
	for name, data := range f.files {
		s := map[string]any{"rfilename": name}
		if !f.bare {
			s["size"], s["blobId"] = len(data), gitBlob(data)
		}
		if !f.bare && isLarge(name) {
			s["lfs"] = map[string]any{"sha256": digest(data), "size": len(data), "pointerSize": 134}
		}
		siblings = append(siblings, s)
	}
	a := map[string]any{"id": "org/clip", "sha": f.commit, "cardData": map[string]any{"license": "mit"}, "config": map[string]any{"model_type": "clip"}, "siblings": siblings}
	if f.describe != nil {
		f.describe(a)
	}
	json.NewEncoder(w).Encode(a) //nolint:errcheck // the client may be gone
}

func (f *fake) serveCDN(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.fetched = append(f.fetched, r.Method+" "+r.Header.Get("Range"))
	f.cdnHeaders = append(f.cdnHeaders, r.Header.Clone())
	n := len(f.fetched)
	f.mu.Unlock()
	c := &counter{ResponseWriter: w, f: f}
	if f.cdnDay != nil && f.cdnDay(n, c, r) {
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/blob/")
	http.ServeContent(c, r, "", time.Time{}, strings.NewReader(string(f.files[name])))
}

// counter counts what the CDN sends.
type counter struct {
	http.ResponseWriter
	f *fake
}

func (c *counter) Write(b []byte) (int, error) {
	c.f.mu.Lock()
	c.f.sent += len(b) // before the client has them
	c.f.mu.Unlock()
	return c.ResponseWriter.Write(b)
}

// seen is what the fake has noted so far.
type seen struct {
	asked, fetched, hubTokens []string
	cdnHeaders                []http.Header
	sent                      int
}

func (f *fake) seen() seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	return seen{slices.Clone(f.asked), slices.Clone(f.fetched), slices.Clone(f.hubTokens), slices.Clone(f.cdnHeaders), f.sent}
}

// breakOff answers with the first n bytes of a file, and ends the connection.
func (f *fake) breakOff(w http.ResponseWriter, name string, n int) {
	w.Header().Set("Content-Length", fmt.Sprint(len(f.files[name])))
	io.WriteString(w, string(f.files[name][:n])) //nolint:errcheck // it is broken off anyway
	panic(http.ErrAbortHandler)
}

func pull(t *testing.T, h *Hub) (Pulled, error) {
	t.Helper()
	return h.Pull(t.Context(), Repo{Name: "org/clip"}, Order{})
}

func mustPull(t *testing.T, h *Hub) Pulled {
	t.Helper()
	p, err := pull(t, h)
	if err != nil {
		t.Fatalf("Pull: %v", err)
	}
	return p
}

// mustStand holds the snapshot to what the fake has.
func (f *fake) mustStand(h *Hub, names ...string) {
	f.t.Helper()
	for _, name := range names {
		got, err := os.ReadFile(filepath.Join(h.Cache, "models--org--clip", "snapshots", f.commit, filepath.FromSlash(name)))
		if err != nil || string(got) != string(f.files[name]) {
			f.t.Errorf("%s in the snapshot: %d bytes, %v; want the hub's %d", name, len(got), err, len(f.files[name]))
		}
	}
}

// mustNotStand holds the cache to have no snapshot and no revision.
func mustNotStand(t *testing.T, h *Hub) {
	t.Helper()
	for _, name := range filesBelow(t, h.Cache) {
		if strings.Contains(name, "/snapshots/") || strings.Contains(name, "/refs/") {
			t.Errorf("%s is there", name)
		}
	}
	if s, err := h.Find(Repo{Name: "org/clip"}); err == nil {
		t.Errorf("Find = %v, want none", s)
	}
}

// filesBelow are the files below dir, but for locks, with slashes, sorted.
func filesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.Contains(name, ".locks") {
			rel, _ := filepath.Rel(dir, name)
			names = append(names, filepath.ToSlash(rel))
		}
		return nil
	})
	slices.Sort(names)
	return names
}

// within fails the test if fn takes longer than d.
func within(t *testing.T, d time.Duration, fn func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); fn() }()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatalf("no end within %s", d)
	}
}
