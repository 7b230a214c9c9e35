package ort_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/adrg/xdg"
	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/runtime"
)

func start(t *testing.T) string {
	t.Helper()
	lib, err := runtime.Find(runtime.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")})
	if err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	if err := ort.Init(lib.Path); err != nil {
		t.Fatal(err)
	}
	return lib.Path
}

func TestInspect(t *testing.T) {
	free := func(d ...int64) []int64 { return d }
	for _, tt := range []struct {
		file string
		want ort.Graph
	}{
		{"tiny.onnx", ort.Graph{
			Inputs:  []ort.Port{{Name: "x", Type: "float32", Shape: free(-1, 3)}, {Name: "ids", Type: "int64", Shape: free(-1, 1)}},
			Outputs: []ort.Port{{Name: "y", Type: "float32", Shape: free(-1, 2)}},
		}},
		{"bytes.onnx", ort.Graph{
			Inputs:           []ort.Port{{Name: "x", Type: "float32", Shape: free(-1, 3)}},
			Outputs:          []ort.Port{{Name: "q", Type: "uint8", Shape: free(-1, 3)}},
			DynamicQuantized: true,
		}},
	} {
		got, err := ort.InspectFile(filepath.Join("testdata", tt.file))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.file, diff)
		}
	}
	for name, model := range map[string]string{"empty": "", "words": "this is no model", "a message without a graph": "\x08\x08"} {
		if g, err := ort.Inspect([]byte(model)); err == nil {
			t.Errorf("%s: Inspect = %+v, no error", name, g)
		}
	}
}

func FuzzInspect(f *testing.F) {
	model, err := os.ReadFile("testdata/tiny.onnx")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(model)
	f.Fuzz(func(t *testing.T, model []byte) {
		if g, err := ort.Inspect(model); err == nil && len(g.Outputs) == 0 {
			t.Error("a graph without outputs, and no error")
		}
	})
}

func TestRun(t *testing.T) {
	start(t)
	model, err := os.ReadFile("testdata/tiny.onnx")
	if err != nil {
		t.Fatal(err)
	}
	in, out := []string{"x", "ids"}, []string{"y"}
	memory, err := ort.Open(model, in, out, ort.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	file, err := ort.OpenFile("testdata/tiny.onnx", in, out, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s := []*ort.Session{memory, file}[i%2]
			got, err := s.Run(
				ort.Tensor{Shape: []int64{2, 3}, F32: []float32{1, 0, 0, 0, 1, 1}},
				ort.Tensor{Shape: []int64{2, 1}, I64: []int64{10, int64(i)}})
			want := []ort.Tensor{{Shape: []int64{2, 2}, F32: []float32{11, 12, 8 + float32(i), 10 + float32(i)}}}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("Run: %v (-want +got):\n%s", err, diff)
			}
		})
	}
	wg.Wait()
}

func TestBytes(t *testing.T) {
	start(t)
	s, err := ort.OpenFile("testdata/bytes.onnx", []string{"x"}, []string{"q"}, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Run(ort.Tensor{Shape: []int64{1, 3}, F32: []float32{0, 1, 2}})
	if err != nil || len(got) != 1 || len(got[0].U8) != 3 || got[0].U8[2] != 255 {
		t.Errorf("Run = %+v, %v", got, err)
	}
}

func TestMistakes(t *testing.T) {
	start(t)
	s, err := ort.OpenFile("testdata/tiny.onnx", []string{"x", "ids"}, []string{"y"}, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	x := ort.Tensor{Shape: []int64{1, 3}, F32: []float32{1, 2, 3}}
	for name, in := range map[string][]ort.Tensor{
		"too few":         {x},
		"another type":    {x, {Shape: []int64{1, 1}, F32: []float32{1}}},
		"no elements":     {x, {Shape: []int64{1, 1}}},
		"shape too large": {x, {Shape: []int64{2, 1}, I64: []int64{1}}},
		"zero dimension":  {x, {Shape: []int64{0, 1}, I64: []int64{}}},
		"wrong width":     {{Shape: []int64{1, 2}, F32: []float32{1, 2}}, {Shape: []int64{1, 1}, I64: []int64{1}}},
	} {
		if out, err := s.Run(in...); err == nil {
			t.Errorf("%s: Run = %v, no error", name, out)
		}
	}
	if _, err := ort.OpenFile("testdata/none.onnx", []string{"x"}, []string{"y"}, ort.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenFile of nothing: %v", err)
	}
	if _, err := ort.Open([]byte("no model"), []string{"x"}, []string{"y"}, ort.Options{}); err == nil {
		t.Error("Open of words: no error")
	}
}

func TestInitTwice(t *testing.T) {
	path := start(t)
	if err := ort.Init(path); err != nil {
		t.Errorf("the same library again: %v", err)
	}
	if err := ort.Init("another"); !errors.Is(err, ort.ErrLibrary) || !strings.Contains(err.Error(), path) {
		t.Errorf("another library: %v", err)
	}
}
