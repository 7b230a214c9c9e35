package embed_test

import (
	"errors"
	"image"
	"image/color"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/internal/graph/graphtest"
)

// Graphs whose answers can be told by hand. A picture's is the means of its red, green
// and blue; a text's is made by the nodes that a test gives.

func port(name string, kind int, shape ...int64) graphtest.Port {
	return graphtest.Port{Name: name, Type: kind, Shape: shape}
}

func node(op string, in []string, out string, attributes map[string]any) graphtest.Node {
	return graphtest.Node{Op: op, In: in, Out: []string{out}, Attributes: attributes}
}

var vector = []graphtest.Port{port("embedding", graphtest.Float32, 0, 0)}

// meansOfColours takes float32 [N,3,S,S].
func meansOfColours(batch int64) graphtest.Model {
	return graphtest.Model{
		Inputs: []graphtest.Port{port("pixel_values", graphtest.Float32, batch, 3, 2, 2)}, Outputs: vector,
		Nodes: []graphtest.Node{node("ReduceMean", []string{"pixel_values"}, "embedding", map[string]any{"axes": []int64{2, 3}, "keepdims": 0})},
	}
}

// bytesOfColours takes uint8 [1,S,S,3].
func bytesOfColours() graphtest.Model {
	return graphtest.Model{
		Inputs: []graphtest.Port{port("image", graphtest.Uint8, 1, 2, 2, 3)}, Outputs: vector,
		Nodes: []graphtest.Node{
			node("Cast", []string{"image"}, "f", map[string]any{"to": graphtest.Float32}),
			node("ReduceMean", []string{"f"}, "embedding", map[string]any{"axes": []int64{1, 2}, "keepdims": 0}),
		},
	}
}

// texts gives a text four numbers, by the table of ids below, from a graph whose
// other inputs are given and whose last nodes reduce "rows" [N,L,4] to "embedding".
func texts(ids graphtest.Port, others []graphtest.Port, reduce ...graphtest.Node) graphtest.Model {
	table := make([]float32, 16*4)
	for i := range table {
		table[i] = float32(i*i%17) - 5
	}
	return graphtest.Model{
		Inputs: append([]graphtest.Port{ids}, others...), Outputs: vector,
		Weights: []graphtest.Weight{{Name: "table", Shape: []int64{16, 4}, Data: table}},
		Nodes:   append([]graphtest.Node{node("Gather", []string{"table", ids.Name}, "rows", nil)}, reduce...),
	}
}

func meanOfRows() graphtest.Node {
	return node("ReduceMean", []string{"rows"}, "embedding", map[string]any{"axes": []int64{1}, "keepdims": 0})
}

var freeIDs = port("input_ids", graphtest.Int64, 0, 0)

// firstOfRows looks at the first id alone, as a causal tower looks at no padding.
func firstOfRows() graphtest.Model {
	m := texts(freeIDs, nil, node("Gather", []string{"rows", "zero"}, "embedding", map[string]any{"axis": 1}))
	m.Weights = append(m.Weights, graphtest.Weight{Name: "zero", Ints: []int64{0}})
	return m
}

const tinyWords = `{"model":{"type":"WordPiece","unk_token":"[UNK]","vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"x":4,"a":5,"dog":6,"photo":7,"of":8,"two":9,"children":10,"red":11,"car":12,"old":13,"house":14,"with":15}},
	"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":{"type":"BertProcessing","cls":["[CLS]",2],"sep":["[SEP]",3]},"added_tokens":[]}`

// modelOf writes files into a directory and opens what is there.
func modelOf(t *testing.T, files map[string][]byte, o embed.Options) *embed.Encoder {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := clip.ReadModel(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	o.Library = library(t)
	e := embed.Open(m, o)
	t.Cleanup(func() { e.Close() })
	return e
}

const plain = `{"size":2,"do_normalize":false}`

func flat(c color.RGBA) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, 2, 2))
	for i := range 4 {
		img.SetRGBA(i%2, i/2, c)
	}
	return img
}

// TestPictures: float32 and bytes, any number a run and one alone, give every picture
// its own answer in its place.
func TestPictures(t *testing.T) {
	var imgs []image.Image
	var want [][]float32
	for i := range uint8(40) {
		imgs = append(imgs, flat(color.RGBA{i, 2 * i, 255 - i, 255}))
		want = append(want, []float32{float32(i), 2 * float32(i), 255 - float32(i)})
	}
	for name, tt := range map[string]struct {
		graph graphtest.Model
		scale float32
	}{"any number": {meansOfColours(0), 255}, "one alone": {meansOfColours(1), 255}, "bytes": {bytesOfColours(), 1}} {
		e := modelOf(t, map[string][]byte{"model.onnx": tt.graph.Bytes(), "preprocessor_config.json": []byte(plain)}, embed.Options{Threads: 2, Batch: 7})
		got, err := e.RawImages(t.Context(), imgs)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range got {
			for c := range got[i] {
				if d := got[i][c]*tt.scale - want[i][c]; d > 1e-3 || d < -1e-3 {
					t.Fatalf("%s: picture %d is %v, want %v", name, i, got[i], want[i])
				}
			}
		}
		if _, err := e.EncodeTexts(t.Context(), []string{"x"}); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), "no text tower") {
			t.Errorf("%s: a text: %v", name, err)
		}
	}
}

// TestBytesTakeNoPixels: what normalizes by itself says so.
func TestBytesTakeNoPixels(t *testing.T) {
	e := modelOf(t, map[string][]byte{"model.onnx": bytesOfColours().Bytes()}, embed.Options{})
	if _, err := e.RawPixels(t.Context(), make([]float32, 12), 1); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), "give it pictures") {
		t.Errorf("RawPixels: %v", err)
	}
}

// TestTextsAlone: a model that reads texts only says so of pictures, and has the
// dimension that its texts have.
func TestTextsAlone(t *testing.T) {
	e := modelOf(t, map[string][]byte{"model.onnx": texts(freeIDs, nil, meanOfRows()).Bytes(), "tokenizer.json": []byte(tinyWords)}, embed.Options{})
	if dim, err := e.Dim(); dim != 4 || err != nil {
		t.Errorf("Dim() = %d, %v", dim, err)
	}
	if _, err := e.EncodeTexts(t.Context(), []string{"a dog"}); err != nil {
		t.Error(err)
	}
	img := flat(color.RGBA{1, 2, 3, 255})
	if _, err := e.EncodeImages(t.Context(), []image.Image{e.Fit(img)}); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), "no image tower") {
		t.Errorf("a picture: %v", err)
	}
}

// TestInputs: a graph is fed what it asks for, of the type that it asks for: ids,
// padded; ones where the text is; zeros for its kind; and the places.
func TestInputs(t *testing.T) {
	for _, kind := range []int{graphtest.Int64, graphtest.Int32} {
		ids := port("input_ids", kind, 0, 5)
		others := []graphtest.Port{port("position_ids", kind, 0, 5), port("attention_mask", kind, 0, 5), port("token_type_ids", kind, 0, 5)}
		m := graphtest.Model{Inputs: append([]graphtest.Port{ids}, others...), Outputs: vector}
		var all []string
		for _, p := range m.Inputs {
			m.Nodes = append(m.Nodes, node("Cast", []string{p.Name}, p.Name+"f", map[string]any{"to": graphtest.Float32}))
			all = append(all, p.Name+"f")
		}
		m.Nodes = append(m.Nodes, node("Concat", all, "embedding", map[string]any{"axis": 1}))
		e := modelOf(t, map[string][]byte{"model.onnx": m.Bytes(), "tokenizer.json": []byte(tinyWords)}, embed.Options{})
		got, err := e.RawTexts(t.Context(), []string{"dog"})
		want := [][]float32{{2, 6, 3, 0, 0, 0, 1, 2, 3, 4, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		got, err = e.RawIDs(t.Context(), [][]int64{{2, 3, 0, 9, 9}}, [][]int64{{1, 1, 0, 0, 1}})
		want = [][]float32{{2, 3, 0, 9, 9, 0, 1, 2, 3, 4, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("with a mask: %v (-want +got):\n%s", err, diff)
		}
		if _, err := e.RawIDs(t.Context(), [][]int64{{1, 2, 3, 4, 5, 6}}, nil); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("six ids of five: %v", err)
		}
	}
}

// TestJoint: one graph of both towers is run as two, and neither asks for the other's
// input, nor for its shape.
func TestJoint(t *testing.T) {
	pictures, words := meansOfColours(0), texts(freeIDs, nil, meanOfRows())
	pictures.Nodes[0].Out[0], words.Nodes[1].Out[0] = "l2norm_image_embeddings", "l2norm_text_embeddings"
	joint := graphtest.Model{
		Inputs:  append(words.Inputs, pictures.Inputs...),
		Outputs: []graphtest.Port{port("l2norm_text_embeddings", graphtest.Float32, 0, 4), port("l2norm_image_embeddings", graphtest.Float32, 0, 3)},
		Nodes:   append(words.Nodes, pictures.Nodes...), Weights: words.Weights,
	}
	testJoint(t, joint)
	// A graph that mixes its inputs is fed with a text of one id, or a black picture.
	joint.Nodes[1].Out[0] = "text"
	joint.Nodes[2].Out[0] = "picture"
	joint.Nodes = append(joint.Nodes,
		node("ReduceSum", []string{"picture"}, "light", map[string]any{"keepdims": 0}), node("Add", []string{"text", "light"}, "l2norm_text_embeddings", nil),
		node("ReduceSum", []string{"text"}, "weight", map[string]any{"keepdims": 0}), node("Sub", []string{"weight", "weight"}, "nothing", nil),
		node("Add", []string{"picture", "nothing"}, "l2norm_image_embeddings", nil))
	testJoint(t, joint)
}

func testJoint(t *testing.T, joint graphtest.Model) {
	t.Helper()
	e := modelOf(t, map[string][]byte{"onnx/model.onnx": joint.Bytes(), "preprocessor_config.json": []byte(plain), "tokenizer.json": []byte(tinyWords)}, embed.Options{Batch: 2})
	got, err := e.RawImages(t.Context(), []image.Image{flat(color.RGBA{255, 0, 51, 255}), flat(color.RGBA{0, 255, 0, 255}), flat(color.RGBA{0, 0, 0, 255})})
	if diff := cmp.Diff([][]float32{{1, 0, 0.2}, {0, 1, 0}, {0, 0, 0}}, got); err != nil || diff != "" {
		t.Errorf("pictures: %v (-want +got):\n%s", err, diff)
	}
	got, err = e.RawIDs(t.Context(), [][]int64{{0, 0}, {1, 1}, {2, 2}}, nil)
	if err != nil || len(got) != 3 || cmp.Equal(got[1], got[2]) {
		t.Errorf("texts: %v, %v", got, err)
	}
}

// TestCutsTexts: padding is left out where that changes nothing, and kept where it
// does; either way every text has the vector that it has when padded, in its place.
func TestCutsTexts(t *testing.T) {
	files := func(m graphtest.Model) map[string][]byte {
		return map[string][]byte{"model.onnx": m.Bytes(), "tokenizer.json": []byte(tinyWords), "tokenizer_config.json": []byte(`{"model_max_length":32}`)}
	}
	long := strings.Repeat("dog a photo of two old house ", 3)
	list := []string{long, "x", "a dog", "red car", long + "x", "children", ""}
	for _, tt := range []struct {
		name  string
		graph graphtest.Model
		want  bool
	}{{"looks at no padding", firstOfRows(), true}, {"the mean of all", texts(freeIDs, nil, meanOfRows()), false}} {
		e := modelOf(t, files(tt.graph), embed.Options{Batch: 3, Threads: 2})
		if got, err := e.CutsTexts(); got != tt.want || err != nil {
			t.Errorf("%s: CutsTexts() = %v, %v", tt.name, got, err)
		}
		got, err := e.RawTexts(t.Context(), list)
		if err != nil {
			t.Fatal(err)
		}
		padded := make([][]int64, len(list))
		words, err := e.Model().OpenTokenizer()
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range list {
			padded[i] = append(words.Encode(text), make([]int64, 32)...)[:32]
		}
		want, err := e.RawIDs(t.Context(), padded, nil)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-padded +from words):\n%s", tt.name, err, diff)
		}
	}
}

// TestDynamicScales: of a graph that takes its scales from all of a run, every row
// runs alone, pictures too: its neighbours change nothing.
func TestDynamicScales(t *testing.T) {
	m := graphtest.Model{
		Inputs: []graphtest.Port{port("pixel_values", graphtest.Float32, 0, 3, 2, 2)}, Outputs: vector,
		Nodes: []graphtest.Node{
			{Op: "DynamicQuantizeLinear", In: []string{"pixel_values"}, Out: []string{"q", "scale", "zero"}},
			node("DequantizeLinear", []string{"q", "scale", "zero"}, "f", nil),
			node("ReduceMean", []string{"f"}, "embedding", map[string]any{"axes": []int64{2, 3}, "keepdims": 0}),
		},
	}
	e := modelOf(t, map[string][]byte{"model.onnx": m.Bytes(), "preprocessor_config.json": []byte(plain)}, embed.Options{Threads: 2, Batch: 8})
	r := rand.New(rand.NewPCG(1, 2))
	pixels := make([]float32, 9*12)
	for i := range pixels {
		pixels[i] = r.Float32() * float32(1+i/12)
	}
	all, err := e.RawPixels(t.Context(), pixels, 9)
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		alone, err := e.RawPixels(t.Context(), pixels[12*i:12*(i+1)], 1)
		if err != nil || !cmp.Equal(all[i], alone[0]) {
			t.Errorf("picture %d is %v alone and %v among others: %v", i, alone, all[i], err)
		}
	}
}

// TestIdleUnload: the image tower goes when nobody uses it and comes back when
// somebody does, however the two meet.
func TestIdleUnload(t *testing.T) {
	e := modelOf(t, map[string][]byte{"model.onnx": meansOfColours(0).Bytes(), "preprocessor_config.json": []byte(plain)}, embed.Options{IdleUnload: time.Millisecond})
	for i := range 60 {
		if _, err := e.RawImages(t.Context(), []image.Image{flat(color.RGBA{9, 9, 9, 255})}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i%4) * 700 * time.Microsecond)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if _, err := e.RawImages(t.Context(), []image.Image{flat(color.RGBA{9, 9, 9, 255})}); err == nil {
		t.Error("a picture after Close: no error")
	}
}

// TestGraphMistakes: a graph that cannot be fed is said what is wrong with it, in a
// line, and is the caller's mistake.
func TestGraphMistakes(t *testing.T) {
	two := meansOfColours(2)
	half := meansOfColours(0)
	half.Inputs[0].Type = 10
	last := meansOfColours(0)
	last.Inputs[0].Shape = []int64{0, 2, 2, 3}
	several := meansOfColours(0)
	several.Outputs = []graphtest.Port{port("a", graphtest.Float32, 0, 3), port("b", graphtest.Float32, 0, 3)}
	wide := meansOfColours(0)
	wide.Inputs[0].Shape = []int64{0, 3, 2, 4}
	strange := texts(freeIDs, []graphtest.Port{port("task_id", graphtest.Int64, 1)}, meanOfRows())
	for _, tt := range []struct {
		graph graphtest.Model
		tower string
		says  string
	}{
		{two, "image", "exactly 2 pictures a run"}, {half, "image", "takes float16 pictures"}, {last, "image", "channels first"},
		{several, "image", "cannot be told"}, {wide, "image", "2 × 4"}, {strange, "text", "input task_id int64[1] is not known"},
	} {
		e := modelOf(t, map[string][]byte{"model.onnx": tt.graph.Bytes(), "preprocessor_config.json": []byte(plain)}, embed.Options{})
		if err := e.Warm(tt.tower); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v does not say %q", err, tt.says)
		}
	}
}

func TestProvider(t *testing.T) {
	for provider, says := range map[string]string{"": "", "cpu": "", "auto": "", "abacus": "abacus: the execution provider cannot be used"} {
		e := modelOf(t, map[string][]byte{"model.onnx": meansOfColours(0).Bytes(), "preprocessor_config.json": []byte(plain)}, embed.Options{Provider: provider})
		err := e.Warm("image")
		if says == "" && err != nil || says != "" && (!errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), says)) {
			t.Errorf("on %q: %v", provider, err)
		}
	}
}

// TestGreedyGraphs: a graph that asks for more than there is, or answers for others
// than it was asked, is an error.
func TestGreedyGraphs(t *testing.T) {
	const much = 1 << 40
	joint := texts(port("input_ids", graphtest.Int64, 0, 0), []graphtest.Port{port("pixel_values", graphtest.Float32, 0, 3, much, much)}, meanOfRows(),
		node("ReduceMean", []string{"pixel_values"}, "pictures", map[string]any{"axes": []int64{1, 2, 3}, "keepdims": 0}),
		node("Mul", []string{"embedding", "pictures"}, "both", nil))
	joint.Outputs = []graphtest.Port{port("both", graphtest.Float32, 0, 0)}
	mean := meansOfColours(0)
	mean.Nodes[0].Attributes = map[string]any{"axes": []int64{0, 2, 3}, "keepdims": 0}
	mean.Nodes[0].Out = []string{"one"}
	mean.Weights = []graphtest.Weight{{Name: "row", Ints: []int64{1, 3}, Shape: []int64{2}}}
	mean.Nodes = append(mean.Nodes, node("Reshape", []string{"one", "row"}, "embedding", nil))
	for name, tt := range map[string]struct {
		files map[string][]byte
		says  string
	}{
		"long texts":     {map[string][]byte{"model.onnx": texts(port("input_ids", graphtest.Int64, 1, much), nil, meanOfRows()).Bytes()}, "texts of 1099511627776 ids"},
		"large pictures": {map[string][]byte{"model.onnx": joint.Bytes()}, "pictures of 1099511627776 pixels"},
		"one for all":    {map[string][]byte{"model.onnx": mean.Bytes(), "preprocessor_config.json": []byte(plain)}, "answers 1 rows for 2"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, data := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			m, err := clip.ReadModel(dir, "")
			if err == nil {
				e := embed.Open(m, embed.Options{Library: library(t)})
				defer e.Close()
				if m.Image != "" && m.Text == "" {
					_, err = e.RawImages(t.Context(), []image.Image{flat(color.RGBA{1, 2, 3, 255}), flat(color.RGBA{4, 5, 6, 255})})
				} else {
					_, err = e.RawIDs(t.Context(), [][]int64{{1, 2}}, nil)
				}
			}
			if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v does not say %q", err, tt.says)
			}
		})
	}
}
