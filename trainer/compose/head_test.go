package compose_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/adrg/xdg"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/runtime"
	"github.com/clipsearch/clipsearch/trainer/compose"
)

// golden is what testdata/generate.py has of PyTorch.
type golden struct {
	Weights                                     map[string][]float32
	Mean, Std, Classifier, Bias, Embeddings     []float32
	Features, Head, Covariance, Distance, Moved []float32
	Class                                       []int64
}

const width, hidden, dim, rows = 6, 5, 3, 7

func read(t *testing.T) (g golden) {
	t.Helper()
	text, err := os.ReadFile("testdata/head.json")
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g golden) head() compose.Head {
	return compose.Head{
		Name: "head.image", Width: width, Dim: dim, Hidden: hidden, Dropout: 0.2, HiddenDropout: 0.1, Unit: true, Scale: 2.5, Mean: g.Mean, Std: g.Std,
		Classes: &compose.Classes{Weight: g.Classifier, Bias: g.Bias, Embeddings: g.Embeddings, Factor: 8},
	}
}

// with puts numbers into the initializers of those names.
func with(t *testing.T, m *onnx.Model, prefix string, weights map[string][]float32) {
	t.Helper()
	set := 0
	for _, x := range m.Initializers {
		if v, ok := weights[strings.TrimPrefix(x.Name, prefix)]; ok {
			x.Raw, set = onnx.Floats("", v, x.Dims...).Raw, set+1
		}
	}
	if set != len(weights) {
		t.Fatalf("%d of %d weights are in the graph", set, len(weights))
	}
}

func start(t *testing.T) {
	t.Helper()
	lib, err := runtime.Find(runtime.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")})
	if err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	if err := ort.Init(lib.Path); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, m *onnx.Model, in ...ort.Tensor) []float32 {
	t.Helper()
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range m.Inputs {
		names = append(names, p.Name)
	}
	s, err := ort.Open(data, names, []string{m.Outputs[0].Name}, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(in...)
	if err != nil {
		t.Fatal(err)
	}
	return out[0].F32
}

func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= 2e-5*max(1, math.Abs(float64(want[i])))) {
			t.Fatalf("%s: number %d is %v, PyTorch's %v", what, i, got[i], want[i])
		}
	}
}

func TestHead(t *testing.T) {
	start(t)
	g := read(t)
	m, err := g.head().Graph("image_embeds")
	if err != nil {
		t.Fatal(err)
	}
	with(t, m, "head.image.", g.Weights)
	near(t, "head", run(t, m, ort.Tensor{Shape: []int64{rows, width}, F32: g.Features}), g.Head)
}

// TestHeadOnBackbone: a head goes on from an inner value of a graph, and the part from
// there on is the head again.
func TestHeadOnBackbone(t *testing.T) {
	start(t)
	g := read(t)
	head, err := g.head().Graph("image_embeds")
	if err != nil {
		t.Fatal(err)
	}
	with(t, head, "head.image.", g.Weights)
	backbone, err := onnx.Build("backbone", func(b *onnx.Graph) {
		x := b.Input("pixels", onnx.Float, onnx.Sym("batch"), onnx.N(width))
		f := b.Sub(x, b.Scalar(1))
		b.Output("features", f)
		b.Output("logits", b.Exp(f))
	})
	if err != nil {
		t.Fatal(err)
	}
	tower, err := backbone.Then("features", head)
	if err != nil {
		t.Fatal(err)
	}
	raised := make([]float32, len(g.Features))
	for i, x := range g.Features {
		raised[i] = x + 1
	}
	near(t, "tower", run(t, tower, ort.Tensor{Shape: []int64{rows, width}, F32: raised}), g.Head)
	rest, err := tower.From("features")
	if err != nil {
		t.Fatal(err)
	}
	near(t, "rest", run(t, rest, ort.Tensor{Shape: []int64{rows, width}, F32: g.Features}), g.Head)
	if _, err := tower.Then("image_embeds", head); err == nil {
		t.Error("a head behind itself: no error, and two values of each name")
	}
	if _, err := tower.From("nothing"); err == nil {
		t.Error("from a value that is not there: no error")
	}
}

func TestPseudo(t *testing.T) {
	start(t)
	g := read(t)
	m, err := compose.Pseudo{Width: width, Weight: g.Classifier, Bias: g.Bias, Covariance: g.Covariance, Low: 0, High: 6}.Graph()
	if err != nil {
		t.Fatal(err)
	}
	got := run(t, m, ort.Tensor{Shape: []int64{rows, width}, F32: g.Features}, ort.Tensor{Shape: []int64{rows}, I64: g.Class}, ort.Tensor{Shape: []int64{rows, 1}, F32: g.Distance})
	near(t, "moved", got, g.Moved)
}

func TestHeadRefuses(t *testing.T) {
	g := read(t)
	for what, change := range map[string]func(*compose.Head){
		"no features": func(h *compose.Head) { h.Width = 0 },
		"few means":   func(h *compose.Head) { h.Mean = h.Mean[1:] },
		"few classes": func(h *compose.Head) { h.Classes.Bias = h.Classes.Bias[1:] },
	} {
		h := g.head()
		change(&h)
		if _, err := h.Graph("y"); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
