package engine

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch/onnx"
)

// tiny is the model of testdata/generate.py, its batches and what became of it.
type tiny struct {
	Params []struct {
		Name   string
		Dims   []int64
		Offset int64
	}
	IDs                        [][]int64
	Rows, Context, Size, Patch int64
	Decay, Clip, Rate          float64
	Warmup                     int
	Rates, Losses              []float64

	pixels []uint8
	at     map[string]int
}

func readTiny(t testing.TB) *tiny {
	t.Helper()
	m := &tiny{at: map[string]int{}}
	readJSON(t, "tiny.json", m)
	var err error
	if m.pixels, err = os.ReadFile(filepath.Join("testdata", "tiny.u8")); err != nil {
		t.Fatal(err)
	}
	for i, p := range m.Params {
		m.at[p.Name] = i
	}
	return m
}

// batch returns batch i, its texts cut to so many tokens.
func (m *tiny) batch(i int, length int64) Inputs {
	each := int(m.Rows * 3 * m.Size * m.Size)
	i %= len(m.IDs)
	px := make([]float32, each)
	for j, b := range m.pixels[i*each : (i+1)*each] {
		px[j] = (float32(b) - 127) / 128
	}
	var ids []int64
	for row := range slices.Chunk(m.IDs[i], int(m.Context)) {
		ids = append(ids, row[:length]...)
	}
	return Inputs{
		Image: map[string]Tensor{"pixels": {Shape: []int64{m.Rows, 3, m.Size, m.Size}, F32: px}},
		Text:  map[string]Tensor{"ids": {Shape: []int64{m.Rows, length}, I64: ids}},
	}
}

// weight is a tensor of the file, which it is left in.
func (m *tiny) weight(g *onnx.Graph, name string) *onnx.Value {
	p := m.Params[m.at[name]]
	t := &onnx.Tensor{Name: name, Type: onnx.Float, Dims: p.Dims}
	n, _ := t.Len()
	t.External = &onnx.External{Location: "tiny.f32", Offset: 4 * p.Offset, Length: 4 * n}
	return g.Const(t)
}

// towers builds both as inference graphs; dropout is applied to what each half of a
// block adds.
func (m *tiny) towers(t testing.TB, dropout float64) (image, text *onnx.Model) {
	t.Helper()
	image, err := onnx.Build("image", func(g *onnx.Graph) { m.image(g, dropout) })
	if err != nil {
		t.Fatal(err)
	}
	text, err = onnx.Build("text", func(g *onnx.Graph) { m.text(g, dropout) })
	if err != nil {
		t.Fatal(err)
	}
	return image, text
}

func (m *tiny) image(g *onnx.Graph, dropout float64) {
	batch, n := onnx.Sym("batch"), m.Size/m.Patch
	x := g.Input("pixels", onnx.Float, batch, onnx.N(3), onnx.N(m.Size), onnx.N(m.Size))
	x = g.Reshape(x, batch, onnx.N(3), onnx.N(n), onnx.N(m.Patch), onnx.N(n), onnx.N(m.Patch))
	x = g.Reshape(g.Transpose(x, 0, 2, 4, 1, 3, 5), batch.Times(onnx.N(n*n)), onnx.N(3*m.Patch*m.Patch))
	w := m.weight(g, "image.patch.weight")
	x = g.Reshape(g.Gemm(x, w, nil, true), batch, onnx.N(n*n), w.Shape()[0])
	token := g.Add(g.ReduceMean(g.Mul(x, g.Scalar(0)), true, 1), m.weight(g, "image.token"))
	x = g.Add(g.Concat(1, token, x), m.weight(g, "image.positions"))
	x = m.norm(g, x, "image.before")
	for _, name := range []string{"image.blocks.0.", "image.blocks.1."} {
		x = m.block(g, x, name, g.QuickGelu, false, dropout)
	}
	x = g.Index(x, 1, 0)
	g.Output("features", g.Gemm(m.norm(g, x, "image.after"), m.weight(g, "image.head.weight"), nil, true))
}

func (m *tiny) text(g *onnx.Graph, dropout float64) {
	batch, length := onnx.Sym("batch"), onnx.Sym("length")
	ids := g.Input("ids", onnx.Int64, batch, length)
	x := g.Rows(m.weight(g, "text.words.weight"), ids)
	x = g.Add(x, g.Head(m.weight(g, "text.positions"), 0, g.DimOf(ids, 1), length))
	for _, name := range []string{"text.blocks.0.", "text.blocks.1."} {
		x = m.block(g, x, name, g.Gelu, true, dropout)
	}
	x = g.Pick(x, g.ArgMax(ids, 1))
	g.Output("features", g.Gemm(m.norm(g, x, "text.after"), m.weight(g, "text.head.weight"), nil, true))
}

func (m *tiny) norm(g *onnx.Graph, x *onnx.Value, name string) *onnx.Value {
	return g.LayerNorm(x, m.weight(g, name+".weight"), m.weight(g, name+".bias"), 1e-5)
}

// linear is a layer over the rows of a sequence.
func (m *tiny) linear(g *onnx.Graph, x *onnx.Value, name string) *onnx.Value {
	s, w := x.Shape(), m.weight(g, name+".weight")
	y := g.Gemm(g.Reshape(x, s[0].Times(s[1]), s[2]), w, m.weight(g, name+".bias"), true)
	return g.ReshapeTo(y, x, s[0], s[1], w.Shape()[0])
}

func (m *tiny) block(g *onnx.Graph, x *onnx.Value, name string, act func(*onnx.Value) *onnx.Value, causal bool, dropout float64) *onnx.Value {
	drop := func(x *onnx.Value) *onnx.Value {
		if dropout == 0 {
			return x
		}
		return g.Dropout(x, dropout)
	}
	y := m.norm(g, x, name+"norm1")
	a := g.Attention(m.linear(g, y, name+"q"), m.linear(g, y, name+"k"), m.linear(g, y, name+"v"), nil, 2, causal)
	x = g.Add(x, drop(m.linear(g, a, name+"out")))
	y = m.linear(g, act(m.linear(g, m.norm(g, x, name+"norm2"), name+"up")), name+"down")
	return g.Add(x, drop(y))
}

// numbers reads a file of float32 or float64.
func numbers(t testing.TB, name string, size int) []float64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	list := make([]float64, len(b)/size)
	for i := range list {
		if size == 4 {
			list[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		} else {
			list[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
	}
	return list
}
