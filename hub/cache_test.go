package hub

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
)

// writeAll writes files below dir.
func writeAll(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, data := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestInstalled looks into a cache that Python has filled, with models of every kind,
// and asks no network.
func TestInstalled(t *testing.T) {
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	h := &Hub{Endpoint: "http://127.0.0.1:1", Cache: t.TempDir()}
	writeAll(t, h.Cache, map[string]string{
		"models--org--clip/refs/main":                               a + "\n",
		"models--org--clip/refs/refs/pr/1":                          b,
		"models--org--clip/snapshots/" + a + "/config.json":         `{"model_type":"clip"}`,
		"models--org--clip/snapshots/" + a + "/model.safetensors":   "w",
		"models--org--clip/snapshots/" + b + "/config.json":         `{"model_type":"clip"}`,
		"models--org--clip/snapshots/" + b + "/model.safetensors":   "w",
		"models--org--llama/refs/main":                              a,
		"models--org--llama/snapshots/" + a + "/config.json":        `{"model_type":"llama"}`,
		"models--org--llama/snapshots/" + a + "/model.safetensors":  "w",
		"models--org--half/snapshots/" + a + "/config.json":         `{"model_type":"clip"}`,
		"models--org--onnx/snapshots/" + a + "/visual/model.onnx":   "w",
		"models--org--onnx/snapshots/" + a + "/textual/model.onnx":  "w",
		"models--org--onnx/snapshots/" + a + "/README.md":           "---\nlicense: mit\n---\n",
		"models--org--small/snapshots/" + a + "/onnx/model.onnx":    "w",
		"models--bert/snapshots/" + a + "/model.safetensors":        "w",
		"datasets--org--clip/snapshots/" + a + "/model.safetensors": "w",
	})
	var got []string
	for _, s := range h.Installed() {
		got = append(got, s.Repo.String())
	}
	if want := "org/clip org/clip@refs/pr/1 org/onnx@" + a; strings.Join(got, " ") != want {
		t.Errorf("Installed = %q, want %q", got, want)
	}
	for in, want := range map[string]string{
		"org/clip": a, "org/clip@main": a, "org/clip@refs/pr/1": b, "org/clip@" + b: b, "org/clip@bbbbbbb": b, "org/onnx": a,
		"org/clip@bbbb": "", "org/clip@v2": "", "org/clip@" + strings.Repeat("c", 40): "", "org/none": "", "org/onnx@main": "",
	} {
		r, err := ParseRepo(in)
		if err != nil {
			t.Fatal(err)
		}
		s, err := h.Find(r)
		if s.Commit != want || (want == "") != errors.Is(err, clipsearch.ErrNotFound) {
			t.Errorf("Find(%s) = %q, %v, want %q", in, s.Commit, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "clipsearch model pull "+in) {
			t.Errorf("Find(%s) = %v, want what to do", in, err)
		}
	}
	s, _ := h.Find(Repo{Name: "org/onnx"})
	if s.Licence() != "mit" {
		t.Errorf("Licence = %q", s.Licence())
	}
	if p, err := s.Describe(Wish{}); err != nil || p.Layout != "visual-textual" || p.Bytes == 0 || p.Files[0].SHA256 == "" {
		t.Errorf("Describe = %+v, %v", p, err)
	}
	if s, _ = h.Find(Repo{Name: "org/half"}); s.Dir == "" {
		t.Fatal("org/half is not found")
	}
	if _, err := s.Describe(Wish{}); err == nil {
		t.Error("Describe of half a model gives no error")
	}
}

// TestProve compares an installed file with what the name of its blob says.
func TestProve(t *testing.T) {
	f := newFake(t)
	h := f.client()
	mustPull(t, h)
	s, err := h.Find(Repo{Name: "org/clip"})
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]string{weightsOf: digest(f.files[weightsOf]), "config.json": digest(f.files["config.json"]), "none": ""}
	if err := s.Prove(good); err != nil {
		t.Errorf("Prove: %v", err)
	}
	if err := s.Prove(map[string]string{weightsOf: strings.Repeat("0", 64)}); err == nil || !strings.Contains(err.Error(), "clipsearch model pull org/clip") {
		t.Errorf("Prove of other bytes = %v", err)
	}
}

// TestHostileCache: refs and links that somebody has put there lead nowhere.
func TestHostileCache(t *testing.T) {
	h := &Hub{Cache: t.TempDir()}
	writeAll(t, h.Cache, map[string]string{
		"models--org--clip/refs/main":                             "../../../../etc",
		"models--org--clip/snapshots/x/config.json":               `{}`,
		"models--org--long/refs/main":                             strings.Repeat("a", 1<<20),
		"models--org--clip/snapshots/.tmp-1/a.json":               "",
		"models--..--etc/snapshots/" + testCommit + "/model.onnx": "",
	})
	for _, name := range []string{"org/clip", "org/long"} {
		if s, err := h.Find(Repo{Name: name}); err == nil {
			t.Errorf("Find(%s) = %+v", name, s)
		}
	}
	if list := h.Installed(); len(list) > 0 {
		t.Errorf("Installed = %+v", list)
	}
}
