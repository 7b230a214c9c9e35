package main

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

const scriptCommit = "5c1d5c1d5c1d5c1d5c1d5c1d5c1d5c1d5c1d5c1d"

// serveHub answers as a hub does for repositories that are folders of dir, each at one
// commit, and at any that the registry names. What is called gated wants the token hf_good, what is called wrong is listed
// with another digest than it has; a file LICENCE says what its card's licence is.
func serveHub(dir string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p := strings.TrimPrefix(r.URL.Path, "/api/models")
		parts := strings.SplitN(strings.TrimPrefix(p, "/"), "/", 5) // org, name, revision or resolve, revision, file
		root := filepath.Join(dir, filepath.FromSlash(path.Join(parts[:2]...)))
		fail := func(status int, code string) {
			w.Header().Set("X-Error-Code", code)
			w.WriteHeader(status)
		}
		switch st, err := os.Stat(root); {
		case err != nil || !st.IsDir():
			fail(404, "RepoNotFound")
		case len(parts) < 4 || parts[3] != "main" && len(parts[3]) != len(scriptCommit):
			fail(404, "RevisionNotFound")
		case p != r.URL.Path:
			listFolder(w, root, parts[3])
		case strings.Contains(root, "gated") && r.Header.Get("Authorization") != "Bearer hf_good":
			fail(401, "GatedRepo")
		default:
			http.ServeFile(w, r, filepath.Join(root, filepath.FromSlash(parts[4])))
		}
	}
}

func listFolder(w http.ResponseWriter, root, commit string) {
	if commit == "main" {
		commit = scriptCommit
	}
	var siblings []any
	licence := ""
	_ = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(root, name)
		if rel == "LICENCE" {
			licence = strings.TrimSpace(string(data))
			return nil
		}
		s := map[string]any{"rfilename": filepath.ToSlash(rel), "size": len(data), "blobId": fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(data), data)))}
		if ext := filepath.Ext(rel); ext == ".onnx" || ext == ".safetensors" || ext == ".onnx_data" {
			if strings.Contains(root, "wrong") {
				data = append(bytes.Clone(data[1:]), 'x')
			}
			s["lfs"] = map[string]any{"sha256": fmt.Sprintf("%x", sha256.Sum256(data)), "size": len(data)}
		}
		siblings = append(siblings, s)
		return err
	})
	json.NewEncoder(w).Encode(map[string]any{"sha": commit, "cardData": map[string]any{"license": licence}, "siblings": siblings}) //nolint:errcheck // the client may be gone
}

// scriptHub is the scripts' command hub DIR: it serves the folders ORG/NAME of DIR as
// a hub does, and has HF_ENDPOINT name it.
func scriptHub(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: hub DIR")
	}
	s := httptest.NewServer(serveHub(ts.MkAbs(args[0])))
	ts.Defer(s.Close)
	ts.Setenv("HF_ENDPOINT", s.URL)
	ts.Setenv("HF_HOME", ts.MkAbs("hf"))
}

// stallingHub serves dir, but the first time the file model.safetensors is asked for it
// sends half of it and then nothing.
type stallingHub struct {
	dir     string
	half    []byte
	size    int
	stalled chan struct{}

	mu     sync.Mutex
	ranges []string
}

func (s *stallingHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	first := false
	if strings.HasSuffix(r.URL.Path, "/model.safetensors") {
		s.mu.Lock()
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		first = len(s.ranges) == 1
		s.mu.Unlock()
	}
	if !first {
		serveHub(s.dir)(w, r)
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(s.size))
	w.Write(s.half) //nolint:errcheck // the client is killed
	w.(http.Flusher).Flush()
	close(s.stalled)
	<-r.Context().Done()
}

// pullProcess is a pull of org/clip in a process of its own.
func pullProcess(ctx context.Context, t *testing.T, endpoint, home string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, exe, "model", "pull", "org/clip", "--json")
	cmd.Env = append(os.Environ(), asProgram+"=1", "HF_ENDPOINT="+endpoint, "HF_HOME="+home, "HF_HUB_CACHE=", "HUGGINGFACE_HUB_CACHE=", "HF_HUB_OFFLINE=", "TRANSFORMERS_OFFLINE=")
	return cmd
}

// TestPullKilled kills a pull in the middle of a file. The next one goes on from there,
// and until it is done there is no model.
func TestPullKilled(t *testing.T) {
	dir := t.TempDir()
	repo, home := filepath.Join(dir, "hub", "org", "clip"), filepath.Join(dir, "hf")
	weights := bytes.Repeat([]byte("weights "), 250_000)
	if err := os.MkdirAll(repo, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"model.safetensors": weights, "config.json": []byte("{}")} {
		if err := os.WriteFile(filepath.Join(repo, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	hub := &stallingHub{dir: filepath.Join(dir, "hub"), half: weights[:1_000_000], size: len(weights), stalled: make(chan struct{})}
	s := httptest.NewServer(hub)
	defer s.Close()
	ctx, kill := context.WithCancel(t.Context())
	first := pullProcess(ctx, t, s.URL, home)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	<-hub.stalled
	cache := filepath.Join(home, "hub", "models--org--clip")
	waitForSize(t, filepath.Join(cache, "blobs", fmt.Sprintf("%x.incomplete", sha256.Sum256(weights))), int64(len(hub.half)))
	kill()
	first.Wait() //nolint:errcheck // it was killed
	if _, err := os.Stat(filepath.Join(cache, "snapshots")); err == nil {
		t.Error("there is a snapshot after the kill")
	}
	out, err := pullProcess(t.Context(), t, s.URL, home).CombinedOutput()
	if err != nil {
		t.Fatalf("the second pull: %v: %s", err, out)
	}
	if len(hub.ranges) != 2 || hub.ranges[1] != "bytes=1000000-" {
		t.Errorf("it asked for %q, want the rest", hub.ranges)
	}
	got, err := os.ReadFile(filepath.Join(cache, "snapshots", scriptCommit, "model.safetensors"))
	if err != nil || !bytes.Equal(got, weights) {
		t.Errorf("the snapshot has %d bytes, %v", len(got), err)
	}
}

// waitForSize waits until a file has grown to size.
func waitForSize(t *testing.T, name string, size int64) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if st, err := os.Stat(name); err == nil && st.Size() == size {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has not grown to %d bytes", name, size)
		}
	}
}
