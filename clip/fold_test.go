package clip

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// plane is a picture of several channels, [c][y][x].
type plane [][][]float64

func randomPlane(r *rand.Rand, channels, side int) plane {
	x := make(plane, channels)
	for c := range x {
		x[c] = make([][]float64, side)
		for y := range x[c] {
			for range side {
				x[c][y] = append(x[c][y], r.NormFloat64())
			}
		}
	}
	return x
}

// convolved is what the definition of a convolution says, with zeros around.
func convolved(x plane, weight []float32, out, in, side int) plane {
	y := randomPlane(rand.New(rand.NewPCG(0, 0)), out, len(x[0]))
	groups := len(x) / in
	for o := range y {
		first := o / (out / groups) * in
		for row := range y[o] {
			for col := range y[o][row] {
				y[o][row][col] = 0
				for i := range in * side * side {
					c, dy, dx := i/side/side, i/side%side-side/2, i%side-side/2
					if r, q := row+dy, col+dx; r >= 0 && r < len(x[0]) && q >= 0 && q < len(x[0]) {
						y[o][row][col] += x[first+c][r][q] * float64(weight[o*in*side*side+i])
					}
				}
			}
		}
	}
	return y
}

// tensors are float32, by name.
type tensors map[string]struct {
	shape []int
	x     []float32
}

func (t tensors) add(r *rand.Rand, name string, shape ...int) {
	x := make([]float32, elements(shape))
	for i := range x {
		x[i] = float32(r.NormFloat64())
		if strings.HasSuffix(name, "running_var") {
			x[i] = float32(math.Exp(r.NormFloat64()))
		}
	}
	t[name] = struct {
		shape []int
		x     []float32
	}{shape, x}
}

func (t tensors) norm(r *rand.Rand, name string, n int) {
	for _, part := range []string{".weight", ".bias", ".running_mean", ".running_var"} {
		t.add(r, name+part, n)
	}
}

// normed is what PyTorch's BatchNorm2d says of itself: (x − mean) / √(var + eps) ·
// weight + bias.
func (t tensors) normed(x plane, name string) plane {
	for c := range x {
		at := func(part string) float64 { return float64(t[name+part].x[c]) }
		for _, row := range x[c] {
			for i, v := range row {
				row[i] = (v-at(".running_mean"))/math.Sqrt(at(".running_var")+1e-5)*at(".weight") + at(".bias")
			}
		}
	}
	return x
}

func (t tensors) open(test *testing.T) *Weights {
	header, data := map[string]any{}, []byte(nil)
	for name, v := range t {
		from := len(data)
		for _, x := range v.x {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
		header[name] = map[string]any{"dtype": "F32", "shape": v.shape, "data_offsets": []int{from, len(data)}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		test.Fatal(err)
	}
	w, err := OpenWeights(one(safetensors(string(text), string(data))), "m.safetensors")
	if err != nil {
		test.Fatal(err)
	}
	test.Cleanup(func() { w.Close() })
	return w
}

// TestBranches: the one convolution gives what its branches give together, each with
// its batch normalization.
func TestBranches(t *testing.T) {
	for _, groups := range []int{1, 2, 6} {
		r, all := rand.New(rand.NewPCG(1, uint64(groups))), tensors{}
		const channels, side = 6, 5
		in := channels / groups
		for name, k := range map[string]int{"m.conv_kxk.0": 5, "m.conv_kxk.1": 5, "m.conv_scale": 1} {
			all.add(r, name+".conv.weight", channels, in, k, k)
			all.norm(r, name+".bn", channels)
		}
		all.norm(r, "m.identity", channels)
		x := randomPlane(r, channels, side)
		branches := []plane{all.normed(convolved(x, identityWeights(channels), channels, channels, 1), "m.identity")}
		for name, k := range map[string]int{"m.conv_kxk.0": 5, "m.conv_kxk.1": 5, "m.conv_scale": 1} {
			branches = append(branches, all.normed(convolved(x, all[name+".conv.weight"].x, channels, in, k), name+".bn"))
		}

		var k convolution
		build(t, all, "", func(p *params) { k = fastViT{params: p}.branches("m") })
		weight := make([]float32, len(k.weight))
		for i, v := range k.weight {
			weight[i] = float32(v)
		}
		got := convolved(x, weight, k.out, k.in, k.side)
		for c := range got {
			for y := range got[c] {
				for i, v := range got[c][y] {
					want := 0.0
					for _, b := range branches {
						want += b[c][y][i]
					}
					if math.Abs(v+k.bias[c]-want) > 1e-5 {
						t.Fatalf("%d groups, channel %d, place %d, %d: %g, not %g", groups, c, y, i, v+k.bias[c], want)
					}
				}
			}
		}
	}
}

func identityWeights(n int) []float32 {
	x := make([]float32, n*n)
	for i := range n {
		x[i*n+i] = 1
	}
	return x
}

// build calls f with the parameters of a graph and returns the error that it ends
// with.
func build(t *testing.T, all tensors, precision string, f func(p *params)) error {
	t.Helper()
	_, err := onnx.Build("test", func(g *onnx.Graph) {
		f(newParams(g, all.open(t), precision, false))
		g.Output("y", g.Relu(g.Input("x", onnx.Float, onnx.N(1))))
	})
	return err
}

// TestFoldMistakes: what cannot be one convolution is refused by name, also where no
// numbers are read.
func TestFoldMistakes(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, tt := range []struct {
		name          string
		kxk, scale    []int
		norm          int
		complaintHas  string
		identityNorms bool
	}{
		{"no square", []int{4, 1, 3, 5}, nil, 4, "m.conv_kxk.0.conv.weight has the shape [4 1 3 5]", false},
		{"a matrix", []int{4, 4}, nil, 4, "m.conv_kxk.0.conv.weight", false},
		{"an even side", []int{4, 1, 4, 4}, []int{4, 1, 1, 1}, 4, "cannot be one convolution", false},
		{"a larger branch", []int{4, 1, 1, 1}, []int{4, 1, 3, 3}, 4, "cannot be one convolution", false},
		{"other groups", []int{4, 1, 3, 3}, []int{4, 4, 1, 1}, 4, "cannot be one convolution", false},
		{"a norm of other channels", []int{4, 1, 3, 3}, nil, 5, "m.conv_kxk.0.bn.weight has the shape [5]", false},
		{"no identity", []int{4, 3, 3, 3}, nil, 4, "has no identity", true},
	} {
		all := tensors{}
		all.add(r, "m.conv_kxk.0.conv.weight", tt.kxk...)
		all.norm(r, "m.conv_kxk.0.bn", tt.norm)
		if tt.scale != nil {
			all.add(r, "m.conv_scale.conv.weight", tt.scale...)
			all.norm(r, "m.conv_scale.bn", tt.scale[0])
		}
		if tt.identityNorms {
			all.norm(r, "m.identity", 4)
		}
		for _, precision := range []string{"", "shapes"} {
			err := build(t, all, precision, func(p *params) { fastViT{params: p}.branches("m") })
			if err == nil || !strings.Contains(err.Error(), tt.complaintHas) {
				t.Errorf("%s, precision %q: %v, want %q", tt.name, precision, err, tt.complaintHas)
			}
		}
	}
}

// TestShapesOnly: where only shapes matter no tensor is read, and the graph is the
// same but for its numbers.
func TestShapesOnly(t *testing.T) {
	r, all := rand.New(rand.NewPCG(3, 3)), tensors{}
	all.add(r, "m.reparam_conv.weight", 6, 1, 3, 3)
	all.add(r, "m.reparam_conv.bias", 6)
	var shapes []string
	for _, precision := range []string{"", "shapes"} {
		err := build(t, all, precision, func(p *params) {
			x := p.g.Input("pixels", onnx.Float, batch, onnx.N(3), onnx.N(8), onnx.N(8))
			x = p.g.Concat(1, x, x)
			k := fastViT{params: p}.branches("m")
			if (k.weight == nil) != (precision == "shapes") {
				t.Errorf("precision %q: %d weights", precision, len(k.weight))
			}
			shapes = append(shapes, fmt.Sprint(p.conv(x, k, 2).Shape()))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if shapes[0] != "[batch,6,4,4]" || shapes[1] != shapes[0] {
		t.Errorf("shapes %v", shapes)
	}
}

// TestMeanPooled: other poolings have no tensors of their own, so the configuration
// must refuse them.
func TestMeanPooled(t *testing.T) {
	avg, empty, most, attention := "avg", "", "max", "abs_attn"
	for _, tt := range []struct {
		pool      *string
		projected bool
		ok        bool
	}{
		{nil, false, true}, {&avg, false, true}, {&avg, true, true}, {&empty, true, true}, {&empty, false, false},
		{&most, true, false}, {&attention, true, false},
	} {
		all := tensors{}
		if tt.projected {
			all.add(rand.New(rand.NewPCG(4, 4)), "visual.head.proj.weight", 1, 1)
		}
		err := build(t, all, "", func(p *params) { p.meanPooled(openVision{TimmPool: tt.pool}) })
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("pool %v, projected %v: %v", tt.pool, tt.projected, err)
		}
	}
}
