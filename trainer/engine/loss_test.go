package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/adrg/xdg"

	"github.com/clipsearch/clipsearch/internal/npy"
	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/runtime"
)

//go:generate python3 testdata/generate.py

func startRuntime(t testing.TB) {
	t.Helper()
	lib, err := runtime.Find(runtime.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")})
	if err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	if err := ort.Init(lib.Path); err != nil {
		t.Fatal(err)
	}
}

func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// lossCase is a batch, and its loss and gradients in float64.
type lossCase struct {
	Loss        string
	Rows        int
	Scale, Bias float32
	Pairs       []float32
	Image, Text []float32
	Value       float64
	GradScale   float64   `json:"grad_scale"`
	GradBias    float64   `json:"grad_bias"`
	GradImage   []float64 `json:"grad_image"`
	GradText    []float64 `json:"grad_text"`
}

// TestLosses: each loss and its gradients are PyTorch's, whether texts lie near their
// pictures or nowhere, and whether pictures have one text or several.
func TestLosses(t *testing.T) {
	startRuntime(t)
	var cases []lossCase
	readJSON(t, "loss.json", &cases)
	for i, c := range cases {
		checkLoss(t, fmt.Sprintf("%d, %s", i, c.Loss), c, 5e-6) // a logit of 100 is known to 4e-6 in float32
	}
}

func checkLoss(t *testing.T, name string, c lossCase, tolerance float64) {
	t.Helper()
	got := runLoss(t, c)
	want := [][]float64{{c.Value}, {c.GradScale}, c.GradImage, c.GradText, {c.GradBias}}
	for k, what := range []string{"loss", "gradient of the scale", "gradients of the images", "gradients of the texts", "gradient of the bias"} {
		if k >= len(got) {
			break
		}
		worst, size := 0.0, 1.0
		for i, w := range want[k] {
			worst, size = max(worst, math.Abs(float64(got[k].F32[i])-w)), max(size, math.Abs(w))
		}
		if !(worst <= tolerance*size) {
			t.Errorf("%s: the %s %v, want %v", name, what, got[k].F32, want[k])
		}
	}
}

// runLoss returns loss and gradients in the order of contrast's.
func runLoss(t *testing.T, c lossCase) []ort.Tensor {
	t.Helper()
	n, dim := int64(c.Rows), int64(len(c.Image)/c.Rows)
	in, out := []string{"image", "text", "scale", "bias", "pairs"}, []string{"loss", "d scale", "d image", "d text"}
	m, err := onnx.Build("loss", func(g *onnx.Graph) {
		c2 := contrast{weight: 1}
		c2.features[Image] = g.Input("image", onnx.Float, onnx.N(n), onnx.N(dim))
		c2.features[Text] = g.Input("text", onnx.Float, onnx.N(n), onnx.N(dim))
		c2.scale, c2.bias = g.Input("scale", onnx.Float, onnx.N(1)), g.Input("bias", onnx.Float, onnx.N(1))
		c2.pairs = g.Input("pairs", onnx.Float, onnx.N(n), onnx.N(n))
		d := c2.compute(g, c.Loss)
		g.Output("loss", d.loss)
		g.Output("d scale", d.scale)
		g.Output("d image", d.features[Image])
		g.Output("d text", d.features[Text])
		if d.bias != nil {
			g.Output("d bias", d.bias)
			out = append(out, "d bias")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	graph, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.Open(graph, in, out, ort.Options{Training: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Run(Tensor{Shape: []int64{n, dim}, F32: c.Image}, Tensor{Shape: []int64{n, dim}, F32: c.Text},
		Tensor{Shape: []int64{1}, F32: []float32{c.Scale}}, Tensor{Shape: []int64{1}, F32: []float32{c.Bias}}, Tensor{Shape: []int64{n, n}, F32: c.Pairs})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestInfoNCEFixture compares with the shared fixture, where it is.
func TestInfoNCEFixture(t *testing.T) {
	startRuntime(t)
	const dir = "../../../shared/fixtures/metrics/infonce/"
	data, err := os.ReadFile(dir + "expect.json")
	if err != nil {
		t.Skipf("the fixtures are not there: %v", err)
	}
	var expect struct {
		Loss  float64 `json:"loss"`
		Scale float32 `json:"logit_scale"`
		Grad  float64 `json:"grad_logit_scale"`
	}
	if err := json.Unmarshal(data, &expect); err != nil {
		t.Fatal(err)
	}
	image, rows := matrix(t, dir+"image.npy")
	text, _ := matrix(t, dir+"text.npy")
	gradImage, _ := matrix(t, dir+"grad_image.npy")
	gradText, _ := matrix(t, dir+"grad_text.npy")
	pairs, err := new(Engine).pairs(nil, rows)
	if err != nil {
		t.Fatal(err)
	}
	checkLoss(t, "fixture", lossCase{
		Loss: InfoNCE, Rows: rows, Scale: expect.Scale, Pairs: pairs, Image: narrow(image), Text: narrow(text),
		Value: expect.Loss, GradScale: expect.Grad, GradImage: gradImage, GradText: gradText,
	}, 2e-6)
}

// matrix reads a .npy file and returns its rows, too.
func matrix(t *testing.T, path string) (list []float64, rows int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := npy.ReadFloat64(f)
	if err != nil {
		t.Fatal(err)
	}
	return a.Data, a.Shape[0]
}

func narrow(list []float64) []float32 {
	out := make([]float32, len(list))
	for i, v := range list {
		out[i] = float32(v)
	}
	return out
}
