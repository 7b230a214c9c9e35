package trainer

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/onnx"
)

// tower is a graph whose nodes read weights in this order.
func tower(t *testing.T, groups int64) *onnx.Model {
	t.Helper()
	m := &onnx.Model{Inputs: []onnx.Port{{Name: "x", Type: onnx.Float}}, Outputs: []onnx.Port{{Name: "y", Type: onnx.Float, Shape: onnx.Shape{onnx.Sym("batch"), onnx.N(2)}}}}
	four := []float32{1, 2, 3, 4}
	add := func(op string, dims []int64, names ...string) {
		n := &onnx.Node{Op: op, Inputs: append([]string{"x"}, names...), Outputs: []string{"x"}}
		if op == "Conv" {
			n.Attrs = []onnx.Attr{{Name: "group", Value: groups}}
		}
		m.Nodes = append(m.Nodes, n)
		for _, name := range names {
			m.Initializers = append(m.Initializers, onnx.Floats(name, four, dims...))
		}
	}
	add("Conv", []int64{1, 1, 2, 2}, "patches")
	add("Add", []int64{2, 2}, "positions")
	for _, i := range []string{"0", "1", "2", "10"} {
		add("MatMul", []int64{2, 2}, "layers."+i+".fc1.weight")
		add("Add", []int64{4}, "layers."+i+".fc1.bias")
	}
	add("BatchNormalization", []int64{4}, "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")
	add("Add", []int64{1, 1, 2, 2}, "mask")
	add("Mul", nil, "scale")
	m.Initializers[len(m.Initializers)-1] = onnx.Floats("scale", []float32{1})
	add("Gemm", []int64{2, 2}, "projection")
	m.Nodes[len(m.Nodes)-1].Outputs = []string{"y"}
	return m
}

func TestSelection(t *testing.T) {
	w := weightsOf(tower(t, 1), nil)
	for _, tt := range []struct {
		s    Selection
		want string
	}{
		{Selection{"none"}, ""},
		{Selection{"last:1"}, "layers.10.fc1.weight layers.10.fc1.bias norm.weight norm.bias projection"},
		{Selection{"last:2"}, "layers.2.fc1.weight layers.2.fc1.bias layers.10.fc1.weight layers.10.fc1.bias norm.weight norm.bias projection"},
		{Selection{"*.fc1.bias", "projection"}, "layers.0.fc1.bias layers.1.fc1.bias layers.2.fc1.bias layers.10.fc1.bias projection"},
		{Selection{"norm.*"}, "norm.weight norm.bias"},
	} {
		got, err := tt.s.pick(w)
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%v: %v, %v, want %s", tt.s, got, err, tt.want)
		}
	}
	all, err := Selection{"all"}.pick(w)
	if err != nil || len(all) != 13 || slices.Contains(all, "mask") || slices.Contains(all, "scale") {
		t.Errorf("all: %v, %v", all, err)
	}
	for _, tt := range []struct {
		s    Selection
		want string
	}{
		{Selection{"last:5"}, "the tower has 4 blocks"},
		{Selection{"*.fc2.*"}, `"*.fc2.*" matches none of the 13 weights: did you mean layers.0.fc1.weight?`},
		{Selection{"*.fc1.bais"}, "did you mean layers.0.fc1.bias?"},
		{Selection{"layer.10.*.weight"}, "did you mean layers.10.fc1.weight?"},
		{Selection{"patches", "projektion"}, `"projektion" matches none of the 13 weights: did you mean projection?`},
		{Selection{"al"}, "did you mean all?"},
		{Selection{"norm.running_*"}, "names what cannot be trained (norm.running_mean): it is a statistic"},
	} {
		if _, err := tt.s.pick(w); err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%v: %v, want %q", tt.s, err, tt.want)
		}
	}
}

// TestFrozenKernels: a convolution by channels is not trained, and what a checkpoint does
// not have is no weight.
func TestFrozenKernels(t *testing.T) {
	w := weightsOf(tower(t, 2), nil)
	if slices.Contains(w.names, "patches") || !slices.Contains(w.frozen, frozenWeight{"patches", byChannels}) {
		t.Errorf("weights %v, frozen %v", w.names, w.frozen)
	}
	w = weightsOf(tower(t, 1), []clip.Parameter{{Name: "mask"}, {Name: "projection"}, {Name: "patches", Depthwise: true}})
	if !slices.Equal(w.names, []string{"mask", "projection"}) {
		t.Errorf("of a checkpoint with two, and a kernel: %v", w.names)
	}
	if _, err := (Selection{"patches"}).pick(w); err == nil || !strings.Contains(err.Error(), "cannot be trained (patches): the kernel of a convolution by channels") {
		t.Errorf("a kernel that is asked for: %v", err)
	}
	if got, err := (Selection{"all"}).pick(w); err != nil || !slices.Equal(got, w.names) {
		t.Errorf("all: %v, %v", got, err)
	}
}

func TestSlow(t *testing.T) {
	n := network{trained: map[string]bool{"image/layers.0.fc1.weight": true, "text/text_model.final.weight": true}}
	for _, tt := range []struct {
		s    Selection
		says string
	}{
		{Selection{"none"}, ""},
		{Selection{"text/*"}, ""},
		{Selection{"text_model.*"}, `optim.slow: of what is trained, "text_model.*" matches none of the 2 weights: did you mean text/text_model.final.weight?`},
		{Selection{"image/*", "image/layer.0.*"}, "did you mean image/layers.0.fc1.weight?"},
	} {
		err := n.slow(tt.s)
		if (err == nil) != (tt.says == "") || err != nil && (!strings.Contains(err.Error(), tt.says) || !errors.Is(err, clipsearch.ErrInvalid)) {
			t.Errorf("%v: %v, want %q", tt.s, err, tt.says)
		}
	}
	c := Defaults()
	for _, s := range []Selection{{"all"}, {"last:2"}} {
		if c.Optim.Slow = s; c.Check() == nil {
			t.Errorf("%v is no list of patterns, and is taken", s)
		}
	}
}

func TestPrefixed(t *testing.T) {
	m := tower(t, 1)
	p := prefixed(m, "image/")
	if p.Nodes[0].Inputs[1] != "image/patches" || p.Initializers[0].Name != "image/patches" || m.Nodes[0].Inputs[1] != "patches" || m.Initializers[0].Name != "patches" {
		t.Errorf("%v, %v; before: %v, %v", p.Nodes[0].Inputs, p.Initializers[0].Name, m.Nodes[0].Inputs, m.Initializers[0].Name)
	}
}

func TestHead(t *testing.T) {
	m := tower(t, 1)
	a, err := withHead(m, "y", 3, 7)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := withHead(m, "y", 3, 7)
	c, _ := withHead(m, "y", 3, 8)
	last := len(a.Initializers) - 2
	if a.Outputs[0].Name != "y/head" || !slices.Equal(a.Initializers[last].Dims, []int64{3, 2}) || len(m.Nodes)+1 != len(a.Nodes) {
		t.Errorf("%v, weights of %v", a.Outputs, a.Initializers[last].Dims)
	}
	if string(a.Initializers[last].Raw) != string(b.Initializers[last].Raw) || string(a.Initializers[last].Raw) == string(c.Initializers[last].Raw) {
		t.Error("a head's first weights are a function of the seed")
	}
	m.Outputs[0].Shape = onnx.Shape{onnx.Sym("batch"), onnx.Sym("dim")}
	if _, err := withHead(m, "y", 3, 7); err == nil {
		t.Error("a head on a tower of unknown size")
	}
	f := filled(a, map[string][]float32{headBias: {1, 2, 3}})
	if got, err := f.Initializers[last+1].Float32s(); err != nil || !slices.Equal(got, []float32{1, 2, 3}) {
		t.Errorf("filled: %v, %v", got, err)
	}
}
