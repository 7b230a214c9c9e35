package embed_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/onnx"
)

const fixtures = "../../shared/fixtures/models"

func fixture(t *testing.T, name string) (clip.Model, string) {
	t.Helper()
	dir := filepath.Join(fixtures, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the fixtures are not beside the repository")
	}
	m, err := clip.ReadModel(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return m, filepath.Join(dir, "expect")
}

// TestNewModel puts the towers of a model together to one that computes the same.
func TestNewModel(t *testing.T) {
	m, expect := fixture(t, "hf-clip")
	p := clip.Parts{Words: m.FS(), Beside: map[string][]byte{"LICENSE": []byte("free")}}
	for _, side := range bothSides {
		graph, files, err := m.TrainingGraph(side)
		if err != nil {
			t.Fatal(err)
		}
		if side == clip.ImageSide {
			p.Image, p.ImageFiles = graph, files
		} else {
			p.Text, p.TextFiles = graph, files
		}
	}
	for range 2 { // the graphs are not used up
		got, err := clip.NewModel(t.TempDir(), m, p)
		if err != nil {
			t.Fatal(err)
		}
		if got.Dim != m.Dim || got.LogitScale != m.LogitScale || len(got.Verify()) > 0 {
			t.Errorf("NewModel(%+v) = %+v, %v", m, got, got.Verify())
		}
		e := embed.Open(got, embed.Options{Library: library(t), Batch: 3})
		testTowers(t, e, expect, false)
		e.Close()
	}
}

// TestWriteTrainedONNX: the weights of ONNX files are changed, and changed back.
func TestWriteTrainedONNX(t *testing.T) {
	for _, name := range []string{"onnx-transformersjs", "onnx-visual-textual", "onnx-external"} {
		t.Run(name, func(t *testing.T) {
			m, expect := fixture(t, name)
			right := map[clip.Side]map[string][]float32{}
			for _, side := range bothSides {
				right[side] = map[string][]float32{}
				if side == clip.ImageSide && m.Image == "" {
					continue
				}
				graph, files, err := m.TrainingGraph(side)
				if err != nil {
					t.Fatal(err)
				}
				for _, x := range graph.Initializers {
					if x.Type == onnx.Float {
						right[side][x.Name] = floats(t, x, files)
					}
				}
			}
			values := func(side clip.Side, name string) []float32 { return right[side][name] }
			blank := written(t, "", func(dir string) error { _, err := m.WriteTrained(dir, otherThan(values)); return err })
			got := written(t, "", func(dir string) error { _, err := blank.WriteTrained(dir, values); return err })
			e := embed.Open(got, embed.Options{Library: library(t), Batch: 3})
			defer e.Close()
			testTowers(t, e, expect, name == "onnx-visual-textual")
		})
	}
}
