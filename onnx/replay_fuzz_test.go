package onnx_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch/onnx"
)

// checkModel replays and splits a model that may hold anything: it must end with an
// error or with models that are written and read again, and stay in bounds.
func checkModel(t *testing.T, m *onnx.Model, size int) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, build := range builders {
		if r, err := build("fuzz", func(g *onnx.Graph) { replaySmall(g, m) }); err == nil {
			checkWritten(t, r)
		}
	}
	for _, every := range []int{1, 2, 3} {
		n := 0
		frozen, rest, err := m.Split(func(*onnx.Tensor) bool { n++; return n%every == 0 })
		if err != nil {
			continue
		}
		if frozen != nil {
			checkWritten(t, frozen)
		}
		checkWritten(t, rest)
	}
	if len(m.Nodes) > 0 && len(m.Nodes[0].Outputs) > 0 {
		if part, err := m.Cut(m.Nodes[0].Outputs[0]); err == nil {
			checkWritten(t, part)
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<30+uint64(size)*10000 {
		t.Errorf("%d bytes for a model of %d", used, size)
	}
}

// replaySmall replays with 2 for each dimension that is not known.
func replaySmall(g *onnx.Graph, m *onnx.Model) {
	in := map[string]*onnx.Value{}
	for _, p := range m.Inputs {
		shape := slices.Clone(p.Shape)
		for i, d := range shape {
			if _, known := d.Known(); !known {
				shape[i] = onnx.N(2)
			}
		}
		if in[p.Name] == nil {
			in[p.Name] = g.Input(p.Name, p.Type, shape...)
		}
	}
	for name, v := range g.Replay(m, in, nil) {
		g.Output("out/"+name, v)
	}
}

func checkWritten(t *testing.T, m *onnx.Model) {
	t.Helper()
	data, err := m.Marshal()
	if err == nil {
		_, err = onnx.Read(data)
	}
	if err != nil {
		t.Errorf("what was made of it cannot be read: %v", err)
	}
}

// TestReplayHostile: models of random nodes, and files of one node with bytes of it
// changed.
func TestReplayHostile(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 3))
	for range 500 {
		data := make([]byte, 1+r.IntN(150))
		for i := range data {
			data[i] = byte(r.IntN(256))
		}
		checkModel(t, randomModel(data), len(data))
	}
	for _, c := range slices.Concat(opCases, shapeOps, layerOps) {
		whole, err := c.model(max(0, c.fed, 1), nil).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		for range 6 {
			data := slices.Clone(whole)
			for range 1 + r.IntN(3) {
				data[r.IntN(len(data))] = []byte{0, 1, 2, 127, 255, byte(r.IntN(256))}[r.IntN(6)]
			}
			if m, err := onnx.Read(data); err == nil {
				checkModel(t, m, len(data))
			}
		}
	}
}

// Any bytes.
func FuzzReplay(f *testing.F) {
	for _, c := range slices.Concat(opCases, shapeOps, layerOps) {
		for _, fed := range []int{0, max(0, c.fed, 1)} {
			data, err := c.model(fed, nil).Marshal()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := onnx.Read(data)
		if err != nil {
			return
		}
		checkModel(t, m, len(data))
	})
}

// Any nodes: each byte chooses what comes next.
func FuzzReplayNodes(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte("a few operators of some operands with attributes that may not be theirs"))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkModel(t, randomModel(data), len(data))
	})
}

// randomModel makes a model by what bytes say.
func randomModel(data []byte) *onnx.Model {
	size := len(data)
	next := func(n int) int {
		if len(data) == 0 {
			return 0
		}
		v := int(data[0]) % n
		data = data[1:]
		return v
	}
	m := &onnx.Model{IR: 8, Opsets: []onnx.Opset{{Version: int64(9 + 2*next(7))}}, Name: "any",
		Inputs: []onnx.Port{
			{Name: "pixels", Type: onnx.Float, Shape: onnx.Shape{onnx.Sym("batch"), onnx.N(3), onnx.N(6), onnx.N(6)}},
			{Name: "ids", Type: onnx.Int64, Shape: onnx.Shape{onnx.Sym("batch"), onnx.Sym("length")}},
		},
		Initializers: []*onnx.Tensor{
			onnx.Ints("extremes", []int64{math.MinInt64, math.MaxInt64, -1, 0}, 4), onnx.Ints("large", []int64{1 << 20, 1 << 20}, 2),
			onnx.Ints("zeros", []int64{0, 0}, 2), onnx.Ints("none", nil, 0), onnx.Ints("one", []int64{1}), onnx.Ints("pair", []int64{1, 2}, 2),
			onnx.Ints("shape", []int64{2, -1, 3}, 3), onnx.Ints("minus", []int64{-1}, 1), onnx.Floats("half", []float32{0.5}),
			onnx.Floats("matrix", make([]float32, 36), 6, 6), onnx.Floats("vector", make([]float32, 6), 6), onnx.Floats("nothing", nil, 0, 3),
			onnx.Floats("kernel", make([]float32, 27), 1, 3, 3, 3), {Name: "truth", Type: onnx.Bool, Dims: []int64{2}, Raw: []byte{0, 1}},
			{Name: "outside", Type: onnx.Int64, Dims: []int64{2}, External: &onnx.External{Location: "x", Length: 16}},
		},
	}
	names := []string{"", "pixels", "ids"}
	for _, t := range m.Initializers {
		names = append(names, t.Name)
	}
	values := []any{int64(0), int64(1), int64(-1), int64(math.MaxInt64), int64(math.MinInt64), int64(2), float32(0.5), float32(math.Inf(1)), "SAME_UPPER",
		[]int64{2, 2}, []int64{0, 1}, []int64{-1, 1 << 40}, []int64{1, 1, 1, 1}, []int64{}, onnx.Ints("", []int64{7}, 1), int64(onnx.Float), int64(onnx.Bool), int64(onnx.Int64)}
	ops := onnx.ReplayedOps()
	for len(data) > 0 && len(m.Nodes) < 200 {
		n := &onnx.Node{Op: ops[next(len(ops))], Domain: []string{"", "", "", "com.microsoft"}[next(4)]}
		if name, its := cutDomain(n.Op); its {
			n.Op, n.Domain = name, "com.microsoft"
		}
		for range next(5) {
			n.Inputs = append(n.Inputs, names[next(len(names))])
		}
		for range next(4) {
			n.Attrs = append(n.Attrs, onnx.Attr{Name: attrNames[next(len(attrNames))], Value: values[next(len(values))]})
		}
		for range 1 + next(2) {
			out := fmt.Sprint("v", size, len(names))
			n.Outputs, names = append(n.Outputs, out), append(names, out)
		}
		m.Nodes = append(m.Nodes, n)
		m.Outputs = []onnx.Port{{Name: n.Outputs[0], Type: onnx.Float}, {Name: names[next(len(names))]}}
	}
	return m
}

func cutDomain(op string) (string, bool) {
	const domain = "com.microsoft."
	if len(op) > len(domain) && op[:len(domain)] == domain {
		return op[len(domain):], true
	}
	return op, false
}

var attrNames = []string{"axis", "axes", "to", "perm", "keepdims", "start", "end", "starts", "ends", "min", "max", "alpha", "beta", "transA", "transB",
	"kernel_shape", "strides", "pads", "group", "auto_pad", "dilations", "num_heads", "unidirectional", "scale", "value", "value_ints", "value_int",
	"batch_dims", "split", "upper", "epsilon", "count_include_pad", "ceil_mode", "allowzero", "noop_with_empty_axes", "ratio", "interleaved", "mode", "p"}
