package doctor

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// The tests' own models are written here, in ONNX's wire format: a picture is one
// product with a matrix, a text is the mean of its tokens' vectors and places, and all
// weights are random. It is all a doctor needs to be wrong about.

type message []byte

func (m message) text(n protowire.Number, s string) message {
	return protowire.AppendString(protowire.AppendTag(m, n, protowire.BytesType), s)
}

func (m message) number(n protowire.Number, v int64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, n, protowire.VarintType), uint64(v))
}

func (m message) message(n protowire.Number, body message) message {
	return protowire.AppendBytes(protowire.AppendTag(m, n, protowire.BytesType), body)
}

func floats(name string, v []float32, shape ...int64) message {
	var m message
	for _, d := range shape {
		m = m.number(1, d)
	}
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return m.number(2, 1).text(8, name).message(9, raw)
}

func integers(name string, v []int64, shape ...int64) message {
	var m message
	for _, d := range shape {
		m = m.number(1, d)
	}
	raw := make([]byte, 0, 8*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(x))
	}
	return m.number(2, 7).text(8, name).message(9, raw)
}

func node(op string, inputs []string, output string, attributes ...message) message {
	var m message
	for _, in := range inputs {
		m = m.text(1, in)
	}
	m = m.text(2, output).text(4, op)
	for _, a := range attributes {
		m = m.message(5, a)
	}
	return m
}

func attribute(name string, v int64) message {
	return message{}.text(1, name).number(3, v).number(20, 2)
}

func attributes(name string, v ...int64) message {
	m := message{}.text(1, name).number(20, 7)
	for _, x := range v {
		m = m.number(8, x)
	}
	return m
}

// port is a graph's input or output; a dimension below 1 is free.
func port(name string, kind int64, shape ...int64) message {
	var dims message
	for i, d := range shape {
		if d > 0 {
			dims = dims.message(1, message{}.number(1, d))
		} else {
			dims = dims.message(1, message{}.text(2, fmt.Sprint("free", i)))
		}
	}
	tensor := message{}.number(1, kind).message(2, dims)
	return message{}.text(1, name).message(2, message{}.message(1, tensor))
}

func onnxModel(in, out message, weights, nodes []message) []byte {
	g := message{}
	for _, n := range nodes {
		g = g.message(1, n)
	}
	g = g.text(2, "g")
	for _, w := range weights {
		g = g.message(5, w)
	}
	g = g.message(11, in).message(12, out)
	return message{}.number(1, 8).message(8, message{}.number(2, 13)).message(7, g)
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
	return onnxModel(port("pixel_values", 1, batch, 3, tinySide, tinySide), port("image_embeds", 1, batch, tinyDim),
		[]message{floats("visual.proj", random(r, int(n)*tinyDim, 0.05), n, tinyDim)},
		[]message{node("Flatten", []string{"pixel_values"}, "flat", attribute("axis", 1)), node("MatMul", []string{"flat", "visual.proj"}, "image_embeds")})
}

// tinyText is a text tower that takes tinyPlaces ids, no more and no fewer, and takes
// the mean over all of them: it sees what a text is filled up with.
func tinyText(batch int64) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	return onnxModel(port("input_ids", 7, batch, 0), port("text_embeds", 1, batch, tinyDim),
		[]message{
			floats("token_embedding.weight", random(r, tinyWords*tinyWidth, 1), tinyWords, tinyWidth),
			floats("positional_embedding", random(r, tinyPlaces*tinyWidth, 0.1), tinyPlaces, tinyWidth),
			floats("text_projection", random(r, tinyWidth*tinyDim, 0.2), tinyWidth, tinyDim),
		},
		[]message{
			node("Gather", []string{"token_embedding.weight", "input_ids"}, "x0", attribute("axis", 0)),
			node("Add", []string{"x0", "positional_embedding"}, "x1"),
			node("Tanh", []string{"x1"}, "x2"),
			node("ReduceMean", []string{"x2"}, "x3", attributes("axes", 1), attribute("keepdims", 0)),
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
