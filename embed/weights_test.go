package embed_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
)

// TestWeights builds the towers of checkpoints and compares their features with
// PyTorch's. CLIPSEARCH_CHECKPOINTS may name another directory of them, as other
// seeds make it.
func TestWeights(t *testing.T) {
	root := "../../shared/fixtures/models"
	if dir := os.Getenv("CLIPSEARCH_CHECKPOINTS"); dir != "" {
		root = dir
	}
	files, _ := filepath.Glob(filepath.Join(root, "*", "*.safetensors"))
	if len(files) == 0 {
		t.Skip("the fixtures are not beside the repository")
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m, err := clip.ReadModel(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			e := embed.Open(m, embed.Options{Library: library(t), Batch: 3})
			defer e.Close()
			testTowers(t, e, filepath.Join(dir, "expect"), false)
		})
	}
}
