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
	"github.com/clipsearch/clipsearch/internal/npy"
)

// TestWeights builds the towers of checkpoints and compares their features with
// PyTorch's.
func TestWeights(t *testing.T) {
	eachCheckpoint(t, "", func(t *testing.T, m clip.Model, expect string) {
		e := embed.Open(m, embed.Options{Library: library(t), Batch: 3})
		defer e.Close()
		testTowers(t, e, expect, false)
	})
}

// eachCheckpoint calls f for each checkpoint and the directory of what PyTorch makes
// of it: those of testdata, larger ones beside the repository where they are, and
// those below CLIPSEARCH_CHECKPOINTS, as other seeds make them.
func eachCheckpoint(t *testing.T, precision string, f func(t *testing.T, m clip.Model, expect string)) {
	var files []string
	for _, root := range []string{"testdata/models", "../../shared/fixtures/models", os.Getenv("CLIPSEARCH_CHECKPOINTS")} {
		some, err := filepath.Glob(filepath.Join(root, "*", "*.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		if root == "testdata/models" && len(some) == 0 {
			t.Fatal("the checkpoints of testdata are missing")
		}
		files = append(files, some...)
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m, err := clip.ReadModel(dir, precision)
			if err != nil {
				t.Fatal(err)
			}
			f(t, m, filepath.Join(dir, "expect"))
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

// TestWeightsInt8 builds the towers in int8: their features point where PyTorch's do,
// and no row depends on the rows that share its run.
func TestWeightsInt8(t *testing.T) {
	eachCheckpoint(t, "int8", func(t *testing.T, m clip.Model, expect string) {
		many := embed.Open(m, embed.Options{Library: library(t), Threads: 2, Batch: 3})
		defer many.Close()
		one := embed.Open(m, embed.Options{Library: library(t), Batch: 1})
		defer one.Close()
		if m.Image != "" {
			pixels := readFloats(t, filepath.Join(expect, "pixels.npy"))
			rows, err := many.RawPixels(t.Context(), pixels.Data, pixels.Shape[0])
			near(t, rows, err, readFloats(t, filepath.Join(expect, "image_features.npy")))
			alone, err := one.RawPixels(t.Context(), pixels.Data, pixels.Shape[0])
			same(t, rows, alone, err)
		}
		if m.Text == "" {
			return
		}
		ids := readInts(t, filepath.Join(expect, "ids.npy"))
		var mask [][]int64
		if name := filepath.Join(expect, "attention_mask.npy"); exists(name) {
			mask = readInts(t, name)
		}
		rows, err := many.RawIDs(t.Context(), ids, mask)
		near(t, rows, err, readFloats(t, filepath.Join(expect, "text_features.npy")))
		alone, err := one.RawIDs(t.Context(), ids, mask)
		same(t, rows, alone, err)
	})
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// near compares directions: a cosine of 0.998 at least.
func near(t *testing.T, rows [][]float32, err error, want npy.Array[float32]) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		u, err := clipsearch.Unit(row)
		if err != nil {
			t.Fatal(err)
		}
		w, err := clipsearch.Unit(want.Data[i*len(row) : (i+1)*len(row)])
		if err != nil {
			t.Fatal(err)
		}
		if c := u.Dot(w); !(c >= 0.998) {
			t.Errorf("row %d has a cosine of %.4f", i, c)

		}
	}
}

func same(t *testing.T, rows, alone [][]float32, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if off := distance(rows[i], alone[i]); off > 1e-6 {
			t.Errorf("row %d is %.1e off when it is alone", i, off)
		}
	}
}
