package onnx_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
)

//go:generate python3 testdata/grad/generate.py

// TestGradientsGolden compares with what PyTorch computes in float64.
func TestGradientsGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/grad/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string]struct {
		X       [][]float64
		Seed, Y []float64
		D       [][]float64
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	all := cases()
	for name, want := range golden {
		i := slices.IndexFunc(all, func(c gradCase) bool { return c.name == name })
		if i < 0 {
			t.Errorf("%s: there is no such case", name)
			continue
		}
		m := all[i].model(t)
		in := map[string]array{}
		for k, p := range m.Inputs {
			a := array{dims: numbers(p.Shape), data: want.Seed}
			if k < len(want.X) {
				a.data = want.X[k]
			}
			in[p.Name] = a
		}
		values := evaluate(t, m, in)
		same := func(what string, want []float64) {
			got := values[what].data
			for k := range want {
				if len(got) != len(want) || math.Abs(got[k]-want[k]) > 1e-6*max(largest(want), 0.1) {
					t.Errorf("%s: %s is %.8g, PyTorch says %.8g", name, what, got, want)
					return
				}
			}
		}
		same("y", want.Y)
		for k, d := range want.D {
			same(fmt.Sprint("d", k), d)
		}
	}
}
