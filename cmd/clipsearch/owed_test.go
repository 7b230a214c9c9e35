//go:build !nomodel && unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index"
)

// putOf stores a picture as an ingest would that has begun under a model of dim
// numbers a vector.
func putOf(t *testing.T, dir string, space clipsearch.Space, dim int, file, thumb []byte, path string) {
	t.Helper()
	x, err := index.Open(dir, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v := make([]float32, dim)
	v[0] = 1
	m := clipsearch.Image{ID: clipsearch.NewID(file), Format: "png", Width: 24, Height: 24, Bytes: int64(len(file))}
	f := clipsearch.File{Path: path, Size: m.Bytes}
	if st, err := os.Stat(path); err == nil {
		f.ModTime = st.ModTime()
	}
	m.Files = []clipsearch.File{f}
	err = x.Put(t.Context(), []clipsearch.Entry{{Image: m, Space: space, Vectors: []clipsearch.Vector{v}, Thumb: thumb}})
	if cerr := x.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		t.Fatal(err)
	}
}

// An ingest during which the index has changed to another model ends with nothing
// owed.
func TestIngestAcrossAChange(t *testing.T) {
	first, second := twoModels(t)
	dir := t.TempDir()
	ix, pictures, late := filepath.Join(dir, "index"), filepath.Join(dir, "pictures"), filepath.Join(dir, "late.png")
	tinyPictures(t, pictures, 4)
	command(t, "ingest", pictures, "--index", ix, "--model", first, "--quiet")
	meta, err := index.ReadMeta(ix)
	if err != nil {
		t.Fatal(err)
	}
	command(t, "model", "switch", second, "--wait", "--index", ix, "--quiet")
	if err := os.Rename(filepath.Join(pictures, "0003.png"), late); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(late)
	if err != nil {
		t.Fatal(err)
	}
	command(t, "prune", "--index", ix) // it comes again, with a vector of the first model
	putOf(t, ix, meta.Space, meta.Dim, file, []byte("a thumbnail"), late)
	if got := command(t, "stats", "--index", ix, "--json"); !strings.Contains(got, `"switch":{"model":"onnx-mask"`) || !strings.Contains(got, `"done":3,"total":4`) {
		t.Fatalf("stats: %s", got)
	}
	command(t, "ingest", late, "--index", ix, "--quiet")
	if got := command(t, "stats", "--index", ix, "--json"); strings.Contains(got, `"switch"`) {
		t.Errorf("stats after the ingest: %s", got)
	}
	if got := command(t, "search", "--image", late, "--index", ix, "--format", "paths", "-n", "1"); strings.TrimSpace(got) != late {
		t.Errorf("the late picture is not found by itself: %s", got)
	}
	if got := command(t, "check", "--index", ix, "--json"); !strings.Contains(got, `"ok":true`) {
		t.Errorf("check: %s", got)
	}
}

// A picture that cannot be encoded keeps the index with the old model, and is named.
func TestSwitchThatCannotEnd(t *testing.T) {
	first, second := twoModels(t)
	dir := t.TempDir()
	ix, pictures := filepath.Join(dir, "index"), filepath.Join(dir, "pictures")
	tinyPictures(t, pictures, 4)
	command(t, "ingest", pictures, "--index", ix, "--model", first, "--quiet")
	meta, err := index.ReadMeta(ix)
	if err != nil {
		t.Fatal(err)
	}
	putOf(t, ix, meta.Space, meta.Dim, []byte("a picture"), []byte("no JPEG"), filepath.Join(dir, "gone.png"))
	before := command(t, "search", "red", "--index", ix, "--mode", "semantic", "--format", "paths")

	var stdout, stderr bytes.Buffer
	w := world{strings.NewReader(""), &stdout, &stderr, os.Getenv}
	code := run(t.Context(), []string{"model", "switch", second, "--wait", "--index", ix, "--json"}, w)
	if code != exitFailed || stdout.Len() > 0 || !strings.Contains(stderr.String(), "1 pictures cannot be encoded") || !strings.Contains(stderr.String(), "gone.png") {
		t.Errorf("switch: exit %d, stdout %q, stderr %q, want 1 and the picture's name", code, stdout.String(), stderr.String())
	}
	if got := spacesOf(t, ix)["onnx-mask"]; got.Images != 4 || !got.Next {
		t.Errorf("the other pictures: %+v", got)
	}
	if got := command(t, "search", "red", "--index", ix, "--mode", "semantic", "--format", "paths"); got != before {
		t.Error("the old model answers otherwise")
	}
	command(t, "prune", "--index", ix) // it is no picture of anybody's any more
	if got := command(t, "model", "switch", "--resume", "--wait", "--index", ix, "--json"); !strings.Contains(got, `"active":true`) {
		t.Errorf("resume: %s", got)
	}
	if got := command(t, "check", "--index", ix, "--json"); !strings.Contains(got, `"ok":true`) {
		t.Errorf("check: %s", got)
	}
}
