package ort_test

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/adrg/xdg"
	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/graph/graphtest"
	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/runtime"
)

// The built-in model's towers.
const (
	image = "../../embed/builtin/model/visual.int8.onnx"
	text  = "../../embed/builtin/model/textual.int8.onnx"
)

func start(t testing.TB) string {
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

// session opens a model that may be missing.
func session(t testing.TB, path, in, out string, o ort.Options) *ort.Session {
	t.Helper()
	return sessionOf(t, path, []string{in}, []string{out}, o)
}

// textInputs are what the built-in model's text tower takes.
var textInputs = []string{"input_ids", "attention_mask"}

// textTower opens it.
func textTower(t testing.TB, o ort.Options) *ort.Session {
	t.Helper()
	return sessionOf(t, text, textInputs, []string{"text_embeds"}, o)
}

// oneText is a text as the text tower takes it: ids, and a mask that hides none.
func oneText(ids []int64) []ort.Tensor {
	shape := []int64{1, int64(len(ids))}
	return []ort.Tensor{{Shape: shape, I64: ids}, {Shape: shape, I64: slices.Repeat([]int64{1}, len(ids))}}
}

func sessionOf(t testing.TB, path string, in, out []string, o ort.Options) *ort.Session {
	t.Helper()
	start(t)
	s, err := ort.OpenFile(path, in, out, o)
	if os.IsNotExist(err) {
		t.Skipf("%s is not there", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
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
	clear(model) // Open does not keep it
	file, err := ort.OpenFile("testdata/tiny.onnx", in, out, ort.Options{Once: true, ExactInt8: true})
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
	s := session(t, "testdata/bytes.onnx", "x", "q", ort.Options{})
	got, err := s.Run(ort.Tensor{Shape: []int64{1, 3}, F32: []float32{0, 1, 4}})
	want := []ort.Tensor{{Shape: []int64{1, 3}, U8: []uint8{0, 64, 255}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Run: %v (-want +got):\n%s", err, diff)
	}
}

func TestExternalData(t *testing.T) {
	s := session(t, "testdata/external.onnx", "x", "y", ort.Options{})
	got, err := s.Run(ort.Tensor{Shape: []int64{1, 3}, F32: []float32{1, 1, 0}})
	want := []ort.Tensor{{Shape: []int64{1, 2}, F32: []float32{4, 6}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Run: %v (-want +got):\n%s", err, diff)
	}
}

// TestMistakes: what is wrong is an error of one line.
func TestMistakes(t *testing.T) {
	start(t)
	s, err := ort.OpenFile("testdata/tiny.onnx", []string{"x", "ids"}, []string{"y"}, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	x := ort.Tensor{Shape: []int64{1, 3}, F32: []float32{1, 2, 3}}
	one := ort.Tensor{Shape: []int64{1, 1}, I64: []int64{1}}
	for name, in := range map[string][]ort.Tensor{
		"too few":          {x},
		"another type":     {x, {Shape: []int64{1, 1}, F32: []float32{1}}},
		"no elements":      {x, {Shape: []int64{1, 1}}},
		"shape too large":  {x, {Shape: []int64{2, 1}, I64: []int64{1}}},
		"shape too small":  {x, {Shape: []int64{1, 1}, I64: []int64{1, 2}}},
		"shape overflows":  {x, {Shape: []int64{math.MaxInt64, math.MaxInt64}, I64: []int64{1}}},
		"negative shape":   {x, {Shape: []int64{-1, -1}, I64: []int64{1}}},
		"no shape":         {x, {I64: []int64{1}}},
		"zero dimension":   {x, {Shape: []int64{0, 1}, I64: []int64{}}},
		"wrong width":      {{Shape: []int64{1, 2}, F32: []float32{1, 2}}, one},
		"rows that differ": {{Shape: []int64{2, 3}, F32: make([]float32, 6)}, {Shape: []int64{3, 1}, I64: []int64{1, 2, 3}}},
	} {
		if out, err := s.Run(in...); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: Run = %v, %v, want an error of one line", name, out, err)
		}
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Errorf("Close twice: %v", err)
	}
	if _, err := s.Run(x, one); err == nil {
		t.Error("Run after Close: no error")
	}
}

// Graphs that nobody can run are refused, by us or by ONNX Runtime, and the process
// goes on.
func TestOpenHostile(t *testing.T) {
	start(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "outside"), make([]byte, 12), 0o644); err != nil {
		t.Fatal(err)
	}
	x := graphtest.Port{Name: "x", Type: graphtest.Float32, Shape: []int64{0, 3}}
	y := graphtest.Port{Name: "y", Type: graphtest.Float32, Shape: []int64{0, 3}}
	node := func(op, out string, in ...string) graphtest.Node {
		return graphtest.Node{Op: op, In: in, Out: []string{out}}
	}
	sum := []graphtest.Node{node("Add", "y", "x", "w")}
	for _, tt := range []struct {
		name  string
		model graphtest.Model
		says  string
	}{
		{"circle", graphtest.Model{Nodes: []graphtest.Node{node("Add", "a", "x", "b"), node("Relu", "b", "a"), node("Relu", "y", "a")}}, "circles"},
		{"file outside", graphtest.Model{Nodes: sum, Weights: []graphtest.Weight{{Name: "w", Shape: []int64{3}, File: "../outside"}}}, "outside of the model's directory"},
		{"file from the root", graphtest.Model{Nodes: sum, Weights: []graphtest.Weight{{Name: "w", Shape: []int64{3}, File: "/dev/zero"}}}, "outside of the model's directory"},
		{"file that is not there", graphtest.Model{Nodes: sum, Weights: []graphtest.Weight{{Name: "w", Shape: []int64{3}, File: "gone"}}}, "gone"},
		{"two of a name", graphtest.Model{Nodes: []graphtest.Node{node("Relu", "y", "x"), node("Neg", "y", "x")}}, "Duplicate definition"},
		{"a value from nowhere", graphtest.Model{Nodes: []graphtest.Node{node("Relu", "y", "z")}}, "z"},
		{"more weights than bytes", graphtest.Model{Nodes: sum, Weights: []graphtest.Weight{{Name: "w", Shape: []int64{1 << 40, 3}, Data: []float32{1}}}}, "w"},
		{"fewer than none", graphtest.Model{Nodes: sum, Weights: []graphtest.Weight{{Name: "w", Shape: []int64{-3}, Data: []float32{1}}}}, ""},
	} {
		tt.model.Inputs, tt.model.Outputs = []graphtest.Port{x}, []graphtest.Port{y}
		path := filepath.Join(dir, "m.onnx")
		if err := os.WriteFile(path, tt.model.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := ort.OpenFile(path, []string{"x"}, []string{"y"}, ort.Options{})
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error %v does not say %q", tt.name, err, tt.says)
		}
	}
}

func TestOpenMistakes(t *testing.T) {
	start(t)
	for _, tt := range []struct {
		file    string
		in, out []string
		says    string
	}{
		{"tiny.onnx", []string{"x", "pixels"}, []string{"y"}, "no input pixels: it has [x float32[-1 3] ids int64[-1 1]]"},
		{"tiny.onnx", []string{"x", "ids"}, []string{"z"}, "no output z"},
		{"tiny.onnx", nil, []string{"y"}, "no input is named"},
		{"half.onnx", []string{"x"}, []string{"y"}, "the output y is of float16"},
		{"half.onnx", []string{"h"}, []string{"z"}, "the input h is of float16"},
		{"nested.onnx", []string{"flag", "x"}, []string{"y"}, "the input flag is of bool"},
		{"make.py", []string{"x"}, []string{"y"}, "this is no ONNX model"},
	} {
		_, err := ort.OpenFile(filepath.Join("testdata", tt.file), tt.in, tt.out, ort.Options{})
		if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("OpenFile(%s, %v, %v) = %v, want one line of ErrInvalid with %q", tt.file, tt.in, tt.out, err, tt.says)
		}
	}
	if _, err := ort.OpenFile("testdata/none.onnx", []string{"x"}, []string{"y"}, ort.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenFile of nothing: %v", err)
	}
	if _, err := ort.Open([]byte("no model"), []string{"x"}, []string{"y"}, ort.Options{}); err == nil {
		t.Error("Open of words: no error")
	}
	model, err := os.ReadFile("testdata/tiny.onnx")
	if err != nil {
		t.Fatal(err)
	}
	model = []byte(strings.Replace(string(model), "MatMul", "MatMal", 1))
	if _, err := ort.Open(model, []string{"x", "ids"}, []string{"y"}, ort.Options{}); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("Open of a graph with an unknown operator: %v, want an error of one line", err)
	}
}

// TestCloseDuringRun: Close waits; runs that come later are refused.
func TestCloseDuringRun(t *testing.T) {
	s := session(t, "testdata/bytes.onnx", "x", "q", ort.Options{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				if _, err := s.Run(ort.Tensor{Shape: []int64{1, 3}, F32: []float32{0, 1, 2}}); err != nil {
					return
				}
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
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

// TestWrongLibrary runs itself with files that are not the library: each is an
// error of one line that names the command, and none ends the process.
func TestWrongLibrary(t *testing.T) {
	if path := os.Getenv("ORT_TEST_LIBRARY"); path != "" {
		err := ort.Init(path)
		if !errors.Is(err, ort.ErrLibrary) || !strings.Contains(err.Error(), "clipsearch runtime install") || strings.Contains(err.Error(), "\n") {
			t.Fatalf("Init(%s) = %v", path, err)
		}
		t.Log(err)
		return
	}
	good, err := os.ReadFile(start(t))
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"missing": nil, "empty": {}, "words": []byte("this is no library, but a rather long line of words that says so\n"),
		"header": good[:64], "tables": good[:3000], "cut": good[:len(good)*2/3], "almost": good[:len(good)-1],
	} {
		path := filepath.Join(dir, name+".so")
		if data != nil {
			if err := os.WriteFile(path, data, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(exe, "-test.run", "^TestWrongLibrary$", "-test.v")
		cmd.Env = append(os.Environ(), "ORT_TEST_LIBRARY="+path)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%.600s", name, err, out)
		} else {
			t.Logf("%s", out)
		}
	}
}

// TestNoTelemetry runs itself with an empty home and looks what ONNX Runtime put
// there: nothing. The variables are those that silence it by themselves.
func TestNoTelemetry(t *testing.T) {
	if os.Getenv("ORT_TEST_HOME") != "" {
		s := session(t, "testdata/bytes.onnx", "x", "q", ort.Options{})
		if _, err := s.Run(ort.Tensor{Shape: []int64{1, 3}, F32: []float32{0, 1, 4}}); err != nil {
			t.Fatal(err)
		}
		return
	}
	lib := start(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.Command(exe, "-test.run", "^TestNoTelemetry$")
	for _, variable := range []string{"PATH", "SystemRoot", "SYSTEMROOT", "TMPDIR", "TEMP", "LD_LIBRARY_PATH"} {
		cmd.Env = append(cmd.Env, variable+"="+os.Getenv(variable))
	}
	cmd.Env = append(cmd.Env, "ORT_TEST_HOME="+home, "HOME="+home, "XDG_CACHE_HOME="+home, "XDG_DATA_HOME="+home,
		"USERPROFILE="+home, "LOCALAPPDATA="+home, "APPDATA="+home, "ONNXRUNTIME_LIB="+lib, "ORT_DISABLE_TELEMETRY=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	err = filepath.WalkDir(home, func(path string, _ os.DirEntry, err error) error {
		if path != home {
			t.Errorf("it left %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
