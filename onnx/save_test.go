package onnx

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

// TestSave writes a model whose weights lie in another file: within the .onnx file
// where they are few, and beside it where they are many.
func TestSave(t *testing.T) {
	weights := bytes.Repeat([]byte{1, 2, 3, 4}, 3000)
	fsys := fstest.MapFS{"w": {Data: append([]byte("head"), weights...)}}
	model := func() *Model {
		return &Model{
			Name: "m", IR: irVersion, Outputs: []Port{{"y", Float, Of(3)}},
			Initializers: []*Tensor{
				{Name: "large", Type: Float, Dims: []int64{1500}, External: &External{"w", 4, 6000}},
				{Name: "small", Type: Float, Dims: []int64{1}, Raw: []byte{1, 2, 3, 4}},
				{Name: "second", Type: Float, Dims: []int64{1500}, Raw: weights[6000:]},
			},
		}
	}
	dir := t.TempDir()
	m := model()
	if err := m.Save(dir, "in.onnx", fsys); err != nil {
		t.Fatal(err)
	}
	got := read(t, dir, "in.onnx")
	if x := got.Initializers[0]; x.External != nil || !bytes.Equal(x.Raw, weights[:6000]) {
		t.Errorf("large: %v, %d bytes", x.External, len(x.Raw))
	}
	m = model()
	if err := m.moveData(dir, "out.onnx_data", fsys); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "out.onnx_data"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int][]byte{0: weights[:6000], 2: weights[6000:]} {
		e := m.Initializers[i].External
		if e.Offset%dataAlign != 0 || !bytes.Equal(data[e.Offset:e.Offset+e.Length], want) {
			t.Errorf("%s lies at %d of %d bytes, or other bytes do", m.Initializers[i].Name, e.Offset, len(data))
		}
	}
	if m.Initializers[1].External != nil {
		t.Error("a tensor of four bytes lies in the data file")
	}
	if err := model().Save(t.TempDir(), "x.onnx", nil); err == nil {
		t.Error("weights that are nowhere were written")
	}
}

func read(t *testing.T, dir, name string) *Model {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Read(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
