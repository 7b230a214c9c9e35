package embed_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
)

func readModel(t *testing.T, dir, precision string) clip.Model {
	t.Helper()
	m, err := clip.ReadModel(dir, precision)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// pairOf pairs an image tower with Multilingual-CLIP's text tower.
func pairOf(t *testing.T, image clip.Model) clip.Model {
	t.Helper()
	m, err := clip.Pair(image, readModel(t, "testdata/models/multilingual-clip", ""))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// testPair compares both towers with what PyTorch makes of the model of each.
func testPair(t *testing.T, m clip.Model) {
	t.Helper()
	e := embed.Open(m, embed.Options{Library: library(t), Batch: 3})
	defer e.Close()
	pixels := readFloats(t, "testdata/models/transformers-clip/expect/pixels.npy")
	rows, err := e.RawPixels(t.Context(), pixels.Data, pixels.Shape[0])
	compare(t, "image", rows, err, readFloats(t, "testdata/models/transformers-clip/expect/image_features.npy"), false)
	expect := "testdata/models/multilingual-clip/expect"
	rows, err = e.RawIDs(t.Context(), readInts(t, filepath.Join(expect, "ids.npy")), readInts(t, filepath.Join(expect, "attention_mask.npy")))
	compare(t, "text", rows, err, readFloats(t, filepath.Join(expect, "text_features.npy")), false)
	if dim, err := e.Dim(); err != nil || dim != 12 {
		t.Errorf("Dim() = %d, %v, want 12", dim, err)
	}
}

// TestPair runs the towers of two models as one: where they lie, as a copy, and as
// one model of ONNX graphs; both built from weights, or one of them a graph already.
func TestPair(t *testing.T) {
	dir := t.TempDir()
	weights := readModel(t, "testdata/models/transformers-clip", "")
	graphs := filepath.Join(dir, "graphs")
	if err := os.Mkdir(graphs, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := weights.WriteONNX(graphs); err != nil {
		t.Fatal(err)
	}
	for name, image := range map[string]clip.Model{"weights": weights, "graphs": readModel(t, graphs, "")} {
		t.Run(name, func(t *testing.T) {
			m := pairOf(t, image)
			testPair(t, m)
			copied, exported := filepath.Join(dir, name+"-copy"), filepath.Join(dir, name+"-onnx")
			if err := errors.Join(m.WriteModel(copied), os.Mkdir(exported, 0o755)); err != nil {
				t.Fatal(err)
			}
			again := readModel(t, copied, "")
			if again.Space() != m.Space() {
				t.Errorf("the copy has the space %.12s, not %.12s", again.Space(), m.Space())
			}
			testPair(t, again)
			if _, err := again.WriteONNX(exported); err != nil {
				t.Fatal(err)
			}
			one := readModel(t, exported, "")
			if one.Paired() || one.Image != "visual.onnx" || one.Text != "textual.onnx" || len(one.Verify()) > 0 {
				t.Errorf("exported as %+v: %v", one, one.Verify())
			}
			testPair(t, one)
		})
	}
}

// TestPairInt8 builds both towers in int8.
func TestPairInt8(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "copy")
	m := pairOf(t, readModel(t, "testdata/models/transformers-clip", ""))
	if err := m.WriteModel(dir); err != nil {
		t.Fatal(err)
	}
	small := readModel(t, dir, "int8")
	if small.Precision != "int8" || small.Space() == m.Space() {
		t.Errorf("precision %s, space %.12s, as fp32 %.12s", small.Precision, small.Space(), m.Space())
	}
	e := embed.Open(small, embed.Options{Library: library(t)})
	defer e.Close()
	expect := "testdata/models/multilingual-clip/expect"
	rows, err := e.RawIDs(t.Context(), readInts(t, filepath.Join(expect, "ids.npy")), readInts(t, filepath.Join(expect, "attention_mask.npy")))
	near(t, rows, err, readFloats(t, filepath.Join(expect, "text_features.npy")))
}

// TestPairOfGraphs joins two repositories with a graph each of the same name, as
// fastembed has them, whose dimensions only running them tells.
func TestPairOfGraphs(t *testing.T) {
	image := modelOf(t, map[string][]byte{"model.onnx": meansOfColours(0).Bytes(), "preprocessor_config.json": []byte(plain), "LICENSE": []byte("of pictures")}, embed.Options{}).Model()
	text := func(n int64) clip.Model {
		g := texts(freeIDs, nil, meanOfRows())
		g.Weights[0].Shape[1], g.Weights[0].Data = n, g.Weights[0].Data[:16*n]
		return modelOf(t, map[string][]byte{"model.onnx": g.Bytes(), "tokenizer.json": []byte(tinyWords), "LICENSE": []byte("of texts")}, embed.Options{}).Model()
	}
	m, err := clip.Pair(image, text(3))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "copy")
	if err := m.WriteModel(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"image/LICENSE": "of pictures", "text/LICENSE": "of texts"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, m := range []clip.Model{m, readModel(t, dir, "")} {
		e := embed.Open(m, embed.Options{Library: library(t)})
		defer e.Close()
		if dim, err := e.Dim(); err != nil || dim != 3 {
			t.Errorf("Dim() = %d, %v", dim, err)
		}
		if _, err := e.EncodeTexts(t.Context(), []string{"a dog"}); err != nil {
			t.Error(err)
		}
	}
	for _, other := range []clip.Model{text(4), readModel(t, "testdata/models/multilingual-clip", "")} {
		m, err := clip.Pair(image, other)
		if err != nil {
			t.Fatal(err)
		}
		e := embed.Open(m, embed.Options{Library: library(t)})
		defer e.Close()
		if _, err := e.Dim(); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), "another model") {
			t.Errorf("Dim() of towers of different numbers: %v", err)
		}
	}
}
