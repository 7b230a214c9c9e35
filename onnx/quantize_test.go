package onnx_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
)

// random fills a tensor from a seed.
func random(r *rand.Rand, size float64, dims ...int64) *onnx.Tensor {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * size)
	}
	return onnx.Floats("", x, dims...)
}

// network is a small vision transformer, or a convolutional network, as exporters
// write them: MatMul on three dimensions, Gemm, a table, a patch convolution.
func network(t testing.TB, convolutional bool) *onnx.Model {
	t.Helper()
	m, err := onnx.Build("network", func(g *onnx.Graph) {
		r := rand.New(rand.NewPCG(5, 8))
		batch := onnx.Sym("batch")
		x := g.Input("x", onnx.Float, batch, onnx.N(3), onnx.N(32), onnx.N(32))
		if convolutional {
			x = g.Relu(g.Conv(x, g.Const(random(r, .2, 32, 3, 3, 3)), g.Const(random(r, .1, 32)), onnx.Conv2D{Stride: 2, Pad: 1}))
			x = g.Relu(g.Conv(x, g.Const(random(r, .3, 32, 1, 3, 3)), g.Const(random(r, .1, 32)), onnx.Conv2D{Pad: 1, Groups: 32}))
			y := g.Conv(x, g.Const(random(r, .2, 32, 32, 1, 1)), nil, onnx.Conv2D{})
			y = g.Relu(g.Add(g.Conv(x, g.Const(random(r, .05, 32, 32, 3, 3)), g.Const(random(r, .1, 32)), onnx.Conv2D{Pad: 1}), y))
			g.Output("y", g.Gemm(g.GlobalAverage(y), g.Const(random(r, .2, 48, 32)), nil, true))
			return
		}
		p := g.Conv(x, g.Const(random(r, .1, 64, 3, 8, 8)), g.Const(random(r, .1, 64)), onnx.Conv2D{Stride: 8})
		p = g.Transpose(g.Reshape(p, batch, onnx.N(64), onnx.N(16)), 0, 2, 1)
		p = g.Add(p, g.Rows(g.Const(random(r, .2, 300, 64)), g.Const(onnx.Ints("", []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 299}, 1, 16))))
		h := g.Gelu(g.Add(g.MatMul(p, g.Const(random(r, .1, 64, 128))), g.Const(random(r, .1, 128))))
		p = g.Add(p, g.MatMul(h, g.Const(random(r, .1, 128, 64))))
		v := g.Gemm(g.ReduceMean(p, false, 1), g.Const(random(r, .1, 64, 64)), g.Const(random(r, .1, 64)), true)
		g.Output("y", g.Gemm(g.Relu(v), g.Const(random(r, .1, 64, 64)), nil, false))
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if m, err = onnx.Read(data); err != nil {
		t.Fatal(err)
	}
	return m
}

func count(m *onnx.Model, op string) (n int) {
	for _, node := range m.Nodes {
		if node.Op == op {
			n++
		}
	}
	return n
}

// pictures are n of them, each with other values than the next.
func pictures(n int) []float32 {
	r := rand.New(rand.NewPCG(9, 9))
	x := make([]float32, n*3*32*32)
	for i := range x {
		x[i] = float32(r.NormFloat64() * float64(1+i/(3*32*32)))
	}
	return x
}

// ranges observes what the graph's values are.
func ranges(t testing.TB, m *onnx.Model, x []float32, n int) map[string]onnx.Range {
	t.Helper()
	values := m.Observed()
	watched, err := m.Observe(values)
	if err != nil {
		t.Fatal(err)
	}
	ends := run(t, session(t, watched, "x", watched.Outputs[0].Name, ort.Options{}), x, int64(n), 3, 32, 32)
	list := map[string]onnx.Range{}
	for _, v := range values {
		list[v.Name] = onnx.Range{Low: ends[0], High: ends[1], Mean: ends[2:v.Width()]}
		ends = ends[v.Width():]
	}
	return list
}

func TestQuantize(t *testing.T) {
	const n = 5
	x := pictures(n)
	for _, convolutional := range []bool{false, true} {
		m := network(t, convolutional)
		want := run(t, session(t, m, "x", "y", ort.Options{}), x, n, 3, 32, 32)
		o := onnx.Quantizing{Ranges: map[string]onnx.Range{}}
		layers := 5
		if convolutional {
			o.Ranges, layers = ranges(t, m, x, n), 4
		}
		q, got, err := m.Quantize(o)
		if err != nil || got != layers {
			t.Fatalf("%d operators are quantized, not %d: %v", got, layers, err)
		}
		if !convolutional && (count(q, "MatMulIntegerToFloat") != 4 || count(q, "Gemm") != 1 || count(q, "Conv") != 0) {
			t.Errorf("%d int8 products, %d Gemm, %d convolutions", count(q, "MatMulIntegerToFloat"), count(q, "Gemm"), count(q, "Conv"))
		}
		for _, w := range q.Initializers {
			if w.Type == onnx.Float && len(w.Raw) > 4*64*64 {
				t.Errorf("%s is left, %d bytes", w.Name, len(w.Raw))
			}
		}
		data, err := q.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if q, err = onnx.Read(data); err != nil {
			t.Fatal(err)
		}
		s := session(t, q, "x", "y", ort.Options{Threads: 2})
		y := run(t, s, x, n, 3, 32, 32)
		d := len(y) / n
		for i := range n {
			if c := cosine(y[i*d:(i+1)*d], want[i*d:(i+1)*d]); !(c > 0.999) {
				t.Errorf("convolutional %v: picture %d has a cosine of %.5f", convolutional, i, c)
			}
			if alone := run(t, s, x[i*3*32*32:(i+1)*3*32*32], 1, 3, 32, 32); !near(alone, y[i*d:(i+1)*d]) {
				t.Errorf("convolutional %v: picture %d depends on what shares its batch", convolutional, i)
			}
		}
	}
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab, aa, bb = ab+float64(a[i])*float64(b[i]), aa+float64(a[i])*float64(a[i]), bb+float64(b[i])*float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

// near reports whether a and b are the same to a millionth of the largest.
func near(a, b []float32) bool {
	var off, most float64
	for i := range a {
		off, most = max(off, math.Abs(float64(a[i]-b[i]))), max(most, math.Abs(float64(b[i])))
	}
	return off <= 1e-6*most
}

// TestQuantizeOld quantizes graphs of older operator sets, in which the operators
// that are needed have other forms.
func TestQuantizeOld(t *testing.T) {
	for _, opset := range []int64{11, 12, 13, 17} {
		r := rand.New(rand.NewPCG(1, 1))
		w := random(r, .1, 64, 32)
		w.Name = "w"
		m := &onnx.Model{
			IR: 7, Opsets: []onnx.Opset{{Version: opset}}, Name: "old",
			Inputs:       []onnx.Port{{Name: "x", Type: onnx.Float, Shape: onnx.Shape{onnx.Sym("n"), onnx.Sym("l"), onnx.N(64)}}},
			Outputs:      []onnx.Port{{Name: "y", Type: onnx.Float, Shape: onnx.Shape{onnx.Sym("n"), onnx.Sym("l"), onnx.N(32)}}},
			Nodes:        []*onnx.Node{{Op: "MatMul", Inputs: []string{"x", "w"}, Outputs: []string{"h"}}, {Op: "Tanh", Inputs: []string{"h"}, Outputs: []string{"y"}}},
			Initializers: []*onnx.Tensor{w},
		}
		x := random(r, 1, 2, 3, 64)
		numbers, err := x.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		want := run(t, session(t, m, "x", "y", ort.Options{}), numbers, 2, 3, 64)
		q, n, err := m.Quantize(onnx.Quantizing{})
		if err != nil || n != 1 {
			t.Fatalf("opset %d: %d layers, %v", opset, n, err)
		}
		if c := cosine(run(t, session(t, q, "x", "y", ort.Options{}), numbers, 2, 3, 64), want); !(c > 0.999) {
			t.Errorf("opset %d: a cosine of %.5f", opset, c)
		}
		if again, n, err := q.Quantize(onnx.Quantizing{}); err != nil || n != 0 || len(again.Nodes) != len(q.Nodes) {
			t.Errorf("opset %d, quantized twice: %d layers, %v", opset, n, err)
		}
	}
}

// TestQuantizeExternal reads weights from a file beside the graph.
func TestQuantizeExternal(t *testing.T) {
	m := network(t, false)
	var file []byte
	for _, w := range m.Initializers {
		if w.Type == onnx.Float && len(w.Raw) >= 4096 {
			w.External = &onnx.External{Location: "dir/data", Offset: int64(len(file)), Length: int64(len(w.Raw))}
			file, w.Raw = append(file, w.Raw...), nil
		}
	}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := network(t, false).Quantize(onnx.Quantizing{})
	if err != nil {
		t.Fatal(err)
	}
	for size, bad := range map[int]string{len(file): "", len(file) / 2: "cut off", 0: "cut off"} {
		again, err := onnx.Read(data)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := again.Quantize(onnx.Quantizing{FS: fstest.MapFS{"dir/data": {Data: file[:size]}}})
		switch {
		case bad != "":
			if err == nil || !strings.Contains(err.Error(), bad) {
				t.Errorf("%d of %d bytes: %v", size, len(file), err)
			}
		case err != nil:
			t.Error(err)
		case !slices.EqualFunc(got.Initializers, want.Initializers, func(a, b *onnx.Tensor) bool { return slices.Equal(a.Raw, b.Raw) || a.External != nil }):
			t.Error("weights in a file become others")
		}
	}
}

func TestQuantizeHostile(t *testing.T) {
	for name, harm := range map[string]func(m *onnx.Model){
		"not finite": func(m *onnx.Model) {
			for _, w := range m.Initializers {
				if w.Type == onnx.Float {
					copy(w.Raw, []byte{0, 0, 0xc0, 0x7f}) // NaN
				}
			}
		},
		"older": func(m *onnx.Model) { m.Opsets[0].Version = 9 },
	} {
		for _, convolutional := range []bool{false, true} {
			m := network(t, convolutional)
			wide := map[string]onnx.Range{}
			for _, v := range m.Observed() {
				wide[v.Name] = onnx.Range{Low: -3, High: 3}
			}
			for i, w := range m.Initializers {
				m.Initializers[i] = &onnx.Tensor{Name: w.Name, Type: w.Type, Dims: w.Dims, Raw: slices.Clone(w.Raw), External: w.External}
			}
			harm(m)
			if _, _, err := m.Quantize(onnx.Quantizing{Ranges: wide}); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
