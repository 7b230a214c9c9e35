package onnx_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clipsearch/clipsearch/onnx"
)

// small is a graph with every kind of attribute and tensor that the builder makes.
func small(t testing.TB) *onnx.Model {
	m, err := onnx.Build("small", func(g *onnx.Graph) {
		x := g.Input("x", onnx.Float, onnx.Sym("batch"), onnx.N(3), onnx.N(4), onnx.N(4))
		w := g.Const(&onnx.Tensor{Name: "w", Type: onnx.Float, Dims: []int64{8, 12}, External: &onnx.External{Location: "weights", Offset: 16, Length: 384}})
		var y *onnx.Value
		g.In("patches", func() {
			y = g.Transpose(g.Reshape(x, onnx.Sym("batch"), onnx.N(3), onnx.N(2), onnx.N(2), onnx.N(2), onnx.N(2)), 0, 2, 4, 1, 3, 5)
			y = g.Reshape(y, onnx.Sym("batch").Times(onnx.N(4)), onnx.N(12))
		})
		y = g.QuickGelu(g.Gemm(y, w, g.Const(onnx.Floats("b", make([]float32, 8), 8)), true))
		g.Output("y", g.ReduceMean(g.Reshape(y, onnx.Sym("batch"), onnx.N(4), onnx.N(8)), false, 1))
		g.Output("rows", g.Softmax(y, -1))
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMarshalRead(t *testing.T) {
	m := small(t)
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := onnx.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	m.Rows = 0 // is not written
	if d := cmp.Diff(m, got, cmp.Comparer(func(a, b onnx.Dim) bool { return a.String() == b.String() }), cmpopts.IgnoreUnexported(onnx.Model{}), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("what was read is not what was written (-want +got):\n%s", d)
	}
	var b bytes.Buffer
	if n, err := m.WriteTo(&b); err != nil || n != int64(len(data)) || !bytes.Equal(b.Bytes(), data) {
		t.Errorf("WriteTo: %d bytes, %v; Marshal gives %d others", n, err, len(data))
	}
}

// TestMisfits holds the operators to their rules: each call is given shapes that
// do not fit, and the error must name what was done.
func TestMisfits(t *testing.T) {
	for name, f := range map[string]func(g *onnx.Graph, x, ids *onnx.Value){
		"Add": func(g *onnx.Graph, x, _ *onnx.Value) { g.Add(x, g.Const(onnx.Floats("", make([]float32, 3), 3))) },
		"Gemm": func(g *onnx.Graph, x, _ *onnx.Value) {
			g.Gemm(x, g.Const(onnx.Floats("", make([]float32, 6), 2, 3)), nil, true)
		},
		"MatMul":      func(g *onnx.Graph, x, ids *onnx.Value) { g.MatMul(x, ids) },
		"reshape":     func(g *onnx.Graph, x, _ *onnx.Value) { g.Reshape(x, onnx.N(5)) },
		"transpose":   func(g *onnx.Graph, x, _ *onnx.Value) { g.Transpose(x, 0) },
		"dimension":   func(g *onnx.Graph, x, _ *onnx.Value) { g.Softmax(x, 7) },
		"join":        func(g *onnx.Graph, x, ids *onnx.Value) { g.Concat(1, x, ids) },
		"slice":       func(g *onnx.Graph, x, _ *onnx.Value) { g.Slice(x, 1, 3, 2) },
		"row":         func(g *onnx.Graph, x, _ *onnx.Value) { g.Index(x, 1, 9) },
		"pick":        func(g *onnx.Graph, x, ids *onnx.Value) { g.Pick(x, ids) },
		"convolution": func(g *onnx.Graph, x, _ *onnx.Value) { g.Conv(x, x, nil, onnx.Conv2D{}) },
		"attention":   func(g *onnx.Graph, x, _ *onnx.Value) { g.Attention(x, x, x, nil, 2, false) },
		"rotate":      func(g *onnx.Graph, x, _ *onnx.Value) { g.Rotate(x, x, x, 2) },
		"LayerNorm":   func(g *onnx.Graph, x, _ *onnx.Value) { g.LayerNorm(x, g.Scalar(1), nil, 1e-5) },
		"Where":       func(g *onnx.Graph, x, ids *onnx.Value) { g.Where(x, x, ids) },
		"constant": func(g *onnx.Graph, _, _ *onnx.Value) {
			g.Const(&onnx.Tensor{Name: "c", Type: onnx.Float, Dims: []int64{2}, Raw: []byte{1}})
		},
		"shape": func(g *onnx.Graph, _, _ *onnx.Value) {
			g.Const(&onnx.Tensor{Type: onnx.Float, Dims: []int64{math.MaxInt64, 9}})
		},
		"two values": func(g *onnx.Graph, _, _ *onnx.Value) { g.Input("x", onnx.Float) },
		"no output":  func(*onnx.Graph, *onnx.Value, *onnx.Value) {},
	} {
		_, err := onnx.Build("broken", func(g *onnx.Graph) {
			f(g, g.Input("x", onnx.Float, onnx.Sym("batch"), onnx.N(4)), g.Input("ids", onnx.Int64, onnx.Sym("batch"), onnx.N(7)))
		})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

func TestDims(t *testing.T) {
	b, l := onnx.Sym("batch"), onnx.Sym("length")
	if b.Times(l).Times(onnx.N(3)) != onnx.N(3).Times(l).Times(b) {
		t.Error("a product depends on its order")
	}
	if s := l.Times(b).Times(onnx.N(3)).String(); s != "batch·length·3" {
		t.Error(s)
	}
	if _, known := b.Known(); known {
		t.Error("a name is known")
	}
	if n, known := onnx.N(2).Times(onnx.N(5)).Known(); !known || n != 10 {
		t.Error("2 times 5 is", n)
	}
}

// FuzzRead gives the reader any bytes: it must answer with an error, or with what
// is written and read again as it is.
func FuzzRead(f *testing.F) {
	data, err := small(f).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := onnx.Read(data)
		if err != nil {
			return
		}
		first, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := onnx.Read(first)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if second, err := again.Marshal(); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("written twice, it differs: %v", err)
		}
	})
}
