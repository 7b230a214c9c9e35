package ort_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch/internal/ort"
)

// TestRunInto: outputs land in the memory given for them, run after run, and what
// is around it stays as it was.
func TestRunInto(t *testing.T) {
	for name, o := range map[string]ort.Options{"plain": {}, "training": {Training: true, Threads: 2}} {
		s := session(t, "testdata/external.onnx", "x", "y", o)
		memory := make([]float32, 8)
		for i, want := range [][]float32{{0, 0, 4, 6, 5, 6, 0, 0}, {0, 0, 8, 12, 10, 12, 0, 0}} {
			f := float32(i + 1)
			err := s.RunInto([]ort.Tensor{{Shape: []int64{2, 2}, F32: memory[2:6]}}, ort.Tensor{Shape: []int64{2, 3}, F32: []float32{f, f, 0, 0, 0, f}})
			if diff := cmp.Diff(want, memory); err != nil || diff != "" {
				t.Errorf("%s: RunInto: %v (-want +got):\n%s", name, err, diff)
			}
		}
	}
}

// TestRunIntoMistakes: memory that does not fit, or that two tensors share, is an
// error and not a wrong number.
func TestRunIntoMistakes(t *testing.T) {
	s := session(t, "testdata/external.onnx", "x", "y", ort.Options{})
	memory := make([]float32, 16)
	x := ort.Tensor{Shape: []int64{2, 3}, F32: memory[:6]}
	for name, tt := range map[string]struct {
		out  []ort.Tensor
		in   []ort.Tensor
		says string
	}{
		"none":             {nil, []ort.Tensor{x}, "0 tensors for 1 outputs"},
		"no input":         {[]ort.Tensor{{Shape: []int64{2, 2}, F32: memory[8:12]}}, nil, "0 tensors for the inputs"},
		"another type":     {[]ort.Tensor{{Shape: []int64{2, 2}, I64: make([]int64, 4)}}, []ort.Tensor{x}, "type"},
		"no elements":      {[]ort.Tensor{{Shape: []int64{2, 2}}}, []ort.Tensor{x}, "output 0"},
		"too few rows":     {[]ort.Tensor{{Shape: []int64{1, 2}, F32: memory[8:10]}}, []ort.Tensor{x}, "shape"},
		"too many rows":    {[]ort.Tensor{{Shape: []int64{3, 2}, F32: memory[8:14]}}, []ort.Tensor{x}, "shape"},
		"the input":        {[]ort.Tensor{{Shape: []int64{2, 2}, F32: memory[:4]}}, []ort.Tensor{x}, "0 share memory"},
		"the input's tail": {[]ort.Tensor{{Shape: []int64{2, 2}, F32: memory[5:9]}}, []ort.Tensor{x}, "0 share memory"},
		"into the input":   {[]ort.Tensor{{Shape: []int64{2, 2}, F32: memory[1:5]}}, []ort.Tensor{{Shape: []int64{2, 3}, F32: memory[4:10]}}, "share memory"},
	} {
		err := s.RunInto(tt.out, tt.in...)
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: RunInto: %v, want an error of one line with %q", name, err, tt.says)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.RunInto([]ort.Tensor{{Shape: []int64{2, 2}, F32: memory[8:12]}}, x); err == nil {
		t.Error("RunInto after Close: no error")
	}
}

// TestTraining: sessions of a trainer come and go, and with the last of them the memory
// that they shared.
func TestTraining(t *testing.T) {
	start(t)
	open := func() *ort.Session {
		s, err := ort.OpenFile("testdata/external.onnx", []string{"x"}, []string{"y"}, ort.Options{Training: true})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	run := func(s *ort.Session) {
		t.Helper()
		out, err := s.Run(ort.Tensor{Shape: []int64{1, 3}, F32: []float32{1, 1, 0}})
		if diff := cmp.Diff([]ort.Tensor{{Shape: []int64{1, 2}, F32: []float32{4, 6}}}, out); err != nil || diff != "" {
			t.Errorf("Run: %v (-want +got):\n%s", err, diff)
		}
	}
	for range 2 {
		a, b := open(), open()
		run(a)
		run(b)
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		run(b)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := ort.OpenFile("testdata/make.py", []string{"x"}, []string{"y"}, ort.Options{Training: true}); err == nil {
		t.Error("a script as a graph: no error")
	}
	s := open()
	run(s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
