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
// commit. What is called gated wants the token hf_good, what is called wrong is listed
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
		case len(parts) < 4 || parts[3] != "main" && parts[3] != scriptCommit:
			fail(404, "RevisionNotFound")
		case p != r.URL.Path:
			listFolder(w, root)
		case strings.Contains(root, "gated") && r.Header.Get("Authorization") != "Bearer hf_good":
			fail(401, "GatedRepo")
		default:
			http.ServeFile(w, r, filepath.Join(root, filepath.FromSlash(parts[4])))
		}
	}
}

func listFolder(w http.ResponseWriter, root string) {
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
	json.NewEncoder(w).Encode(map[string]any{"sha": scriptCommit, "cardData": map[string]any{"license": licence}, "siblings": siblings}) //nolint:errcheck // the client may be gone
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

// TestPullKilled kills a pull in the middle of a file. The next one goes on from there,
// and until it is done there is no model.
func TestPullKilled(t *testing.T) {
	dir := t.TempDir()
	repo := filepath.Join(dir, "hub", "org", "clip")
	weights := bytes.Repeat([]byte("weights "), 250_000)
	for name, data := range map[string][]byte{"model.safetensors": weights, "config.json": []byte("{}")} {
		if err := os.MkdirAll(repo, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(repo, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const half = 1_000_000
	var mu sync.Mutex
	var ranges []string
	stalled := make(chan struct{})
	serve := serveHub(filepath.Join(dir, "hub"))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/model.safetensors") {
			serve(w, r)
			return
		}
		mu.Lock()
		ranges = append(ranges, r.Header.Get("Range"))
		first := len(ranges) == 1
		mu.Unlock()
		if !first {
			serve(w, r)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(weights)))
		w.Write(weights[:half]) //nolint:errcheck // the client is killed
		w.(http.Flusher).Flush()
		close(stalled)
		<-r.Context().Done()
	}))
	defer s.Close()
	pull := func(ctx context.Context) *exec.Cmd {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(ctx, exe, "model", "pull", "org/clip", "--json")
		cmd.Env = append(os.Environ(), asProgram+"=1", "HF_ENDPOINT="+s.URL, "HF_HOME="+filepath.Join(dir, "hf"), "HF_HUB_CACHE=", "HUGGINGFACE_HUB_CACHE=", "HF_HUB_OFFLINE=", "TRANSFORMERS_OFFLINE=")
		return cmd
	}
	ctx, kill := context.WithCancel(t.Context())
	first := pull(ctx)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	<-stalled
	incomplete := filepath.Join(dir, "hf", "hub", "models--org--clip", "blobs", fmt.Sprintf("%x.incomplete", sha256.Sum256(weights)))
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if st, err := os.Stat(incomplete); err == nil && st.Size() == half {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has not grown to %d bytes", incomplete, half)
		}
	}
	kill()
	first.Wait() //nolint:errcheck // it was killed
	if _, err := os.Stat(filepath.Join(dir, "hf", "hub", "models--org--clip", "snapshots")); err == nil {
		t.Error("there is a snapshot after the kill")
	}
	out, err := pull(t.Context()).CombinedOutput()
	if err != nil {
		t.Fatalf("the second pull: %v: %s", err, out)
	}
	if want := fmt.Sprintf("bytes=%d-", half); len(ranges) != 2 || ranges[1] != want {
		t.Errorf("it asked for %q, want %q", ranges, want)
	}
	got, err := os.ReadFile(filepath.Join(dir, "hf", "hub", "models--org--clip", "snapshots", scriptCommit, "model.safetensors"))
	if err != nil || !bytes.Equal(got, weights) {
		t.Errorf("the snapshot has %d bytes, %v", len(got), err)
	}
}
