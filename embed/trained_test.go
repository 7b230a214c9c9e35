package embed_test

import (
	"encoding/binary"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/onnx"
)

var bothSides = []clip.Side{clip.ImageSide, clip.TextSide}

// numbers are what the training graphs of m hold, as they are given back to it.
func numbers(t *testing.T, m clip.Model) clip.Values {
	t.Helper()
	all := map[clip.Side]map[string][]float32{}
	for _, side := range bothSides {
		all[side] = map[string][]float32{}
		if side == clip.ImageSide && m.Image == "" || side == clip.TextSide && m.Text == "" {
			continue
		}
		parts, err := m.Parameters(side)
		if err != nil {
			t.Fatal(err)
		}
		graph, fsys, err := m.TrainingGraph(side)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			i := slices.IndexFunc(graph.Initializers, func(x *onnx.Tensor) bool { return x.Name == p.Name })
			all[side][p.Name] = floats(t, graph.Initializers[i], fsys)
		}
	}
	all[clip.ImageSide][clip.LogitScale] = []float32{float32(math.Log(m.LogitScale))}
	all[clip.ImageSide][clip.LogitBias] = []float32{float32(m.LogitBias)}
	return func(side clip.Side, name string) []float32 { return all[side][name] }
}

// floats reads a tensor that is in memory or in a file.
func floats(t *testing.T, x *onnx.Tensor, fsys fs.FS) []float32 {
	t.Helper()
	raw := x.Raw
	if e := x.External; e != nil {
		f, err := fsys.Open(e.Location)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		raw = make([]byte, e.Length)
		if _, err := f.(io.ReaderAt).ReadAt(raw, e.Offset); err != nil {
			t.Fatal(err)
		}
	}
	list := make([]float32, len(raw)/4)
	for i := range list {
		list[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return list
}

// otherThan is values of the same lengths that are all something else.
func otherThan(values clip.Values) clip.Values {
	return func(side clip.Side, name string) []float32 {
		x := slices.Clone(values(side, name))
		for i := range x {
			x[i] = 0.125
		}
		return x
	}
}

// written is m as write leaves it in a directory.
func written(t *testing.T, precision string, write func(dir string) error) clip.Model {
	t.Helper()
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	m, err := clip.ReadModel(dir, precision)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestWriteTrained: of each checkpoint, every number that can be trained is changed
// and written, and then the right ones are put in their place, so that PyTorch's
// features come back if and only if each reached the tensor that it is of.
func TestWriteTrained(t *testing.T) {
	eachCheckpoint(t, "fp32", func(t *testing.T, m clip.Model, expect string) {
		right := numbers(t, m)
		blank := written(t, "fp32", func(dir string) error { return m.WriteCheckpoint(dir, otherThan(right)) })
		if blank.LogitScale != m.LogitScale && math.Abs(math.Log(blank.LogitScale)-0.125) > 1e-6 {
			t.Errorf("logit scale %v, want that of 0.125 or %v", blank.LogitScale, m.LogitScale)
		}
		checkpoint := written(t, "fp32", func(dir string) error { return blank.WriteCheckpoint(dir, right) })
		sameTensors(t, m, checkpoint)
		graphs := written(t, "", func(dir string) error { _, err := blank.WriteTrained(dir, right); return err })
		for _, got := range []clip.Model{checkpoint, graphs} {
			if math.Abs(got.LogitScale/m.LogitScale-1) > 1e-5 || math.Abs(got.LogitBias-m.LogitBias) > 1e-5 {
				t.Errorf("logit scale and bias of %s: %v and %v, want %v and %v", got.Layout, got.LogitScale, got.LogitBias, m.LogitScale, m.LogitBias)
			}
			e := embed.Open(got, embed.Options{Library: library(t), Batch: 3})
			testTowers(t, e, expect, false)
			e.Close()
		}
	})
}

// TestWriteTrainedInt8: a checkpoint with other numbers is written in int8 as one
// that had them from the first.
func TestWriteTrainedInt8(t *testing.T) {
	eachCheckpoint(t, "int8", func(t *testing.T, m clip.Model, expect string) {
		right := numbers(t, m)
		blank := written(t, "int8", func(dir string) error { return m.WriteCheckpoint(dir, otherThan(right)) })
		got := written(t, "", func(dir string) error { _, err := blank.WriteTrained(dir, right); return err })
		want := written(t, "", func(dir string) error { _, err := m.WriteONNX(dir); return err })
		if got.Precision != "int8" {
			t.Errorf("it is %s, want int8", got.Precision)
		}
		for _, name := range []string{"visual.onnx", "textual.onnx"} {
			a, errA := fs.ReadFile(got.FS(), name)
			b, errB := fs.ReadFile(want.FS(), name)
			if (errA == nil) != (errB == nil) || !slices.Equal(a, b) {
				t.Errorf("%s is another than that of the checkpoint with these weights: %v, %v", name, errA, errB)
			}
		}
	})
}

// sameTensors compares two checkpoints tensor by tensor.
func sameTensors(t *testing.T, a, b clip.Model) {
	t.Helper()
	var both [2]*clip.Weights
	for i, m := range []clip.Model{a, b} {
		var files []string
		for _, f := range m.Files {
			if filepath.Ext(f.Name) == ".safetensors" {
				files = append(files, f.Name)
			}
		}
		w, err := clip.OpenWeights(m.FS(), files...)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		both[i] = w
	}
	if x, y := both[0].Names(), both[1].Names(); !slices.Equal(x, y) {
		t.Fatalf("tensors %v, want %v", y, x)
	}
	for _, name := range both[0].Names() {
		x, _ := both[0].Tensor(name)
		y, _ := both[1].Tensor(name)
		p, err := both[0].Float32s(x)
		if err != nil {
			t.Fatal(err)
		}
		q, err := both[1].Float32s(y)
		if err != nil {
			t.Fatal(err)
		}
		tolerance := 0.0
		if name == clip.LogitScale || name == clip.LogitBias { // these came here by the manifest
			tolerance = 1e-6
		}
		if !slices.EqualFunc(p, q, func(a, b float32) bool { return math.Abs(float64(a-b)) <= tolerance }) || !slices.Equal(x.Shape, y.Shape) {
			t.Errorf("tensor %s %v is not what it was, %v", name, y.Shape, x.Shape)
		}
	}
}

// TestWriteCheckpointAsItWas: without new values nothing is another.
func TestWriteCheckpointAsItWas(t *testing.T) {
	eachCheckpoint(t, "fp32", func(t *testing.T, m clip.Model, _ string) {
		same := written(t, "fp32", func(dir string) error {
			return m.WriteCheckpoint(dir, func(clip.Side, string) []float32 { return nil })
		})
		sameTensors(t, m, same)
		for _, f := range m.Files {
			if filepath.Ext(f.Name) == ".safetensors" {
				continue
			}
			if !slices.Contains(same.Files, f) {
				t.Errorf("%s is not what it was", f.Name)
			}
		}
	})
}
