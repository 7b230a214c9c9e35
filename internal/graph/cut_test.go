package graph_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch/internal/graph"
)

// TestCut: what is left of a graph of two answers takes and makes what it must, and
// no more. That it still computes the same is a test of package embed.
func TestCut(t *testing.T) {
	for _, tt := range []struct {
		file, output string
		inputs       []string
		lighter      bool
	}{
		{"half.onnx", "y", []string{"x"}, true},
		{"half.onnx", "z", []string{"h"}, true},
		{"tiny.onnx", "y", []string{"x", "ids"}, false},
		{"nested.onnx", "y", []string{"flag", "x"}, false}, // taken within a branch
	} {
		path := filepath.Join("../ort/testdata", tt.file)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		part, err := graph.CutFile(path, tt.output)
		if err != nil {
			t.Fatal(err)
		}
		g, err := graph.Inspect(part)
		if err != nil {
			t.Fatal(err)
		}
		var inputs, outputs []string
		for _, p := range g.Inputs {
			inputs = append(inputs, p.Name)
		}
		for _, p := range g.Outputs {
			outputs = append(outputs, p.Name)
		}
		if diff := cmp.Diff(tt.inputs, inputs); diff != "" {
			t.Errorf("inputs of %s cut to %s (-want +got):\n%s", tt.file, tt.output, diff)
		}
		if diff := cmp.Diff([]string{tt.output}, outputs); diff != "" {
			t.Errorf("outputs of %s cut to %s (-want +got):\n%s", tt.file, tt.output, diff)
		}
		if (len(part) < len(whole)) != tt.lighter || len(part) > len(whole) {
			t.Errorf("%s cut to %s has %d bytes of %d", tt.file, tt.output, len(part), len(whole))
		}
	}
}

func FuzzCut(f *testing.F) {
	for _, name := range []string{"tiny", "half", "nested", "external"} {
		model, err := os.ReadFile("../ort/testdata/" + name + ".onnx")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(model, "y")
	}
	f.Fuzz(func(t *testing.T, model []byte, output string) {
		path := filepath.Join(t.TempDir(), "m.onnx")
		if err := os.WriteFile(path, model, 0o644); err != nil {
			t.Fatal(err)
		}
		if part, err := graph.CutFile(path, output); err == nil && len(part) > 2*len(model)+64 {
			t.Errorf("a cut of %d bytes has %d", len(model), len(part))
		}
	})
}
