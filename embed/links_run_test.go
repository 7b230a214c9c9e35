package embed_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
)

// TestLinkedWeights runs checkpoints whose files are links to elsewhere, as in the
// cache of the Hugging Face hub.
func TestLinkedWeights(t *testing.T) {
	for _, name := range []string{"hf-clip", "openclip-vit", "onnx-external", "onnx-joint"} {
		t.Run(name, func(t *testing.T) {
			from := filepath.Join("../../shared/fixtures/models", name)
			if _, err := os.Stat(from); err != nil {
				t.Skip("the fixtures are not beside the repository")
			}
			dir := filepath.Join(t.TempDir(), "snapshots", "c")
			linkTree(t, from, dir, filepath.Join(filepath.Dir(filepath.Dir(dir)), "blobs"))
			m, err := clip.ReadModel(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			e := embed.Open(m, embed.Options{Library: library(t)})
			defer e.Close()
			testTowers(t, e, filepath.Join(from, "expect"), name == "onnx-joint")
		})
	}
}

// linkTree makes of the files of a model links to copies in blobs.
func linkTree(t *testing.T, from, to, blobs string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(from, "*"))
	deeper, _ := filepath.Glob(filepath.Join(from, "onnx", "*"))
	for i, file := range append(files, deeper...) {
		if st, err := os.Stat(file); err != nil || st.IsDir() {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(from, file)
		blob, name := filepath.Join(blobs, string(rune('a'+i))), filepath.Join(to, rel)
		for _, dir := range []string{blobs, filepath.Dir(name)} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(blob, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(blob, name); err != nil {
			t.Skipf("no links can be made here: %v", err)
		}
	}
}
