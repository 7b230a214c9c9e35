package onnx_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch/onnx"
)

// TestHalve: both halves together compute what the graph does, the first without the
// seed, and nothing but floats crosses.
func TestHalve(t *testing.T) {
	crossed := 0
	for _, c := range cases() {
		m := c.model(t)
		in := c.inputs(m, 1)
		want := evaluate(t, m, in)
		first, second, kept := m.Halve("seed")
		if slices.ContainsFunc(first.Inputs, func(p onnx.Port) bool { return p.Name == "seed" }) {
			t.Errorf("%s: the first half takes the seed", c.name)
		}
		half := evaluate(t, first, given(first, in))
		known := maps.Clone(in)
		for _, p := range kept {
			known[p.Name] = half[p.Name]
			if crossed++; p.Type != onnx.Float {
				t.Errorf("%s: %s %v crosses", c.name, p.Name, p.Type)
			}
		}
		rest := evaluate(t, second, given(second, known))
		for _, p := range m.Outputs {
			got := half[p.Name].data
			if slices.ContainsFunc(second.Outputs, func(q onnx.Port) bool { return q.Name == p.Name }) {
				got = rest[p.Name].data
			} else if !slices.ContainsFunc(first.Outputs, func(q onnx.Port) bool { return q.Name == p.Name }) {
				t.Errorf("%s: neither half gives %s", c.name, p.Name)
			}
			if !slices.Equal(got, want[p.Name].data) {
				t.Errorf("%s: the halves give another %s than the graph", c.name, p.Name)
			}
		}
	}
	if crossed == 0 {
		t.Error("nothing crosses")
	}
}

// given are the inputs that a model has.
func given(m *onnx.Model, all map[string]array) map[string]array {
	in := map[string]array{}
	for _, p := range m.Inputs {
		in[p.Name] = all[p.Name]
	}
	return in
}
