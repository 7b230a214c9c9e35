package onnx_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
)

// dropping drops out twice, and a third time at the ratio 0.
func dropping(t *testing.T) *onnx.Model {
	m, err := onnx.Build("dropping", func(g *onnx.Graph) {
		x := g.Input("x", onnx.Float, onnx.Sym("batch"), onnx.N(2))
		x = g.Dropout(x, 0.25)
		x = g.Dropout(g.Dropout(g.Mul(x, x), 0.5), 0)
		g.Output("y", x)
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestDropout: an inference graph keeps all elements; a training graph multiplies them
// by masks that it is given.
func TestDropout(t *testing.T) {
	m := dropping(t)
	fed := map[string]ort.Tensor{"x": {Shape: []int64{1, 2}, F32: []float32{3, 5}}}
	if got := runModel(t, m, "", fed)["y"].F32; !slices.Equal(got, []float32{9, 25}) {
		t.Errorf("run as it is: %v", got)
	}
	r, err := replayed(m, fed, onnx.Build)
	if err != nil {
		t.Fatal(err)
	}
	if got := runModel(t, r, "", fed)["replayed/y"].F32; !slices.Equal(got, []float32{9, 25}) {
		t.Errorf("replayed for inference: %v", got)
	}
	var masks []onnx.DropoutMask
	r, err = onnx.BuildTraining("training", func(g *onnx.Graph) {
		g.Output("y", g.Replay(m, inputs(g, m, fed), nil)["y"])
		masks = g.Masks()
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []onnx.DropoutMask{{Name: "dropout/0", Shape: []int64{1, 2}, Ratio: 0.25}, {Name: "dropout/1", Shape: []int64{1, 2}, Ratio: 0.5}}
	if diff := cmp.Diff(want, masks); diff != "" {
		t.Errorf("Masks (-want +got):\n%s", diff)
	}
	fed["dropout/0"] = ort.Tensor{Shape: []int64{1, 2}, F32: []float32{2, 1}}
	fed["dropout/1"] = ort.Tensor{Shape: []int64{1, 2}, F32: []float32{1, 0}}
	if got := runModel(t, r, "", fed)["y"].F32; !slices.Equal(got, []float32{36, 0}) {
		t.Errorf("replayed for training: %v", got)
	}
	_, err = onnx.Build("wrong", func(g *onnx.Graph) { g.Output("y", g.Dropout(g.Input("x", onnx.Float, onnx.N(1)), 1)) })
	if err == nil || !strings.Contains(err.Error(), "drop 1 of") {
		t.Errorf("all dropped: %v", err)
	}
}
