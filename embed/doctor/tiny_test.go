package doctor

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/clipsearch/clipsearch/onnx"
)

// The tests' own models: a picture is one product with a matrix, a text is the mean of
// its tokens' vectors and places, and all weights are random. It is all a doctor needs to
// be wrong about.

func node(op string, inputs []string, output string, attrs ...onnx.Attr) *onnx.Node {
	return &onnx.Node{Op: op, Inputs: inputs, Outputs: []string{output}, Attrs: attrs}
}

// port is a graph's input or output; a dimension below 1 is free.
func port(name string, kind onnx.Type, shape ...int64) onnx.Port {
	p := onnx.Port{Name: name, Type: kind}
	for i, d := range shape {
		if d > 0 {
			p.Shape = append(p.Shape, onnx.N(d))
		} else {
			p.Shape = append(p.Shape, onnx.Sym(fmt.Sprint("free", i)))
		}
	}
	return p
}

func marshal(m *onnx.Model) []byte {
	data, err := m.Marshal()
	if err != nil {
		panic(err)
	}
	return data
}

func onnxModel(in, out onnx.Port, weights []*onnx.Tensor, nodes []*onnx.Node) []byte {
	return marshal(&onnx.Model{
		IR: 8, Opsets: []onnx.Opset{{Version: 13}}, Name: "tiny",
		Inputs: []onnx.Port{in}, Outputs: []onnx.Port{out}, Initializers: weights, Nodes: nodes,
	})
}

func random(r *rand.Rand, n int, size float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64() * size)
	}
	return v
}

// The sizes of tiny models.
const (
	tinySide, tinyPlaces, tinyWords, tinyWidth, tinyDim = 16, 20, 300, 24, 16
)

// tinyImage is an image tower; batch 0 is free.
func tinyImage(batch int64) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	n := int64(3 * tinySide * tinySide)
	return onnxModel(port("pixel_values", onnx.Float, batch, 3, tinySide, tinySide), port("image_embeds", onnx.Float, batch, tinyDim),
		[]*onnx.Tensor{onnx.Floats("visual.proj", random(r, int(n)*tinyDim, 0.05), n, tinyDim)},
		[]*onnx.Node{node("Flatten", []string{"pixel_values"}, "flat", onnx.Attr{Name: "axis", Value: int64(1)}), node("MatMul", []string{"flat", "visual.proj"}, "image_embeds")})
}

// tinyText is a text tower that takes tinyPlaces ids, no more and no fewer, and takes
// the mean over all of them: it sees what a text is filled up with.
func tinyText(batch int64) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	return onnxModel(port("input_ids", onnx.Int64, batch, 0), port("text_embeds", onnx.Float, batch, tinyDim),
		[]*onnx.Tensor{
			onnx.Floats("token_embedding.weight", random(r, tinyWords*tinyWidth, 1), tinyWords, tinyWidth),
			onnx.Floats("positional_embedding", random(r, tinyPlaces*tinyWidth, 0.1), tinyPlaces, tinyWidth),
			onnx.Floats("text_projection", random(r, tinyWidth*tinyDim, 0.2), tinyWidth, tinyDim),
		},
		[]*onnx.Node{
			node("Gather", []string{"token_embedding.weight", "input_ids"}, "x0", onnx.Attr{Name: "axis", Value: int64(0)}),
			node("Add", []string{"x0", "positional_embedding"}, "x1"),
			node("Tanh", []string{"x1"}, "x2"),
			node("ReduceMean", []string{"x2"}, "x3", onnx.Attr{Name: "axes", Value: []int64{1}}, onnx.Attr{Name: "keepdims", Value: int64(0)}),
			node("MatMul", []string{"x3", "text_projection"}, "text_embeds"),
		})
}

// tinyTokenizer is CLIP's kind of tokenizer for printable ASCII, without merges.
func tinyTokenizer() map[string]any {
	vocab := map[string]int{}
	for c := '!'; c <= '~'; c++ {
		vocab[string(c)] = len(vocab)
	}
	for c := '!'; c <= '~'; c++ {
		vocab[string(c)+"</w>"] = len(vocab)
	}
	begin, end := tinyWords-2, tinyWords-1
	vocab["<|startoftext|>"], vocab["<|endoftext|>"] = begin, end
	mark := func(id int, s string) map[string]any {
		return map[string]any{"id": id, "content": s, "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}
	}
	return map[string]any{
		"added_tokens":   []any{mark(begin, "<|startoftext|>"), mark(end, "<|endoftext|>")},
		"normalizer":     map[string]any{"type": "Lowercase"},
		"pre_tokenizer":  map[string]any{"type": "ByteLevel", "add_prefix_space": false},
		"post_processor": map[string]any{"type": "RobertaProcessing", "sep": []any{"<|endoftext|>", end}, "cls": []any{"<|startoftext|>", begin}},
		"model":          map[string]any{"type": "BPE", "vocab": vocab, "merges": []any{}, "unk_token": "<|endoftext|>", "end_of_word_suffix": "</w>"},
	}
}

// tinyModel writes a model of random weights in the layout of visual and textual folders.
func tinyModel(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, dir, "visual/model.onnx", tinyImage(0))
	writeFile(t, dir, "textual/model.onnx", tinyText(0))
	writeJSON(t, dir, "textual/tokenizer.json", tinyTokenizer())
	writeJSON(t, dir, "visual/preprocess_cfg.json", map[string]any{
		"size": []int{tinySide, tinySide}, "mode": "RGB", "mean": recipes[0].mean, "std": recipes[0].std, "interpolation": "bicubic", "resize_mode": "shortest",
	})
	writeJSON(t, dir, "config.json", map[string]any{"embed_dim": tinyDim, "text_cfg": map[string]any{"context_length": tinyPlaces}})
	return dir
}

func writeFile(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	p := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeJSON(t *testing.T, dir, name string, v any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, name, data)
}

// changeJSON reads a file, has it changed, and writes it back.
func changeJSON(t *testing.T, dir, name string, change func(map[string]any)) {
	t.Helper()
	v := map[string]any{}
	if err := json.Unmarshal(readFile(t, dir, name), &v); err != nil {
		t.Fatal(err)
	}
	change(v)
	writeJSON(t, dir, name, v)
}

func readFile(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
