package clip

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
)

// raw is a tensor of n bytes.
func raw(name, kind string, n int, shape ...int) NewTensor {
	return NewTensor{Name: name, Type: kind, Shape: shape, Write: func(w io.Writer) error {
		_, err := w.Write(make([]byte, n))
		return err
	}}
}

// TestWriteTensors: what is written is read as it was, aligned.
func TestWriteTensors(t *testing.T) {
	long := make([]float32, 50_000)
	for i := range long {
		long[i] = float32(i) / 7
	}
	dir := t.TempDir()
	want := []NewTensor{
		raw("bytes", "U8", 3, 3), raw("half", "BF16", 6, 3), FloatTensor("one", []float32{2.5}),
		FloatTensor("long \"<name>\" é", long, 100, 500), raw("places", "I64", 16, 1, 2), FloatTensor("none", nil, 0, 4),
	}
	if err := WriteTensors(filepath.Join(dir, "x.safetensors"), want, map[string]string{"format": "pt"}); err != nil {
		t.Fatal(err)
	}
	w, err := OpenWeights(os.DirFS(dir), "x.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, n := range want {
		got, ok := w.Tensor(n.Name)
		if !ok || got.Type != n.Type || !slices.Equal(got.Shape, n.Shape) || got.Offset%tensorSizes[n.Type] != 0 {
			t.Errorf("tensor %q is %+v, want %s%v at a multiple of its size", n.Name, got, n.Type, n.Shape)
		}
	}
	x, _ := w.Tensor(want[3].Name)
	if got, err := w.Float32s(x); err != nil || !slices.Equal(got, long) {
		t.Errorf("numbers of %q: %v, or not those that were written", x.Name, err)
	}
}

// TestWriteTensorsMistakes: what cannot be written leaves what was there, and nothing
// beside it.
func TestWriteTensorsMistakes(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		list    []NewTensor
		says    string
		invalid bool
	}{
		{[]NewTensor{raw("a", "F32", 4), raw("a", "F32", 4)}, "twice", true},
		{[]NewTensor{raw("__metadata__", "F32", 4)}, "format's own", true},
		{[]NewTensor{raw("a", "F33", 4)}, "F33", true},
		{[]NewTensor{raw("\xff", "F32", 4)}, "UTF-8", true},
		{[]NewTensor{raw("a", "F32", 4, -1)}, "[-1]", true},
		{[]NewTensor{raw("a", "F32", 4, math.MaxInt, 2)}, "a", true},
		{[]NewTensor{raw("a", "F32", 4, 2)}, "8 bytes, and 4 were written", false},
		{[]NewTensor{FloatTensor("a", []float32{1, 2}, 3)}, "2 numbers", false},
		{[]NewTensor{{Name: "a", Type: "U8", Write: func(io.Writer) error { return broken }}}, "broken", false},
	} {
		dir := t.TempDir()
		name := filepath.Join(dir, "x.safetensors")
		if err := os.WriteFile(name, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		err := WriteTensors(name, tt.list, nil)
		if err == nil || !strings.Contains(err.Error(), tt.says) || errors.Is(err, clipsearch.ErrInvalid) != tt.invalid {
			t.Errorf("WriteTensors(%s%v): %v does not say %q", tt.list[0].Type, tt.list[0].Shape, err, tt.says)
		}
		if old, _ := os.ReadFile(name); string(old) != "old" {
			t.Errorf("WriteTensors(%s%v) left %q", tt.list[0].Type, tt.list[0].Shape, old)
		}
		if list, _ := os.ReadDir(dir); len(list) != 1 {
			t.Errorf("WriteTensors(%s%v) left %v", tt.list[0].Type, tt.list[0].Shape, list)
		}
	}
}

// FuzzWriteTensors: whatever is written without an error can be read.
func FuzzWriteTensors(f *testing.F) {
	f.Add("a", "b", uint8(3), uint8(2), "k", "v")
	f.Add("", "\xff\n", uint8(0), uint8(1), "\"", "<")
	f.Fuzz(func(t *testing.T, a, b string, n, m uint8, key, value string) {
		x := make([]float32, int(n)*int(m))
		for i := range x {
			x[i] = float32(i)
		}
		dir := t.TempDir()
		err := WriteTensors(filepath.Join(dir, "x.safetensors"), []NewTensor{raw(a, "U8", int(n), int(n)), FloatTensor(b, x, int(n), int(m))}, map[string]string{key: value})
		if err != nil {
			if !errors.Is(err, clipsearch.ErrInvalid) {
				t.Errorf("tensors %q and %q: %v is not ErrInvalid", a, b, err)
			}
			return
		}
		w, err := OpenWeights(os.DirFS(dir), "x.safetensors")
		if err != nil {
			t.Fatalf("tensors %q and %q: %v", a, b, err)
		}
		defer w.Close()
		got, ok := w.Tensor(b)
		if numbers, err := w.Float32s(got); !ok || err != nil || !slices.Equal(numbers, x) {
			t.Errorf("tensor %q: %+v, %v", b, got, err)
		}
	})
}
