package doctor

import (
	"encoding/binary"
	"errors"
	"image"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/onnx"
)

// vectors makes n random unit vectors.
func vectors(r *rand.Rand, n, dim int) []clipsearch.Vector {
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = random(r, dim, 1)
	}
	return units(rows)
}

// TestMatch: z counts standard deviations over all ways to deal the captions out. On
// unrelated vectors it is spread as that says, on related ones it is large, and what
// all pictures or all captions share does not move it.
func TestMatch(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const n, dim, times = 13, 32, 400
	var mean, squares float64
	for range times {
		z := match(vectors(r, n, dim), vectors(r, n, dim)).z
		mean += z / times
		squares += z * z / times
	}
	if math.Abs(mean) > 0.2 || squares < 0.75 || squares > 1.25 {
		t.Errorf("z of unrelated vectors has the mean %.2f and the variance %.2f, not 0 and 1", mean, squares)
	}
	pictures := vectors(r, n, dim)
	if m := match(pictures, pictures); m.z < 8 || math.Abs(m.first-1) > 1e-9 {
		t.Errorf("of vectors with themselves z is %.1f, and %.2f come first", m.z, m.first)
	}
	shared := random(r, dim, 3) // far larger than what tells them apart
	moved := make([][]float32, n)
	for i := range moved {
		moved[i] = make([]float32, dim)
		for j := range moved[i] {
			moved[i][j] = pictures[i][j] + shared[j]
		}
	}
	if m := match(units(moved), pictures); m.z < 8 {
		t.Errorf("where all pictures share a direction z is %.1f", m.z)
	}
}

// TestLearning: only a matrix with a few strong directions has learned, whatever the
// numbers were drawn from, and however rows are scaled or columns moved.
func TestLearning(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, tt := range []struct {
		name    string
		value   func(i, j int) float32
		learned bool
	}{
		{"normal", func(int, int) float32 { return float32(r.NormFloat64()) }, false},
		{"uniform", func(int, int) float32 { return r.Float32()*2 - 1 }, false},
		{"rows of other sizes", func(i, _ int) float32 { return float32(r.NormFloat64() * float64(1+i)) }, false},
		{"zero points", func(_, j int) float32 { return float32(r.NormFloat64()) + float32(j%5+100) }, false},
		{"one strong direction", func(i, j int) float32 {
			return float32(r.NormFloat64() + 0.5*math.Sin(float64(i))*math.Cos(float64(j)))
		}, true},
	} {
		m := make([][]float32, 96)
		for i := range m {
			m[i] = make([]float32, 128)
			for j := range m[i] {
				m[i][j] = tt.value(i, j)
			}
		}
		if x, ok := beyondChance(m); !ok || x >= learnedAt != tt.learned {
			t.Errorf("%s: %.2f (%v)", tt.name, x, ok)
		}
	}
}

// TestDrift: a model agrees with itself, and not with one that sees colours otherwise.
func TestDrift(t *testing.T) {
	o := options(t)
	m, err := clip.ReadCopy(tinyModel(t), "")
	if err != nil {
		t.Fatal(err)
	}
	a, b := embed.Open(m, o.Embed), embed.Open(m, o.Embed)
	m.Preprocess.Mean = [3]float64{0.9, 0.1, 0.5}
	m.Preprocess.Std = [3]float64{0.1, 1, 0.3}
	c := embed.Open(m, o.Embed)
	for _, e := range []*embed.Encoder{a, b, c} {
		defer e.Close()
	}
	if g, err := Drift(t.Context(), a, b, Photos()); err != nil || !g.Enough() || math.Abs(g.Cosine-1) > 1e-6 || math.Abs(g.Top1-1) > 1e-9 {
		t.Errorf("a model against itself: %v, %v", g, err)
	}
	if g, err := Drift(t.Context(), a, c, Photos()); err != nil || g.Enough() {
		t.Errorf("a model against another: %v, %v", g, err)
	}
	if _, err := Drift(t.Context(), a, b, Photos()[:1]); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("of one picture: %v", err)
	}
}

// TestDriftOfFiles: int8 files that are far from the fp32 files beside them are broken
// where they are in use, and only told of where they are not.
func TestDriftOfFiles(t *testing.T) {
	o := options(t)
	dir := tinyModel(t)
	writeFile(t, dir, "visual/model_int8.onnx", rewired("pixel_values", true, 1, turned(3))(t, tinyImage(0)))
	writeFile(t, dir, "textual/model_int8.onnx", tinyText(0))
	for precision, ok := range map[string]bool{"fp32": true, "int8": false} {
		m, err := clip.ReadCopy(dir, precision)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Examine(t.Context(), m, o)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, c := range r.Checks {
			found = found || c.Name == "drift" && c.OK == ok
		}
		if !found || r.OK != ok {
			t.Errorf("%s: %s", precision, lines(r))
		}
	}
}

func TestPhotos(t *testing.T) {
	a := readAlbum()
	for language, captions := range a.Captions {
		if len(captions) != len(a.photos) {
			t.Errorf("%d captions in %s for %d photographs", len(captions), language, len(a.photos))
		}
	}
	if n := len(Photos()); n != 5*len(a.photos) {
		t.Errorf("%d pictures", n)
	}
	for _, c := range a.Colours {
		if c.picture(a).Bounds() == (image.Rectangle{}) || c.Says == c.Swapped {
			t.Errorf("%+v", c)
		}
	}
}

func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		kind kind
		raw  []byte
		want float32
	}{
		{float16s, []byte{0x00, 0x3c}, 1}, {float16s, []byte{0x00, 0xc0}, -2}, {float16s, []byte{0x01, 0x00}, 1.0 / (1 << 24)},
		{float16s, []byte{0x00, 0x7c}, float32(math.Inf(1))}, {bfloat16s, []byte{0x80, 0x3f}, 1}, {int8s, []byte{0xff}, -1}, {uint8s, []byte{0xff}, 255},
		{float64s, binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.25)), 0.25},
	} {
		if got := tt.kind.decode(nil, tt.raw); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s % x is %v, not %v", tt.kind, tt.raw, got, tt.want)
		}
	}
}

// weigh reads all numbers of a file, as the doctor does.
func weigh(list []tensor, err error) {
	if err != nil {
		return
	}
	w := weighed{towers: map[string][]float64{}}
	_ = w.walk(list, nil, imageTower)
}

func FuzzONNX(f *testing.F) {
	f.Add(onnxModel(port("x", onnx.Float, 1), port("y", onnx.Float, 1), []*onnx.Tensor{onnx.Floats("w", []float32{1, 2}, 2)}, []*onnx.Node{node("Add", []string{"x", "w"}, "y")}))
	f.Fuzz(func(_ *testing.T, data []byte) {
		beside := besides{fsys: photoFiles, dir: "photos"}
		defer beside.close()
		g, err := readONNX(data, &beside)
		weigh(g.tensors, err)
	})
}
