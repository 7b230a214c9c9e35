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
				{Name: "small, outside", Type: Float, Dims: []int64{1}, External: &External{"w", 8, 4}},
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
	for i, want := range map[int][]byte{0: weights[:6000], 3: weights[6000:]} {
		e := m.Initializers[i].External
		if e.Offset%dataAlign != 0 || !bytes.Equal(data[e.Offset:e.Offset+e.Length], want) {
			t.Errorf("%s lies at %d of %d bytes, or other bytes do", m.Initializers[i].Name, e.Offset, len(data))
		}
	}
	for _, x := range m.Initializers[1:3] {
		if x.External != nil || !bytes.Equal(x.Raw, weights[:4]) {
			t.Errorf("%s, four bytes, is outside: %v, or other bytes: %v", x.Name, x.External, x.Raw)
		}
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
