package onnx_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
)

// residual is a residual layer over [batch,length,4] with a mask that comes of ids, whose
// middle is asked for its shape as exporters do.
func residual(t testing.TB) *onnx.Model {
	m, err := onnx.Build("block", func(g *onnx.Graph) {
		batch, length := onnx.Sym("batch"), onnx.Sym("length")
		ids := g.Input("ids", onnx.Int64, batch, length)
		x := g.Rows(g.Const(named("table", floats(shape(9, 4)))), ids)
		g.In("first", func() { x = g.Add(x, g.Relu(g.MatMul(x, g.Const(named("w1", floats(shape(4, 4))))))) })
		seen := g.Cast(g.Cast(g.Unsqueeze(ids, 2), onnx.Bool), onnx.Float)
		g.In("second", func() {
			y := g.Mul(g.MatMul(x, g.Const(named("w2", floats(shape(4, 4))))), seen)
			x = g.Add(x, g.ReshapeTo(g.Reshape(y, batch.Times(length), onnx.N(4)), x, batch, length, onnx.N(4)))
		})
		g.Output("y", g.ReduceMean(x, false, 1))
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestReplayBind(t *testing.T) {
	m := residual(t)
	input := func(g *onnx.Graph, typ onnx.Type, dims ...onnx.Dim) map[string]*onnx.Value {
		return map[string]*onnx.Value{"ids": g.Input("ids", typ, dims...)}
	}
	for _, tt := range []struct {
		name   string
		f      func(g *onnx.Graph) map[string]*onnx.Value
		weight func(g *onnx.Graph, t *onnx.Tensor) *onnx.Value
		says   string
	}{
		{name: "fits", f: func(g *onnx.Graph) map[string]*onnx.Value { return input(g, onnx.Int64, onnx.N(2), onnx.N(3)) }},
		{name: "int32", f: func(g *onnx.Graph) map[string]*onnx.Value { return input(g, onnx.Int32, onnx.N(2), onnx.N(3)) }},
		{name: "none", f: func(*onnx.Graph) map[string]*onnx.Value { return nil }, says: "the input ids of block is not given"},
		{name: "rank", f: func(g *onnx.Graph) map[string]*onnx.Value { return input(g, onnx.Int64, onnx.N(2)) }, says: "the input ids of block is int64[batch,length], and is given"},
		{name: "type", f: func(g *onnx.Graph) map[string]*onnx.Value { return input(g, onnx.Float, onnx.N(2), onnx.N(3)) }, says: "and is given ids float32"},
		{name: "symbol", f: func(g *onnx.Graph) map[string]*onnx.Value { return input(g, onnx.Int64, onnx.Sym("b"), onnx.N(3)) }, says: "replayed with numbers"},
		{name: "another", f: func(g *onnx.Graph) map[string]*onnx.Value {
			in := input(g, onnx.Int64, onnx.N(2), onnx.N(3))
			in["mask"] = in["ids"]
			return in
		}, says: "block has no input mask: it has [ids]"},
		{name: "weight", f: func(g *onnx.Graph) map[string]*onnx.Value { return input(g, onnx.Int64, onnx.N(2), onnx.N(3)) },
			weight: func(g *onnx.Graph, t *onnx.Tensor) *onnx.Value { return g.Scalar(0) }, says: "the weight table of [9 4] is given"},
	} {
		_, err := onnx.Build(tt.name, func(g *onnx.Graph) {
			var weight func(*onnx.Tensor) *onnx.Value
			if tt.weight != nil {
				weight = func(t *onnx.Tensor) *onnx.Value { return tt.weight(g, t) }
			}
			g.Output("y", g.Replay(m, tt.f(g), weight)["y"])
		})
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}

// TestReplayWeights: each weight is asked for once, in the order in which it is read,
// and may stand for the same value in a second replay.
func TestReplayWeights(t *testing.T) {
	m := residual(t)
	var asked []string
	r, err := onnx.BuildTraining("twice", func(g *onnx.Graph) {
		made := map[string]*onnx.Value{}
		weight := func(t *onnx.Tensor) *onnx.Value {
			if asked = append(asked, t.Name); made[t.Name] == nil {
				made[t.Name] = g.Input(t.Name, t.Type, onnx.Of(t.Dims...)...)
			}
			return made[t.Name]
		}
		for _, part := range []string{"a", "b"} {
			g.In(part, func() {
				ids := g.Input(part, onnx.Int64, onnx.N(2), onnx.N(3))
				g.Output("y/"+part, g.Replay(m, map[string]*onnx.Value{"ids": ids}, weight)["y"])
			})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"table", "w1", "w2", "table", "w1", "w2"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	ids := ort.Tensor{Shape: []int64{2, 3}, I64: []int64{1, 2, 0, 3, 4, 5}}
	whole := runModel(t, m, "", map[string]ort.Tensor{"ids": ids})["y"]
	fed := map[string]ort.Tensor{"a": ids, "b": ids}
	for _, w := range m.Initializers {
		v, _ := w.Float32s()
		fed[w.Name] = ort.Tensor{Shape: w.Dims, F32: v}
	}
	for name, got := range runModel(t, r, "", fed) {
		compare(t, name, got, whole)
	}
}

// TestReplayUnknown: what is not known is named, and ends nothing that lies before
// what is trained.
func TestReplayUnknown(t *testing.T) {
	m := residual(t)
	ids := m.Nodes[0]
	for _, n := range m.Nodes {
		for k, in := range n.Inputs {
			if in == ids.Outputs[0] {
				n.Inputs[k] = "odd"
			}
		}
	}
	odd := &onnx.Node{Name: "strange", Op: "Hardmax", Inputs: []string{ids.Outputs[0]}, Outputs: []string{"odd"}}
	m.Nodes = slices.Insert(m.Nodes, 1, odd)
	fed := map[string]ort.Tensor{"ids": {Shape: []int64{2, 3}, I64: []int64{1, 2, 0, 3, 4, 5}}}
	_, err := replayed(m, fed, onnx.Build)
	if err == nil || !strings.Contains(err.Error(), "strange: the operator Hardmax is not known here: it can only lie in the frozen part") {
		t.Errorf("Replay: %v", err)
	}
	last := func(t *onnx.Tensor) bool { return t.Name == "w2" }
	_, _, err = m.Split(last)
	if err == nil || !strings.Contains(err.Error(), "Hardmax") {
		t.Errorf("Split without the shapes behind Hardmax: %v", err)
	}
	for _, n := range m.Nodes { // as shape inference by others would tell
		if strings.HasPrefix(n.Name, "first/Add") {
			m.Info = append(m.Info, onnx.Port{Name: n.Outputs[0], Type: onnx.Float, Shape: onnx.Shape{onnx.Sym("batch"), onnx.Sym("length"), onnx.N(4)}})
		}
	}
	frozen, rest, err := m.Split(last)
	if err != nil {
		t.Fatal(err)
	}
	checkSplit(t, tower{"unknown", m, ""}, "with Hardmax frozen", frozen, rest, fed, runModel(t, m, "", fed))
}

// TestSplitCrosses: what crosses is what is dear, once; masks and shapes do not.
func TestSplitCrosses(t *testing.T) {
	m := residual(t)
	frozen, rest, err := m.Split(func(t *onnx.Tensor) bool { return t.Name == "w2" })
	if err != nil {
		t.Fatal(err)
	}
	if len(frozen.Outputs) != 1 || frozen.Outputs[0].Shape.String() != "[batch,length,4]" || len(frozen.Initializers) != 2 {
		t.Errorf("the frozen part makes %v of %d tensors", frozen.Outputs, len(frozen.Initializers))
	}
	if names := []string{rest.Inputs[0].Name, rest.Inputs[1].Name}; len(rest.Inputs) != 2 || names[0] != frozen.Outputs[0].Name || names[1] != "ids" {
		t.Errorf("the rest takes %v", rest.Inputs)
	}
	if all, _, err := m.Split(func(t *onnx.Tensor) bool { return true }); all != nil || err != nil {
		t.Errorf("all trained: %v, %v", all, err)
	}
	if _, _, err := m.Split(func(t *onnx.Tensor) bool { return false }); err == nil {
		t.Error("nothing trained: no error")
	}
	if part, err := m.Cut(frozen.Outputs[0].Name); err != nil || len(part.Nodes) != len(frozen.Nodes) || part.Outputs[0].Shape.String() != "[batch,length,4]" {
		t.Errorf("Cut(%s): %v, %v", frozen.Outputs[0].Name, part, err)
	}
	if _, err := m.Cut("nowhere"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("Cut(nowhere): %v", err)
	}
	again, _, err := m.Split(func(t *onnx.Tensor) bool { return t.Name == "w2" })
	if err != nil || again.Outputs[0].Name != frozen.Outputs[0].Name {
		t.Errorf("split again, %v crosses: %v", again, err)
	}
}

func named(name string, t *onnx.Tensor) *onnx.Tensor {
	t.Name = name
	return t
}

// TestUnmadeResults: results that a replay does not make, such as the mean of a
// SkipLayerNormalization, are missed by those who read them, and by nobody else.
func TestUnmadeResults(t *testing.T) {
	m := &onnx.Model{IR: 8, Opsets: []onnx.Opset{{Version: 17}, {Domain: "com.microsoft", Version: 1}}, Name: "unmade",
		Inputs:       []onnx.Port{{Name: "x", Type: onnx.Float, Shape: onnx.Of(2, 3)}},
		Initializers: []*onnx.Tensor{onnx.Floats("w", []float32{1, 2, 3}, 3)},
		Nodes:        []*onnx.Node{{Op: "SkipLayerNormalization", Domain: "com.microsoft", Inputs: []string{"x", "x", "w"}, Outputs: []string{"y", "mean"}}},
		Outputs:      []onnx.Port{{Name: "y", Type: onnx.Float}},
	}
	if part, err := m.Cut("y"); err != nil || len(part.Nodes) != 1 {
		t.Errorf("Cut at what is made: %v", err)
	}
	m.Nodes = append(m.Nodes, &onnx.Node{Name: "reader", Op: "Relu", Inputs: []string{"mean"}, Outputs: []string{"z"}})
	m.Outputs[0].Name = "z"
	_, err := onnx.Build("reader", func(g *onnx.Graph) {
		g.Replay(m, map[string]*onnx.Value{"x": g.Input("x", onnx.Float, onnx.Of(2, 3)...)}, nil)
	})
	if err == nil || !strings.Contains(err.Error(), "mean") {
		t.Errorf("Replay of what reads the mean: %v, want that there is none", err)
	}
}
