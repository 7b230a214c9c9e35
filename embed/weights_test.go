package embed_test

import (
	"errors"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
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

// TestTextOnly: a model without an image tower says so, and where its texts end
// makes no difference to their vectors, even where there is nothing of them.
func TestTextOnly(t *testing.T) {
	dir := "../../shared/fixtures/models/m-clip"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the fixtures are not beside the repository")
	}
	m, err := clip.ReadModel(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	e := embed.Open(m, embed.Options{Library: library(t)})
	defer e.Close()
	img := decode(t, "../testdata/photos/cat.jpg")
	if _, err := e.EncodeImages(t.Context(), []image.Image{e.Fit(img)}); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), "no image tower") {
		t.Errorf("EncodeImages: %v is not ErrInvalid that says that there is no image tower", err)
	}
	short := []int64{0, 17, 2}
	alone, err := e.RawIDs(t.Context(), [][]int64{short, {0}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	among, err := e.RawIDs(t.Context(), [][]int64{short, {0}, {0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 2}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range alone {
		if d := distance(among[i], alone[i]); d > 1e-6 {
			t.Errorf("text %d among longer ones is %.1e off its vector alone", i, d)
		}
	}
	none, err := e.RawIDs(t.Context(), [][]int64{{1, 1, 1}}, [][]int64{{0, 0, 0}})
	if err != nil || slices.ContainsFunc(none[0], func(v float32) bool { return v != v }) {
		t.Errorf("a text of which nothing is seen: %v, %v", none, err)
	}
}
