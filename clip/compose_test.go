package clip

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// linear is a tower of n numbers a picture or a text.
func linear(t *testing.T, out onnx.Type, n int) *onnx.Model {
	t.Helper()
	g, err := onnx.Build("linear", func(g *onnx.Graph) {
		x := g.Input("x", onnx.Float, onnx.Sym("batch"), onnx.N(2))
		g.Output("y", g.Cast(g.Gemm(x, g.Const(onnx.Floats("w", make([]float32, 2*n), int64(n), 2)), nil, true), out))
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestNewModelMistakes(t *testing.T) {
	about := Model{Name: "small", Preprocess: Preprocess{Size: 2, Std: [3]float64{1, 1, 1}}}
	four := linear(t, onnx.Float, 4)
	for _, tt := range []struct {
		about Model
		parts Parts
		says  string
	}{
		{about, Parts{}, "no tower"},
		{about, Parts{Image: four, Text: linear(t, onnx.Float, 5)}, "embeddings of 5 numbers, the other tower's have 4"},
		{about, Parts{Image: linear(t, onnx.Int64, 4)}, "not one embedding"},
		{about, Parts{Text: four, Words: os.DirFS("testdata/weights")}, "no tokenizer"},
		{about, Parts{Image: four, Beside: map[string][]byte{"../LICENSE": nil}}, "no name of a file"},
		{Model{Name: "small"}, Parts{Image: four}, "pictures of 0 pixels"},
	} {
		_, err := NewModel(t.TempDir(), tt.about, tt.parts)
		if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("NewModel(%+v, %+v): %v is not ErrInvalid that says %q", tt.about, tt.parts, err, tt.says)
		}
	}
}
