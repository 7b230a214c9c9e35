package onnx_test

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/adrg/xdg"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/runtime"
)

// session loads m, or skips the test where ONNX Runtime is not installed.
func session(t testing.TB, m *onnx.Model, in, out string, o ort.Options) *ort.Session {
	t.Helper()
	lib, err := runtime.Find(runtime.Options{Env: os.Getenv("ONNXRUNTIME_LIB"), Cache: filepath.Join(xdg.CacheHome, "clipsearch")})
	if err != nil {
		t.Skipf("ONNX Runtime is not installed: %v", err)
	}
	if err := ort.Init(lib.Path); err != nil {
		t.Fatal(err)
	}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.Open(data, []string{in}, []string{out}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func run(t testing.TB, s *ort.Session, x []float32, shape ...int64) []float32 {
	t.Helper()
	out, err := s.Run(ort.Tensor{Shape: shape, F32: x})
	if err != nil {
		t.Fatal(err)
	}
	return out[0].F32
}

// normal returns numbers as they come out of a layer, with what rows may have at
// worst: one of zeros, one with an outlier, one of tiny numbers.
func normal(r *rand.Rand, rows, k int) []float32 {
	x := make([]float32, rows*k)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	clear(x[:k])
	x[k+k/2] = 1e6
	for i := 2 * k; i < 3*k; i++ {
		x[i] *= 1e-20
	}
	return x
}

// linear is a layer with weight [n,k]. depth is that of QuantizeRowsAbove, or −1.
func linear(t testing.TB, w []float32, k, n int, depth float64) (*onnx.Model, onnx.QuantizedWeight) {
	t.Helper()
	q, err := onnx.QuantizeWeight(w, k, n, true)
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnx.Build("linear", func(g *onnx.Graph) {
		x := g.Input("x", onnx.Float, onnx.Sym("rows"), onnx.N(k))
		rows := g.QuantizeRows
		if depth >= 0 {
			rows = func(x *onnx.Value) onnx.Int8Rows { return g.QuantizeRowsAbove(x, depth) }
		}
		g.Output("y", g.MatMulInt8(rows(x), g.Const(onnx.Int8s("w", q.Q, int64(k), int64(n))), g.Const(onnx.Floats("s", q.Scale, int64(n)))))
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, q
}

// TestInt8 compares layers with integer arithmetic done here.
func TestInt8(t *testing.T) {
	for _, c := range []struct {
		k, n  int
		depth float64
	}{{64, 48, -1}, {77, 5, -1}, {768, 130, -1}, {96, 64, 0.17}, {31, 33, 0}} {
		r := rand.New(rand.NewPCG(1, uint64(c.k)))
		w, x := normal(r, c.n, c.k), normal(r, 9, c.k)
		zero := 128.
		if c.depth >= 0 {
			zero = map[bool]float64{true: 32, false: 0}[c.depth > 0]
			for i := range x {
				x[i] = max(x[i], float32(-c.depth))
			}
		}
		m, q := linear(t, w, c.k, c.n, c.depth)
		for name, o := range map[string]ort.Options{"": {}, "exact": {ExactInt8: true}, "threads": {Threads: 2}, "once": {Once: true}} {
			s := session(t, m, "x", "y", o)
			got := run(t, s, x, 9, int64(c.k))
			for i := range 9 {
				row := x[i*c.k : (i+1)*c.k]
				scale := float64(slices.Max(row))
				if c.depth < 0 {
					scale = max(scale, -float64(slices.Min(row)))
				}
				scale = max(scale/(255-max(zero, 0)), 1e-30/127, c.depth/max(zero, 1))
				for j := range c.n {
					var sum, size float64
					for l, v := range row {
						a := math.RoundToEven(float64(v) / scale)
						sum += a * float64(q.Q[l*c.n+j])
						size += math.Abs(a * float64(q.Q[l*c.n+j]))
					}
					want := sum * scale * float64(q.Scale[j])
					// A number that lies between two steps may be rounded to either.
					if off := math.Abs(float64(got[i*c.n+j]) - want); !(off <= 1e-6*size*scale*float64(q.Scale[j])+127*scale*float64(q.Scale[j])) {
						t.Fatalf("%v %s: row %d, column %d is %g, not %g", c, name, i, j, got[i*c.n+j], want)
					}
				}
				if alone := run(t, s, row, 1, int64(c.k)); !slices.Equal(alone, got[i*c.n:(i+1)*c.n]) {
					t.Errorf("%v %s: row %d depends on what shares its batch", c, name, i)
				}
			}
			if slices.ContainsFunc(got[:c.n], func(y float32) bool { return y != 0 }) {
				t.Errorf("%v %s: a row of zeros gives %v", c, name, got[:c.n])
			}
		}
	}
}

// TestQuantizeWeight holds weights to their bounds, whatever they were.
func TestQuantizeWeight(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 3))
	for _, k := range []int{1, 2, 65} {
		const n = 150
		w := make([]float32, k*n)
		for i := range w {
			w[i] = float32(r.NormFloat64() * math.Exp(r.NormFloat64()))
			if i%7 == 0 {
				w[i] = 1 // rounded up beside another one
			}
		}
		for i := range k {
			w[i*n] = 0
		}
		q, err := onnx.QuantizeWeight(w, k, n, false)
		if err != nil {
			t.Fatal(err)
		}
		turned := make([]float32, k*n)
		for i := range k {
			for j := range n {
				turned[j*k+i] = w[i*n+j]
				step := float64(q.Scale[j])
				if off := math.Abs(float64(w[i*n+j]) - float64(q.Q[i*n+j])*step); off > 1.5*step {
					t.Fatalf("weight %d of column %d is %g, not %g", i, j, float64(q.Q[i*n+j])*step, w[i*n+j])
				}
				if a := int(q.Q[i*n+j]); i%2 == 1 && max(a+int(q.Q[(i-1)*n+j]), -a-int(q.Q[(i-1)*n+j])) > 128 || a == -128 {
					t.Fatalf("weights %d and %d of column %d are %d and %d", i-1, i, j, q.Q[(i-1)*n+j], a)
				}
			}
		}
		if again, err := onnx.QuantizeWeight(turned, k, n, true); err != nil || !slices.Equal(again.Q, q.Q) || !slices.Equal(again.Scale, q.Scale) {
			t.Errorf("the transposed weight is another one, %v", err)
		}
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		w := make([]float32, 200)
		w[13] = float32(bad)
		if _, err := onnx.QuantizeWeight(w, 10, 20, true); err == nil {
			t.Errorf("a weight of %g is quantized", bad)
		}
		if _, _, err := onnx.QuantizeTable(w, 10); err == nil {
			t.Errorf("a table with %g is quantized", bad)
		}
	}
	if _, err := onnx.QuantizeWeight(make([]float32, 7), 2, 3, true); err == nil {
		t.Error("7 numbers are a weight of 2 × 3")
	}
}

func TestQuantizeTable(t *testing.T) {
	q, scale, err := onnx.QuantizeTable([]float32{0, 0, 254, -127, 1e-3, 6e-4}, 2)
	if err != nil || !slices.Equal(q, []int8{0, 0, 127, -64, 127, 76}) || scale[1] != 2 {
		t.Errorf("%v, %v, %v", q, scale, err)
	}
}
