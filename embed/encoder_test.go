package embed_test

import (
	"context"
	"encoding/json"
	"errors"
	"image"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/adrg/xdg"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/embed/builtin"
	"github.com/clipsearch/clipsearch/internal/npy"
	"github.com/clipsearch/clipsearch/picture"
	"github.com/clipsearch/clipsearch/runtime"
)

// library finds ONNX Runtime as the program does, or skips.
func library(t testing.TB) func() (string, error) {
	lib, err := runtime.Find(runtime.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")})
	if err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	return func() (string, error) { return lib.Path, nil }
}

func builtinEncoder(t testing.TB) *embed.Encoder {
	m, err := builtin.Model()
	if err != nil {
		t.Skip(err)
	}
	e := embed.Open(m, embed.Options{Library: library(t)})
	t.Cleanup(func() { e.Close() })
	return e
}

type reference struct {
	Images map[string][]float32
	Texts  []struct {
		Text   string
		IDs    []int64
		Vector []float32
	}
}

func readReference(t *testing.T) (r reference) {
	data, err := os.ReadFile("testdata/reference.json")
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestImagesEqualPython compares with Python's vectors of the same files. What is
// lossless must agree. Of a JPEG, Python's decoder and ours differ by a level
// here and there, which an int8 model makes steps of, so its bar is the cosine.
func TestImagesEqualPython(t *testing.T) {
	e := builtinEncoder(t)
	for name, want := range readReference(t).Images {
		got, err := e.EncodeImages(t.Context(), []image.Image{decode(t, filepath.Join("..", name))})
		if err != nil {
			t.Fatal(err)
		}
		if cos := got[0].Dot(want); cos < 0.995 {
			t.Errorf("%s: cosine to Python's vector is %.5f", name, cos)
		}
		if d := distance(got[0], want); filepath.Ext(name) == ".png" && d > 1e-4 {
			t.Errorf("%s: the vector is %.1e off", name, d)
		}
	}
}

func TestTextsEqualPython(t *testing.T) {
	e := builtinEncoder(t)
	words, err := e.Model().OpenTokenizer()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range readReference(t).Texts {
		if ids := words.Encode(want.Text); !equal(ids, want.IDs) {
			t.Errorf("ids of %q are %v, not %v", want.Text, ids, want.IDs)
		}
		got, err := e.EncodeTexts(t.Context(), []string{want.Text})
		if err != nil {
			t.Fatal(err)
		}
		if d := distance(got[0], want.Vector); d > 1e-4 {
			t.Errorf("vector of %q is %.1e off", want.Text, d)
		}
	}
}

// TestNeighbours: a vector does not depend on what shares its batch, nor on
// what else is being encoded.
func TestNeighbours(t *testing.T) {
	e := builtinEncoder(t)
	cat := decode(t, "../testdata/photos/cat.jpg")
	alone, err := e.EncodeImages(t.Context(), []image.Image{cat})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			some, err := e.EncodeImages(t.Context(), []image.Image{decode(t, "../testdata/photos/coffee.jpg"), cat, e.Fit(cat), decode(t, "../testdata/photos/coins.jpg")})
			if err != nil {
				t.Error(err)
				return
			}
			for i, name := range map[int]string{1: "as it is", 2: "fitted before"} {
				if d := distance(some[i], alone[0]); d > 1e-6 {
					t.Errorf("the picture %s among others is %.1e off its vector alone", name, d)
				}
			}
		})
	}
	wg.Wait()
	one, err := e.EncodeTexts(t.Context(), []string{"a dog"})
	if err != nil {
		t.Fatal(err)
	}
	three, err := e.EncodeTexts(t.Context(), []string{"a very long sentence about nothing at all", "a dog", "x"})
	if err != nil {
		t.Fatal(err)
	}
	if d := distance(three[1], one[0]); d > 1e-6 {
		t.Errorf("a text among others is %.1e off its vector alone", d)
	}
}

// TestLayouts runs the two layouts of the wild against PyTorch's answers.
func TestLayouts(t *testing.T) {
	for _, tt := range []struct {
		name       string
		normalizes bool
	}{{"onnx-transformersjs", false}, {"onnx-visual-textual", true}, {"onnx-mask", false}, {"onnx-external", false}, {"onnx-joint", false}, {"onnx-immich-fixed", false}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join("../../shared/fixtures/models", tt.name)
			if _, err := os.Stat(dir); err != nil {
				t.Skip("the fixtures are not beside the repository")
			}
			m, err := clip.ReadModel(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			e := embed.Open(m, embed.Options{Library: library(t), Batch: 3})
			defer e.Close()
			testTowers(t, e, filepath.Join(dir, "expect"), tt.normalizes)
		})
	}
}

func testTowers(t *testing.T, e *embed.Encoder, expect string, normalizes bool) {
	if e.Model().Image != "" {
		pixels := readFloats(t, filepath.Join(expect, "pixels.npy"))
		rows, err := e.RawPixels(t.Context(), pixels.Data, pixels.Shape[0])
		compare(t, "image", rows, err, readFloats(t, filepath.Join(expect, "image_features.npy")), normalizes)
	}
	if e.Model().Text == "" {
		return
	}
	ids := readInts(t, filepath.Join(expect, "ids.npy"))
	var mask [][]int64
	if _, err := os.Stat(filepath.Join(expect, "attention_mask.npy")); err == nil {
		mask = readInts(t, filepath.Join(expect, "attention_mask.npy"))
	}
	rows, err := e.RawIDs(t.Context(), ids, mask)
	compare(t, "text", rows, err, readFloats(t, filepath.Join(expect, "text_features.npy")), normalizes)
}

func compare(t *testing.T, tower string, rows [][]float32, err error, want npy.Array[float32], normalizes bool) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s tower: %v", tower, err)
	}
	d := want.Shape[1]
	for i, row := range rows {
		w := want.Data[i*d : (i+1)*d]
		if normalizes {
			u, err := clipsearch.Unit(w)
			if err != nil {
				t.Fatal(err)
			}
			w = u
		}
		if off := distance(row, w); off > 1e-4 {
			t.Errorf("%s tower, row %d: %.1e off", tower, i, off)
		}
	}
}

func TestMistakes(t *testing.T) {
	e := builtinEncoder(t)
	if _, err := e.RawPixels(t.Context(), make([]float32, 10), 1); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("RawPixels of 10 numbers: %v is not ErrInvalid", err)
	}
	if _, err := e.RawIDs(t.Context(), [][]int64{make([]int64, 100)}, nil); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("RawIDs of 100 ids: %v is not ErrInvalid", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.EncodeTexts(ctx, []string{"a dog"}); !errors.Is(err, context.Canceled) {
		t.Errorf("EncodeTexts after cancel: %v", err)
	}
}

func decode(t testing.TB, name string) image.Image {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	img, _, err := picture.Decode(data, picture.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func distance(x, y []float32) float64 {
	var off, largest float64
	for i := range y {
		off = max(off, math.Abs(float64(x[i]-y[i])))
		largest = max(largest, math.Abs(float64(y[i])))
	}
	return off / largest
}

func equal(x, y []int64) bool {
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return false
		}
	}
	return true
}

func readFloats(t *testing.T, name string) npy.Array[float32] {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x, err := npy.ReadFloat32(f)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func readInts(t *testing.T, name string) [][]int64 {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x, err := npy.ReadInt64(f)
	if err != nil {
		t.Fatal(err)
	}
	rows := make([][]int64, x.Shape[0])
	for i := range rows {
		rows[i] = x.Data[i*x.Shape[1] : (i+1)*x.Shape[1]]
	}
	return rows
}
