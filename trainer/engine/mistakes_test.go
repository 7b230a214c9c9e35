package engine

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// TestNewMistakes: what cannot be trained is an error that says what to do.
func TestNewMistakes(t *testing.T) {
	m := readTiny(t)
	image, text := m.towers(t, 0)
	files := os.DirFS("testdata")
	good := Stream{Image: image, Text: text, Files: files}
	with := func(f func(s *Stream)) []Stream {
		s := good
		f(&s)
		return []Stream{s}
	}
	other, err := onnx.Build("other", func(g *onnx.Graph) {
		x := g.Input("ids", onnx.Float, onnx.Sym("batch"), onnx.N(3))
		g.Output("y", g.Gemm(x, g.Const(onnx.Floats("image.head.weight", make([]float32, 6), 3, 2)), nil, false))
	})
	if err != nil {
		t.Fatal(err)
	}
	taken, err := onnx.Build("taken", func(g *onnx.Graph) {
		x := g.Input("ids", onnx.Float, onnx.Sym("batch"), onnx.N(3))
		g.Output("y", g.Gemm(x, g.Const(onnx.Floats(LogitScale, make([]float32, 6), 3, 2)), nil, false))
	})
	if err != nil {
		t.Fatal(err)
	}
	any := func(string) bool { return true }
	for name, tt := range map[string]struct {
		o    Options
		says string
	}{
		"no stream":          {Options{Trained: m.trained}, "no stream"},
		"nothing said":       {Options{Streams: []Stream{good}}, "nothing said"},
		"nothing trained":    {Options{Streams: []Stream{good}, Trained: func(string) bool { return false }}, "no weight"},
		"no tower":           {Options{Streams: with(func(s *Stream) { s.Text = nil }), Trained: m.trained}, "no text tower"},
		"batch of one":       {Options{Streams: with(func(s *Stream) { s.Batch = 1 }), Trained: m.trained}, "two pairs"},
		"negative weight":    {Options{Streams: with(func(s *Stream) { s.Weight = -1 }), Trained: m.trained}, "weight -1"},
		"a loss":             {Options{Streams: []Stream{good}, Trained: m.trained, Loss: "triplet"}, `"triplet" is not known: it is infonce, siglip or infoloob`},
		"uneven parts":       {Options{Streams: []Stream{good}, Trained: m.trained, GradCache: true, Chunk: 3, Part: 4}, "multiple"},
		"negative chunk":     {Options{Streams: []Stream{good}, Trained: m.trained, Chunk: -1}, "negative"},
		"no files":           {Options{Streams: with(func(s *Stream) { s.Files = nil }), Trained: m.trained}, "lies in tiny.f32"},
		"another file":       {Options{Streams: with(func(s *Stream) { s.Files = fstest.MapFS{} }), Trained: m.trained}, "tiny.f32"},
		"short file":         {Options{Streams: with(func(s *Stream) { s.Files = fstest.MapFS{"tiny.f32": {Data: make([]byte, 1000)}} }), Trained: m.trained}, "read"},
		"one name, two dims": {Options{Streams: []Stream{good, {Image: image, Text: other, Files: files}}, Trained: m.trained}, "image.head.weight"},
		"the loss's name":    {Options{Streams: []Stream{{Image: image, Text: taken, Files: files}}, Trained: any}, "as the loss's is"},
	} {
		_, err := New(tt.o)
		var missing *fs.PathError
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: New: %v, want one line with %q", name, err, tt.says)
		} else if !errors.Is(err, clipsearch.ErrInvalid) && !strings.Contains(name, "file") && !errors.As(err, &missing) {
			t.Errorf("%s: New: %v is not ErrInvalid", name, err)
		}
	}
}

// TestStepMistakes: a batch that does not fit is an error, and the next one runs.
func TestStepMistakes(t *testing.T) {
	m := readTiny(t)
	image, text := m.towers(t, 0)
	e := m.engine(t, 0, Options{Streams: []Stream{{Image: image, Text: text, Files: os.DirFS("testdata"), Batch: 8}}, Loss: InfoLOOB})
	good := m.batch(0, m.Context)
	px, ids := good.Image["pixels"], good.Text["ids"]
	pairs := func(v ...float32) []float32 { return append(v, make([]float32, 64-len(v))...) }
	for name, tt := range map[string]struct {
		in   Inputs
		says string
	}{
		"nothing":       {Inputs{}, "image tower: the input pixels"},
		"no texts":      {Inputs{Image: good.Image}, "text tower: the input ids"},
		"fewer texts":   {Inputs{Image: good.Image, Text: map[string]Tensor{"ids": rows(ids, 0, 7)}}, "7 rows in a batch of 8"},
		"half a batch":  {Inputs{Image: map[string]Tensor{"pixels": rows(px, 0, 4)}, Text: map[string]Tensor{"ids": rows(ids, 0, 4)}}, "4 rows in a batch of 8"},
		"other size":    {Inputs{Image: map[string]Tensor{"pixels": {Shape: []int64{8, 3, 8, 8}, F32: make([]float32, 8*3*64)}}, Text: good.Text}, "given a tensor of [8 3 8 8]"},
		"few numbers":   {Inputs{Image: map[string]Tensor{"pixels": {Shape: px.Shape, F32: px.F32[1:]}}, Text: good.Text}, "another number of elements"},
		"floats":        {Inputs{Image: good.Image, Text: map[string]Tensor{"ids": {Shape: ids.Shape, F32: make([]float32, len(ids.I64))}}}, "ids"},
		"long texts":    {Inputs{Image: good.Image, Text: map[string]Tensor{"ids": {Shape: []int64{8, 11}, I64: make([]int64, 88)}}}, ""},
		"few pairs":     {Inputs{good.Image, good.Text, make([]float32, 9)}, "9 numbers"},
		"no pairs":      {Inputs{good.Image, good.Text, make([]float32, 64)}, "belongs to nothing"},
		"negative pair": {Inputs{good.Image, good.Text, pairs(-1)}, "by -1"},
		"broken pair":   {Inputs{good.Image, good.Text, pairs(float32(math.NaN()))}, "by NaN"},
		"all pairs":     {Inputs{good.Image, good.Text, slices.Repeat([]float32{1}, 64)}, "belongs to all"},
		"unknown word":  {Inputs{good.Image, map[string]Tensor{"ids": {Shape: ids.Shape, I64: append([]int64{1 << 40}, ids.I64[1:]...)}}, nil}, ""},
	} {
		if _, err := e.Step(0, []Inputs{tt.in}); err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: Step: %v, want one line with %q", name, err, tt.says)
		}
	}
	if _, err := e.Step(0, nil); err == nil {
		t.Error("no batch for a stream: no error")
	}
	if _, err := e.Embed(0, sides, good.Image); err == nil {
		t.Error("Embed with a third tower: no error")
	}
	if _, err := e.Embed(0, Image, good.Text); err == nil {
		t.Error("Embed of words as pixels: no error")
	}
	if _, err := e.Step(0, []Inputs{good}); err != nil {
		t.Errorf("a good batch after bad ones: %v", err)
	}
}
