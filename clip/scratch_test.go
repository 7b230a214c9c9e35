package clip

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

var tinyCLIPWords = os.DirFS("testdata/tokenizer/clip")

// shapesOf are the tensors of a file, by name.
func shapesOf(t *testing.T, dir string) map[string][]int {
	t.Helper()
	w, err := OpenWeights(os.DirFS(dir), "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	shapes := map[string][]int{}
	for _, name := range w.Names() {
		x, _ := w.Tensor(name)
		shapes[name] = append([]int{}, x.Shape...)
	}
	return shapes
}

// TestScratchNames: a checkpoint from scratch has the tensors of transformers' own.
func TestScratchNames(t *testing.T) {
	data, err := os.ReadFile("testdata/scratch/names.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Architecture Architecture
		Tensors      map[string][]int
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, tt := range cases {
		dir := t.TempDir()
		if err := tt.Architecture.WriteScratch(dir, tinyCLIPWords, 1); err != nil {
			t.Errorf("WriteScratch of %+v: %v", tt.Architecture, err)
			continue
		}
		if diff := cmp.Diff(tt.Tensors, shapesOf(t, dir)); diff != "" {
			t.Errorf("tensors of %+v (-transformers +ours):\n%s", tt.Architecture, diff)
		}
		m, err := ReadModel(dir, "")
		if err != nil {
			t.Errorf("ReadModel of %+v: %v", tt.Architecture, err)
			continue
		}
		if m.Dim != tt.Architecture.Dim || m.Preprocess.Size != tt.Architecture.ImageSize || m.ContextLength != tt.Architecture.Context {
			t.Errorf("ReadModel of %+v = %+v", tt.Architecture, m)
		}
		if got := m.LogitScale; math.Abs(got-1/0.07) > 1e-5 {
			t.Errorf("logit scale %v, want %v", got, 1/0.07)
		}
	}
}

var (
	smallTower   = Transformer{Width: 32, Layers: 2, Heads: 2}
	smallStem    = Architecture{Image: smallTower, ImageSize: 32, Stem: []int{4, 8, 16}, Text: smallTower, Context: 16, Dim: 8}
	smallPatches = Architecture{Image: smallTower, ImageSize: 32, Patch: 8, Text: smallTower, Context: 16, Dim: 8}
)

// TestScratchStem: a tower with a stem is read and built.
func TestScratchStem(t *testing.T) {
	dir := t.TempDir()
	if err := smallStem.WriteScratch(dir, tinyCLIPWords, 1); err != nil {
		t.Fatal(err)
	}
	m, err := ReadModel(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	parts, err := m.Parameters(ImageSide)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, p := range parts {
		got[p.Name] = true
	}
	for _, name := range []string{"stem.0.weight", "stem.0.bias", "stem.2.weight", "stem.3.weight", "stem.3.bias", "class_embedding", "position_embedding.weight"} {
		if name = "vision_model.embeddings." + name; !got[name] {
			t.Errorf("%s is no parameter of the image tower", name)
		}
	}
}

// TestScratchSeed: weights follow from the seed, and are spread as they should be.
func TestScratchSeed(t *testing.T) {
	a := smallPatches
	a.Text.Width, a.Vocab = 64, 0
	var files [3][]byte
	var dir string
	for i, seed := range []uint64{1, 1, 2} {
		dir = t.TempDir()
		if err := a.WriteScratch(dir, tinyCLIPWords, seed); err != nil {
			t.Fatal(err)
		}
		files[i], _ = os.ReadFile(filepath.Join(dir, "model.safetensors"))
	}
	if !bytes.Equal(files[0], files[1]) || bytes.Equal(files[0], files[2]) {
		t.Error("one seed gives two checkpoints, or two seeds give one")
	}
	w, err := OpenWeights(os.DirFS(dir), "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for name, want := range map[string]float64{
		"text_model.embeddings.token_embedding.weight":            0.02,
		"text_model.encoder.layers.1.self_attn.q_proj.weight":     math.Pow(64, -0.5),
		"text_model.encoder.layers.1.self_attn.out_proj.weight":   math.Pow(2*2*64, -0.5),
		"text_model.encoder.layers.0.mlp.fc1.weight":              math.Pow(2*64, -0.5),
		"text_model.encoder.layers.0.mlp.fc2.weight":              math.Pow(2*2*64, -0.5),
		"vision_model.embeddings.patch_embedding.weight":          math.Pow(3*192, -0.5),
		"vision_model.encoder.layers.0.self_attn.out_proj.weight": math.Pow(2*2*32, -0.5),
		"vision_model.encoder.layers.0.self_attn.out_proj.bias":   0,
		"vision_model.embeddings.position_embedding.weight":       math.Pow(32, -0.5),
	} {
		x, _ := w.Tensor(name)
		numbers, err := w.Float32s(x)
		if err != nil {
			t.Fatal(err)
		}
		var sum float64
		for _, v := range numbers {
			sum += float64(v) * float64(v)
		}
		if got := math.Sqrt(sum / float64(len(numbers))); math.Abs(got-want) > 0.1*want {
			t.Errorf("deviation of %s = %v, want %v", name, got, want)
		}
	}
}

func TestScratchMistakes(t *testing.T) {
	for _, tt := range []struct {
		change func(*Architecture)
		says   string
	}{
		{func(a *Architecture) { a.Patch = 7 }, "patches of 7"},
		{func(a *Architecture) { a.Patch = 0 }, "patches of 0"},
		{func(a *Architecture) { a.Stem = []int{8} }, "one of the two"},
		{func(a *Architecture) { a.Patch, a.Stem = 0, []int{8, 0} }, "stem of"},
		{func(a *Architecture) { a.Image.Heads = 5 }, "image tower"},
		{func(a *Architecture) { a.Text.Layers = 0 }, "text tower"},
		{func(a *Architecture) { a.Dim = 0 }, "embeddings of 0"},
		{func(a *Architecture) { a.Act = "relu6" }, "relu6"},
		{func(a *Architecture) { a.Vocab = 100 }, "vocabulary of 100"},
	} {
		a := smallPatches
		tt.change(&a)
		err := a.WriteScratch(t.TempDir(), tinyCLIPWords, 1)
		if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("WriteScratch of %+v: %v is not ErrInvalid that says %q", a, err, tt.says)
		}
	}
}
