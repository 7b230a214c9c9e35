package onnx_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
)

// opCase is one node. Its operands are constants, which replaying folds, or, the first
// of them, what the graph is given.
type opCase struct {
	op    string // domain.op, with @ and the operator set if it is another than 17
	in    []*onnx.Tensor
	attrs []onnx.Attr
	outs  int  // 1 if zero
	fed   int  // how many operands are given in the second place; 1 if zero, none if −1
	graph bool // is not folded
}

// floats is a float32 tensor of numbers that are no sequence, or those given.
func floats(dims []int64, v ...float32) *onnx.Tensor {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	for i := len(v); i < int(n); i++ {
		v = append(v, float32(math.Round(100*math.Sin(float64(i*i+i+1))))/50)
	}
	return onnx.Floats("", v, dims...)
}

func longs(dims []int64, v ...int64) *onnx.Tensor {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	for j := len(v); j < int(n); j++ {
		v = append(v, int64(j*j*7%11-4))
	}
	return onnx.Ints("", v, dims...)
}

func ints(v ...int64) *onnx.Tensor { return longs([]int64{int64(len(v))}, v...) }

func truths(dims []int64, v ...byte) *onnx.Tensor {
	return &onnx.Tensor{Type: onnx.Bool, Dims: dims, Raw: v}
}

func shape(dims ...int64) []int64 { return dims }

func attr(name string, v any) onnx.Attr { return onnx.Attr{Name: name, Value: v} }

func attrList(a ...onnx.Attr) []onnx.Attr { return a }

func tensors(t ...*onnx.Tensor) []*onnx.Tensor { return t }

// model is the case as a file has it: with so many operands given. Truth values come
// out as numbers.
func (c opCase) model(fed int, results []*onnx.Value) *onnx.Model {
	op, set := c.op, int64(17)
	if name, version, given := strings.Cut(c.op, "@"); given {
		op = name
		fmt.Sscan(version, &set)
	}
	domain, name := "", op
	if at := strings.LastIndex(op, "."); at >= 0 {
		domain, name = op[:at], op[at+1:]
	}
	m := &onnx.Model{IR: 8, Opsets: []onnx.Opset{{Version: set}, {Domain: "com.microsoft", Version: 1}}, Name: op}
	n := &onnx.Node{Name: "it", Op: name, Domain: domain, Attrs: c.attrs}
	for k, t := range c.in {
		port := fmt.Sprint("in", k)
		switch {
		case t == nil:
			port = ""
		case k < fed:
			m.Inputs = append(m.Inputs, onnx.Port{Name: port, Type: t.Type, Shape: onnx.Of(t.Dims...)})
		default:
			own := *t
			own.Name = port
			m.Initializers = append(m.Initializers, &own)
		}
		n.Inputs = append(n.Inputs, port)
	}
	if len(m.Inputs) == 0 {
		m.Inputs = []onnx.Port{{Name: "unread", Type: onnx.Float, Shape: onnx.Of(1)}}
	}
	m.Nodes = []*onnx.Node{n}
	for k := range max(1, c.outs) {
		out, typ := fmt.Sprint("out", k), onnx.Float
		if k < len(results) {
			typ = results[k].Type()
		}
		n.Outputs = append(n.Outputs, out)
		if typ == onnx.Bool {
			m.Nodes = append(m.Nodes, &onnx.Node{Name: "number", Op: "Cast", Inputs: []string{out}, Outputs: []string{out + "/n"}, Attrs: attrList(attr("to", int64(onnx.Int32)))})
			out, typ = out+"/n", onnx.Int32
		}
		if k < len(results) && len(results[k].Shape()) == 0 { // of which this program reads none
			m.Initializers = append(m.Initializers, onnx.Ints("one", []int64{1}, 1))
			m.Nodes = append(m.Nodes, &onnx.Node{Name: "vector", Op: "Reshape", Inputs: []string{out, "one"}, Outputs: []string{out + "/v"}})
			out += "/v"
		}
		m.Outputs = append(m.Outputs, onnx.Port{Name: out, Type: typ, Shape: nil})
	}
	return m
}

// results asks a replay what the outputs are.
func results(m *onnx.Model) (list []*onnx.Value, err error) {
	_, err = onnx.Build("types", func(g *onnx.Graph) {
		in := map[string]*onnx.Value{}
		for _, p := range m.Inputs {
			in[p.Name] = g.Input(p.Name, p.Type, p.Shape...)
		}
		out := g.Replay(m, in, nil)
		for _, p := range m.Outputs {
			list = append(list, out[p.Name])
			g.Output("o/"+p.Name, out[p.Name])
		}
	})
	return list, err
}

var opCases = []opCase{
	{op: "Add", in: tensors(floats(shape(2, 3)), floats(shape(3)))},
	{op: "Sub", in: tensors(longs(shape(2, 1)), longs(shape(3)))},
	{op: "Mul", in: tensors(floats(shape(1)), floats(shape(2, 2)))},
	{op: "Div", in: tensors(longs(shape(4), -7, 7, 9, 3), longs(shape(4), 2, -2, 3, 5))},
	{op: "Div", in: tensors(floats(shape(2, 3)), floats(shape(), 3))},
	{op: "Mod", in: tensors(longs(shape(4), -7, 7, 9, -3), longs(shape(4), 2, -2, 4, -5))},
	{op: "Pow", in: tensors(floats(shape(3), 1, 2, 3), floats(shape(), 2))},
	{op: "Pow", in: tensors(floats(shape(3), 1, 2, 3), floats(shape(), 3))},
	{op: "Pow", in: tensors(floats(shape(3), 1, 2, 3), floats(shape(), 0.5))},
	{op: "Pow", in: tensors(floats(shape(3), 1, 2, 3), floats(shape(), -0.5))},
	{op: "Pow", in: tensors(floats(shape(3), 1, 2, 3), floats(shape(), -1))},
	{op: "Pow", in: tensors(floats(shape(3), 1, 2, 3), floats(shape(), 1.7))},
	{op: "Pow", in: tensors(floats(shape(3), 1, 2, 3), ints(2))},
	{op: "Max", in: tensors(floats(shape(2, 3)), floats(shape(3)), floats(shape(), 0.25))},
	{op: "Min", in: tensors(floats(shape(2, 3)), floats(shape(3)))},
	{op: "Sum", in: tensors(floats(shape(2, 3)), floats(shape(3)), floats(shape(2, 1)))},
	{op: "And", in: tensors(truths(shape(4), 0, 1, 0, 1), truths(shape(4), 0, 0, 1, 1)), fed: -1},
	{op: "Or", in: tensors(truths(shape(4), 0, 1, 0, 1), truths(shape(4), 0, 0, 1, 1)), fed: -1},
	{op: "Xor", in: tensors(truths(shape(4), 0, 1, 0, 1), truths(shape(4), 0, 0, 1, 1)), fed: -1},
	{op: "Not", in: tensors(truths(shape(2), 0, 1)), fed: -1},
	{op: "Equal", in: tensors(longs(shape(2, 2), 1, 2, 3, 4), longs(shape(2), 1, 4))},
	{op: "Less", in: tensors(floats(shape(3), 1, 2, 3), floats(shape(), 2))},
	{op: "LessOrEqual", in: tensors(floats(shape(3), 1, 2, 3), floats(shape(), 2))},
	{op: "Greater", in: tensors(floats(shape(3), 1, 2, 3), floats(shape(), 2))},
	{op: "GreaterOrEqual", in: tensors(longs(shape(3), 1, 2, 3), longs(shape(), 2))},
	{op: "Where", in: tensors(truths(shape(2, 1), 1, 0), floats(shape(2)), floats(shape(), -9)), fed: -1},
	{op: "Relu", in: tensors(floats(shape(5)))},
	{op: "Sigmoid", in: tensors(floats(shape(5)))},
	{op: "Tanh", in: tensors(floats(shape(5)))},
	{op: "Sqrt", in: tensors(floats(shape(3), 1, 2, 3))},
	{op: "Abs", in: tensors(longs(shape(5)))},
	{op: "Neg", in: tensors(floats(shape(5)))},
	{op: "Exp", in: tensors(floats(shape(5)))},
	{op: "Log", in: tensors(floats(shape(3), 1, 2, 3))},
	{op: "Erf", in: tensors(floats(shape(5)))},
	{op: "Floor", in: tensors(floats(shape(5)))},
	{op: "Ceil", in: tensors(floats(shape(5)))},
	{op: "Round", in: tensors(floats(shape(5), -1.5, -0.5, 0.5, 1.5, 2.5))},
	{op: "Reciprocal", in: tensors(floats(shape(3), 1, 2, 3))},
	{op: "Sign", in: tensors(floats(shape(3), -2, 0, 3))},
	{op: "Sin", in: tensors(floats(shape(5)))},
	{op: "Cos", in: tensors(floats(shape(5)))},
	{op: "IsNaN", in: tensors(floats(shape(2), 1, float32(math.NaN())))},
	{op: "Cast", in: tensors(floats(shape(4), -1.7, 1.7, 0, 2.5)), attrs: attrList(attr("to", int64(onnx.Int64)))},
	{op: "Cast", in: tensors(longs(shape(4), -1, 300, 0, 2)), attrs: attrList(attr("to", int64(onnx.Float)))},
	{op: "Cast", in: tensors(longs(shape(4), -1, 300, 0, 2)), attrs: attrList(attr("to", int64(onnx.Uint8)))},
	{op: "Cast", in: tensors(longs(shape(4), -1, 300, 0, 2)), attrs: attrList(attr("to", int64(onnx.Bool)))},
	{op: "Cast", in: tensors(longs(shape(2), 1<<40+5, -3)), attrs: attrList(attr("to", int64(onnx.Int32)))},
	{op: "CastLike", in: tensors(floats(shape(2), 1.5, -2.5), longs(shape(1)))},
	{op: "Clip", in: tensors(floats(shape(5)), floats(shape(), -0.5), floats(shape(), 0.5))},
	{op: "Clip", in: tensors(floats(shape(5)), floats(shape(), 0), nil)},
	{op: "Clip", in: tensors(floats(shape(5)), floats(shape(), 0.1))},
	{op: "Clip", in: tensors(floats(shape(5)), nil, floats(shape(), 0.1))},
	{op: "Clip", in: tensors(floats(shape(5)))},
	{op: "Clip", in: tensors(longs(shape(5)), longs(shape(), 0), longs(shape(), 3))},
	{op: "Clip@6", in: tensors(floats(shape(5), -3, 2, 5, 7, 9)), attrs: attrList(attr("min", float32(0)), attr("max", float32(6)))},
	{op: "HardSigmoid", in: tensors(floats(shape(5), -9, -1, 0, 1, 9)), attrs: attrList(attr("alpha", float32(0.25)))},
	{op: "HardSwish", in: tensors(floats(shape(5), -9, -1, 0, 1, 9))},
	{op: "LeakyRelu", in: tensors(floats(shape(5))), attrs: attrList(attr("alpha", float32(0.2)))},
	{op: "Softplus", in: tensors(floats(shape(5), -90, -1, 0, 1, 90))},
	{op: "Gelu@20", in: tensors(floats(shape(5))), graph: true},
	{op: "Gelu@20", in: tensors(floats(shape(5))), attrs: attrList(attr("approximate", "tanh")), graph: true},
	{op: "com.microsoft.Gelu", in: tensors(floats(shape(5))), graph: true},
	{op: "com.microsoft.BiasGelu", in: tensors(floats(shape(2, 5)), floats(shape(5))), graph: true},
	{op: "com.microsoft.FastGelu", in: tensors(floats(shape(2, 5)), floats(shape(5))), graph: true},
	{op: "com.microsoft.QuickGelu", in: tensors(floats(shape(5))), attrs: attrList(attr("alpha", float32(1.702))), graph: true},
	{op: "com.microsoft.QuickGelu", in: tensors(floats(shape(5))), attrs: attrList(attr("alpha", float32(1))), graph: true},
	{op: "Identity", in: tensors(floats(shape(5)))},
	{op: "Dropout", in: tensors(floats(shape(5)))},
	{op: "Dropout@10", in: tensors(floats(shape(5))), attrs: attrList(attr("ratio", float32(0.1))), fed: -1},
}

// TestReplayOps: what each node gives does not depend on whether it is folded, or added
// to a graph, or run as it stands.
func TestReplayOps(t *testing.T) {
	for k, c := range slices.Concat(opCases, shapeOps, layerOps) {
		t.Run(fmt.Sprintf("%s/%d", c.op, k), func(t *testing.T) {
			c.check(t, 0)
			if c.fed >= 0 {
				c.check(t, max(1, c.fed))
			}
		})
	}
}

func (c opCase) check(t *testing.T, fed int) {
	list, err := results(c.model(fed, nil))
	if err != nil {
		t.Fatal(err)
	}
	m := c.model(fed, list)
	given := map[string]ort.Tensor{"unread": {Shape: shape(1), F32: []float32{0}}}
	for k, x := range c.in {
		if k < fed && x != nil {
			v := ort.Tensor{Shape: x.Dims}
			v.F32, _ = x.Float32s()
			v.I64, _ = x.Int64s()
			given[fmt.Sprint("in", k)] = v
		}
	}
	want := runModel(t, m, "", given)
	for name, build := range builders {
		if name == "BuildTraining" && strings.HasPrefix(c.op, "Dropout") {
			continue // drops out
		}
		r, err := replayed(m, given, build)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if fed == 0 && !c.graph && slices.ContainsFunc(r.Nodes, func(n *onnx.Node) bool { return n.Op != "Identity" }) {
			t.Errorf("%s: not folded: %s", name, r.Nodes[0].Op)
		}
		got := runModel(t, r, "", given)
		for out, w := range want {
			same(t, fmt.Sprintf("%s of %s by %s with %d given", out, c.op, name, fed), got["replayed/"+out], w)
		}
	}
}

// same compares values of any type.
func same(t *testing.T, what string, got, want ort.Tensor) {
	t.Helper()
	ok := slices.Equal(got.Shape, want.Shape) && slices.Equal(got.I64, want.I64) && slices.Equal(got.I32, want.I32) && slices.Equal(got.U8, want.U8)
	ok = ok && slices.EqualFunc(got.F32, want.F32, func(a, b float32) bool {
		return math.Abs(float64(a-b)) <= 2e-6*max(1, math.Abs(float64(b))) || a == b || a != a && b != b
	})
	if !ok {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func i32s(dims []int64, v ...byte) *onnx.Tensor {
	t := &onnx.Tensor{Type: onnx.Int32, Dims: dims}
	for _, x := range v {
		t.Raw = append(t.Raw, x, 0, 0, 0)
	}
	return t
}
