package onnx_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/adrg/xdg"

	checkpoints "github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/runtime"
)

// tower is a graph to be replayed.
type tower struct {
	name   string
	m      *onnx.Model
	folder string // of the weights that lie in files
}

// towers are those of all models in testdata and, where they are there, of the
// fixtures and the backbone that the default model is trained from.
func towers(t testing.TB) (list []tower) {
	t.Helper()
	dirs, _ := filepath.Glob("../embed/testdata/models/*")
	more, _ := filepath.Glob("../../shared/fixtures/models/*")
	for _, dir := range append(dirs, more...) {
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			continue
		}
		m, err := checkpoints.ReadModel(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		for side, file := range map[checkpoints.Side]string{checkpoints.ImageSide: m.Image, checkpoints.TextSide: m.Text} {
			read := m.ReadGraph
			if m.Built() {
				read = m.BuildGraph
			}
			g, err := read(side)
			if m.Built() && err != nil && strings.Contains(err.Error(), "has no") {
				continue
			}
			if !m.Built() && file == "" {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, tower{filepath.Base(dir) + "/" + string(side), g, m.Path(".")})
		}
	}
	backbone := "../../shared/data/backbones/efficientnet-lite0.onnx"
	if data, err := os.ReadFile(backbone); err == nil {
		m, err := onnx.Read(data)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, tower{"efficientnet-lite0", m, filepath.Dir(backbone)})
	}
	slices.SortFunc(list, func(a, b tower) int { return strings.Compare(a.name, b.name) })
	return list
}

// feed makes inputs of a model: of a batch of n where it may be, and texts of seven
// tokens, of which the second is shorter.
func feed(m *onnx.Model, n int64) map[string]ort.Tensor {
	r := rand.New(rand.NewPCG(7, 1))
	out := map[string]ort.Tensor{}
	for _, p := range m.Inputs {
		shape := make([]int64, len(p.Shape))
		size := int64(1)
		for i, d := range p.Shape {
			known := false
			if shape[i], known = d.Known(); !known {
				shape[i] = 7
				if i == 0 {
					shape[i] = n
				}
			}
			size *= shape[i]
		}
		x := ort.Tensor{Shape: shape}
		for i := range size {
			id := 5 + r.Int64N(50)
			if p.Name == "attention_mask" {
				id = 1
			}
			if i >= shape[len(shape)-1]+4 && len(shape) == 2 {
				id = 0
			}
			switch p.Type {
			case onnx.Float:
				x.F32 = append(x.F32, float32(r.NormFloat64()))
			case onnx.Int64:
				x.I64 = append(x.I64, id)
			case onnx.Int32:
				x.I32 = append(x.I32, int32(id))
			case onnx.Uint8:
				x.U8 = append(x.U8, uint8(r.IntN(256)))
			}
		}
		out[p.Name] = x
	}
	return out
}

// runModel runs a model, or skips the test where ONNX Runtime is not installed.
func runModel(t testing.TB, m *onnx.Model, folder string, in map[string]ort.Tensor) map[string]ort.Tensor {
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
	var names, outs []string
	var values []ort.Tensor
	for _, p := range m.Inputs {
		names, values = append(names, p.Name), append(values, in[p.Name])
	}
	for _, p := range m.Outputs {
		outs = append(outs, p.Name)
	}
	s, err := ort.Open(data, names, outs, ort.Options{Once: true, Folder: folder})
	if err != nil {
		t.Fatalf("load %s: %v", m.Name, err)
	}
	defer s.Close()
	got, err := s.Run(values...)
	if err != nil {
		t.Fatalf("run %s: %v", m.Name, err)
	}
	out := map[string]ort.Tensor{}
	for i, name := range outs {
		out[name] = got[i]
	}
	return out
}

// inputs adds the inputs of a model with the shapes of what it is fed.
func inputs(g *onnx.Graph, m *onnx.Model, fed map[string]ort.Tensor) map[string]*onnx.Value {
	in := map[string]*onnx.Value{}
	for _, p := range m.Inputs {
		in[p.Name] = g.Input(p.Name, p.Type, onnx.Of(fed[p.Name].Shape...)...)
	}
	return in
}

// builders are the ways to build a graph.
var builders = map[string]func(string, func(*onnx.Graph)) (*onnx.Model, error){
	"Build": onnx.Build, "BuildTraining": onnx.BuildTraining,
}

// replayed is m with the shapes of what it is fed.
func replayed(m *onnx.Model, fed map[string]ort.Tensor, build func(string, func(*onnx.Graph)) (*onnx.Model, error)) (*onnx.Model, error) {
	return build("replayed", func(g *onnx.Graph) {
		out := g.Replay(m, inputs(g, m, fed), nil)
		for _, p := range m.Outputs {
			g.Output("replayed/"+p.Name, out[p.Name])
		}
	})
}

// TestReplay: every tower, replayed, gives what it gives itself.
func TestReplay(t *testing.T) {
	for _, tw := range towers(t) {
		t.Run(tw.name, func(t *testing.T) {
			fed := feed(tw.m, 2)
			want := runModel(t, tw.m, tw.folder, fed)
			for name, build := range builders {
				m, err := replayed(tw.m, fed, build)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got := runModel(t, m, tw.folder, fed)
				for out, w := range want {
					compare(t, fmt.Sprintf("%s of %s by %s", out, tw.name, name), got["replayed/"+out], w)
				}
			}
		})
	}
}

func compare(t testing.TB, what string, got, want ort.Tensor) {
	t.Helper()
	if !slices.Equal(got.Shape, want.Shape) {
		t.Fatalf("%s has the shape %v, want %v", what, got.Shape, want.Shape)
	}
	var worst, scale float64
	for i, w := range want.F32 {
		worst, scale = max(worst, math.Abs(float64(got.F32[i]-w))), max(scale, math.Abs(float64(w)))
	}
	if !(worst <= 1e-5*scale) || scale == 0 {
		t.Errorf("%s differs by %.3g of %.3g", what, worst, scale)
	}
}
