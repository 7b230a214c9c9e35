package onnx_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
)

// weights are the names of a model's float32 initializers in the order in which its
// nodes read them.
func weights(m *onnx.Model) (names []string) {
	sizes := map[string]int64{}
	for _, t := range m.Initializers {
		if n, _ := t.Len(); t.Type == onnx.Float && n > 1 {
			sizes[t.Name] = n
		}
	}
	for _, n := range m.Nodes {
		for _, in := range n.Inputs {
			if sizes[in] > 0 && !slices.Contains(names, in) {
				names = append(names, in)
			}
		}
	}
	return names
}

// TestSplit: what is frozen and then the rest give what the whole tower gives, wherever
// training begins: at the last weight, at a half, at the second.
func TestSplit(t *testing.T) {
	for _, tw := range towers(t) {
		t.Run(tw.name, func(t *testing.T) {
			fed := feed(tw.m, 2)
			want := runModel(t, tw.m, tw.folder, fed)
			names := weights(tw.m)
			for _, first := range []int{len(names) - 1, len(names) / 2, 1} {
				trained := names[first:]
				frozen, rest, err := tw.m.Split(func(t *onnx.Tensor) bool { return slices.Contains(trained, t.Name) })
				if err != nil {
					t.Fatalf("trained from %s on: %v", names[first], err)
				}
				checkSplit(t, tw, fmt.Sprintf("%s trained from %s on", tw.name, names[first]), frozen, rest, fed, want)
			}
		})
	}
}

func checkSplit(t *testing.T, tw tower, what string, frozen, rest *onnx.Model, fed, want map[string]ort.Tensor) {
	t.Helper()
	given := map[string]ort.Tensor{}
	if frozen != nil {
		given = runModel(t, frozen, tw.folder, fed)
		for _, p := range frozen.Outputs {
			if !fits(p.Shape, given[p.Name].Shape) {
				t.Errorf("%s: the frozen part's output %v is of %v", what, p, given[p.Name].Shape)
			}
		}
	}
	for name, v := range fed {
		given[name] = v
	}
	m, err := replayed(rest, given, onnx.BuildTraining)
	if err != nil {
		t.Fatalf("%s: replay the rest: %v", what, err)
	}
	again, got := runModel(t, m, tw.folder, given), runModel(t, rest, tw.folder, given)
	for _, p := range rest.Outputs {
		compare(t, what, got[p.Name], want[p.Name])
		compare(t, what+", replayed", again["replayed/"+p.Name], want[p.Name])
	}
}

// fits reports whether a shape may be the numbers.
func fits(s onnx.Shape, dims []int64) bool {
	return slices.EqualFunc(s, dims, func(d onnx.Dim, n int64) bool {
		k, known := d.Known()
		return !known || k == n
	})
}
