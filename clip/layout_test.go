package clip_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/internal/graph/graphtest"
)

var (
	pixelPort = graphtest.Port{Name: "pixel_values", Type: graphtest.Float32, Shape: []int64{0, 3, 0, 0}}
	idPort    = graphtest.Port{Name: "input_ids", Type: graphtest.Int64, Shape: []int64{0, 0}}
	maskPort  = graphtest.Port{Name: "attention_mask", Type: graphtest.Int64, Shape: []int64{0, 0}}
	outPort   = graphtest.Port{Name: "embedding", Type: graphtest.Float32, Shape: []int64{0, 8}}
)

func graphOf(in ...graphtest.Port) []byte {
	return graphtest.Model{Inputs: in, Outputs: []graphtest.Port{outPort}}.Bytes()
}

// visionGraph takes pictures of side pixels, of any if it is 0; textGraph texts of
// length ids.
func visionGraph(side int64) []byte {
	p := pixelPort
	p.Shape = []int64{0, 3, side, side}
	return graphOf(p)
}

func textGraph(length int64) []byte {
	p := idPort
	p.Shape = []int64{0, length}
	return graphOf(p)
}

func file(data []byte) *fstest.MapFile  { return &fstest.MapFile{Data: data} }
func words(data string) *fstest.MapFile { return file([]byte(data)) }
func fixture(t *testing.T, name string) *fstest.MapFile {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/tokenizer", name))
	if err != nil {
		t.Fatal(err)
	}
	return file(data)
}

// nllb is a tokenizer that knows a language by name.
const nllb = `{"model":{"type":"WordPiece","unk_token":"<unk>","vocab":{"<s>":0,"<pad>":1,"</s>":2,"<unk>":3,"dog":4,"eng_Latn":5}},
	"pre_tokenizer":{"type":"Whitespace"},"added_tokens":[{"id":5,"content":"eng_Latn","special":true}],"post_processor":{"type":"BertProcessing","cls":["<s>",0],"sep":["</s>",2]}}`

// TestPrefixAndEnd: what a family puts before a text, and leaves out behind it.
func TestPrefixAndEnd(t *testing.T) {
	for _, tt := range []struct {
		o    clip.TokenizerOptions
		want []int64
	}{
		{clip.TokenizerOptions{}, []int64{0, 4, 2}},
		{clip.TokenizerOptions{Prefix: "eng_Latn"}, []int64{0, 5, 4, 2}},
		{clip.TokenizerOptions{NoEnd: true}, []int64{0, 4}},
		{clip.TokenizerOptions{NoEnd: true, ContextLength: 2}, []int64{0}},
		{clip.TokenizerOptions{Clean: "open_clip_lower"}, []int64{0, 4, 2}},
	} {
		tok, err := clip.OpenTokenizer(fstest.MapFS{"tokenizer.json": words(nllb)}, tt.o)
		if err != nil {
			t.Fatal(err)
		}
		text := "dog"
		if tt.o.Clean != "" {
			text = " DOG&nbsp;"
		}
		if diff := cmp.Diff(tt.want, tok.Encode(text)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.o, diff)
		}
	}
}

// TestLayouts: what each family's directory is read as.
func TestLayouts(t *testing.T) {
	const size32 = `{"size":{"shortest_edge":32}}`
	clipWords, unigram, wordpiece, fallback := fixture(t, "clip/tokenizer.json"), fixture(t, "unigram/tokenizer.json"), fixture(t, "wordpiece/tokenizer.json"), fixture(t, "bytefallback/tokenizer.json")
	for _, tt := range []struct {
		name   string
		files  fstest.MapFS
		layout string
		image  string
		text   string
		size   int
		length int
		words  clip.Words
	}{
		{"rclip: nothing but graphs and merges", fstest.MapFS{
			"ViT/visual.onnx": file(visionGraph(40)), "ViT/textual.onnx": file(textGraph(77)),
			"tokenizer/bpe_simple_vocab_16e6.txt.gz": file(simple(t, "a b</w>\n")),
		}, "rclip", "ViT/visual.onnx", "ViT/textual.onnx", 40, 77, clip.Words{Dir: "tokenizer", Clean: "open_clip", PadTo: 77}},
		{"fastembed's pictures", fstest.MapFS{
			"model.onnx": file(visionGraph(0)), "preprocessor_config.json": words(size32),
		}, "fastembed", "model.onnx", "", 32, 0, clip.Words{}},
		{"fastembed's texts", fstest.MapFS{
			"model.onnx": file(graphOf(idPort, maskPort)), "tokenizer.json": clipWords,
		}, "fastembed", "", "model.onnx", 0, 77, clip.Words{Dir: ".", Clean: "open_clip", PadTo: 77}},
		{"a joint graph", fstest.MapFS{
			"onnx/model.onnx": file(graphOf(idPort, pixelPort)), "preprocessor_config.json": words(`{"size":48,"resize_mode":"shortest"}`), "tokenizer.json": unigram,
		}, "joint", "onnx/model.onnx", "onnx/model.onnx", 48, 77, clip.Words{Dir: ".", Clean: "none", PadTo: 77}},
		{"one of MobileCLIP2", fstest.MapFS{
			"onnx/s0/vision_model.onnx": file(visionGraph(0)), "onnx/s0/text_model.onnx": file(textGraph(0)),
			"onnx/s0/preprocessor_config.json": words(size32), "tokenizer.json": clipWords,
		}, "transformers.js", "onnx/s0/vision_model.onnx", "onnx/s0/text_model.onnx", 32, 77, clip.Words{Dir: ".", Clean: "open_clip", PadTo: 77}},
		{"SigLIP: always full", fstest.MapFS{
			"onnx/vision_model.onnx": file(visionGraph(0)), "onnx/text_model.onnx": file(textGraph(0)), "tokenizer.json": unigram,
			"preprocessor_config.json": words(size32), "config.json": words(`{"model_type":"siglip","text_config":{"model_type":"siglip_text_model","max_position_embeddings":64}}`),
		}, "transformers.js", "onnx/vision_model.onnx", "onnx/text_model.onnx", 32, 64, clip.Words{Dir: ".", Clean: "none", PadTo: 64}},
		{"SigLIP2: lower case; the usual length, which transformers leaves out", fstest.MapFS{
			"onnx/vision_model.onnx": file(visionGraph(0)), "onnx/text_model.onnx": file(textGraph(0)), "tokenizer.json": fallback,
			"tokenizer_config.json":    words(`{"model_max_length":1000000000000000019884624838656}`),
			"preprocessor_config.json": words(size32), "config.json": words(`{"model_type":"siglip","text_config":{"model_type":"siglip_text_model"}}`),
		}, "transformers.js", "onnx/vision_model.onnx", "onnx/text_model.onnx", 32, 64, clip.Words{Dir: ".", Clean: "lower", PadTo: 64}},
		{"M-CLIP: a mask, and a text as long as it is", fstest.MapFS{
			"visual/model.onnx": file(visionGraph(32)), "textual/model.onnx": file(graphOf(idPort, maskPort)), "textual/tokenizer.json": unigram,
			"textual/tokenizer_config.json": words(`{"model_max_length":1000000000000000019884624838656}`),
		}, "visual-textual", "visual/model.onnx", "textual/model.onnx", 32, 77, clip.Words{Dir: "textual", Clean: "none"}},
		{"Immich's SigLIP: no punctuation", fstest.MapFS{
			"visual/model.onnx": file(visionGraph(32)), "textual/model.onnx": file(textGraph(64)), "textual/tokenizer.json": unigram,
			"config.json": words(`{"text_cfg":{"context_length":64,"hf_tokenizer_name":"x","tokenizer_kwargs":{"clean":"canonicalize"}}}`),
		}, "visual-textual", "visual/model.onnx", "textual/model.onnx", 32, 64, clip.Words{Dir: "textual", Clean: "canonicalize", PadTo: 64}},
		{"CLIPA: BERT without its end", fstest.MapFS{
			"visual/model.onnx": file(visionGraph(32)), "textual/model.onnx": file(textGraph(32)), "textual/tokenizer.json": wordpiece,
			"config.json": words(`{"text_cfg":{"context_length":32,"hf_tokenizer_name":"bert-base-uncased","tokenizer_kwargs":{"strip_sep_token":true}}}`),
		}, "visual-textual", "visual/model.onnx", "textual/model.onnx", 32, 32, clip.Words{Dir: "textual", Clean: "open_clip", PadTo: 32, NoEnd: true}},
		{"SigLIP without a tokenizer.json: its cleaning is ours", fstest.MapFS{
			"onnx/vision_model.onnx": file(visionGraph(32)), "onnx/text_model.onnx": file(textGraph(0)), "spiece.model": fixture(t, "spm-t5/spiece.model"),
			"tokenizer_config.json": words(`{"pad_token":"</s>","model_max_length":64}`), "config.json": words(`{"model_type":"siglip"}`),
		}, "transformers.js", "onnx/vision_model.onnx", "onnx/text_model.onnx", 32, 64, clip.Words{Dir: ".", Clean: "canonicalize", Pad: 1, PadTo: 64}},
		{"NLLB: the language before every text", fstest.MapFS{
			"visual/model.onnx": file(visionGraph(32)), "textual/model.onnx": file(textGraph(77)), "textual/tokenizer.json": words(nllb),
		}, "visual-textual", "visual/model.onnx", "textual/model.onnx", 32, 77, clip.Words{Dir: "textual", Clean: "none", Pad: 1, PadTo: 77, Prefix: "eng_Latn"}},
		{"Chinese-CLIP: as long as it was trained", fstest.MapFS{
			"onnx/vision_model.onnx": file(visionGraph(32)), "onnx/text_model.onnx": file(graphOf(idPort, maskPort)), "tokenizer.json": wordpiece,
			"config.json": words(`{"model_type":"chinese_clip","text_config":{"max_position_embeddings":512}}`),
		}, "transformers.js", "onnx/vision_model.onnx", "onnx/text_model.onnx", 32, 52, clip.Words{Dir: ".", Clean: "none"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := clip.ReadModelFS(tt.files, "")
			if err != nil {
				t.Fatal(err)
			}
			if m.Layout != tt.layout || m.Image != tt.image || m.Text != tt.text || m.Preprocess.Size != tt.size || m.ContextLength != tt.length {
				t.Errorf("layout %q, towers %q and %q, pictures of %d, texts of %d; want %q, %q, %q, %d, %d", m.Layout, m.Image, m.Text, m.Preprocess.Size, m.ContextLength,
					tt.layout, tt.image, tt.text, tt.size, tt.length)
			}
			if diff := cmp.Diff(tt.words, m.Tokenizer); diff != "" {
				t.Errorf("words (-want +got):\n%s", diff)
			}
			for name := range tt.files {
				if !strings.Contains(filesOf(m), name+"\n") {
					t.Errorf("%s is not among the model's files:\n%s", name, filesOf(m))
				}
			}
		})
	}
}

func filesOf(m clip.Model) string {
	var b strings.Builder
	for _, f := range m.Files {
		b.WriteString(f.Name + "\n")
	}
	return b.String()
}

// TestLayoutMistakes: what cannot be told is said in a line, and is the caller's.
func TestLayoutMistakes(t *testing.T) {
	picture := pixelPort
	picture.Shape = []int64{0, 3, 8, 8}
	beside := func(name string) []byte {
		return graphtest.Model{Inputs: []graphtest.Port{picture}, Outputs: []graphtest.Port{outPort}, Weights: []graphtest.Weight{{Name: "w", Shape: []int64{1}, File: name}}}.Bytes()
	}
	for _, tt := range []struct {
		name  string
		files fstest.MapFS
		says  string
	}{
		{"several", fstest.MapFS{"onnx/b/vision_model.onnx": file(visionGraph(8)), "onnx/s0/text_model.onnx": file(textGraph(8))}, "name the folder of one, such as onnx/b, of onnx/b, onnx/s0"},
		{"no size", fstest.MapFS{"model.onnx": file(visionGraph(0))}, "how large its pictures are"},
		{"neither tower", fstest.MapFS{"model.onnx": file(graphOf(outPort))}, "neither pictures nor token ids"},
		{"no graph", fstest.MapFS{"model.onnx": words("words")}, "model.onnx: this is no ONNX model"},
		{"weights that are missing", fstest.MapFS{"model.onnx": file(beside("far.bin"))}, "keeps weights in far.bin, which is not there"},
		{"weights outside", fstest.MapFS{"model.onnx": file(beside("../../etc/passwd"))}, "outside of the model's directory"},
		{"cleaning that is not known", fstest.MapFS{"model.onnx": file(textGraph(8)), "tokenizer.json": fixture(t, "unigram/tokenizer.json"), "config.json": words(`{"text_cfg":{"tokenizer_kwargs":{"clean":"soap"}}}`)}, `cleaning "soap"`},
	} {
		m, err := clip.ReadModelFS(tt.files, "")
		if err == nil {
			_, err = m.OpenTokenizer()
		}
		if err == nil || !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v does not say %q in a line", tt.name, err, tt.says)
		}
	}
}

// TestPartOf: of a directory with several models a folder names one, which brings
// along what they share.
func TestPartOf(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"onnx/b/vision_model.onnx": visionGraph(8), "onnx/s0/vision_model.onnx": visionGraph(16), "onnx/s0/text_model.onnx": textGraph(0),
		"tokenizer.json": fixture(t, "clip/tokenizer.json").Data,
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := clip.ReadModel(filepath.Join(dir, "onnx", "s0"), "")
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != filepath.Base(dir)+"-s0" || m.Image != "onnx/s0/vision_model.onnx" || m.Preprocess.Size != 16 || m.Tokenizer.Dir != "." || m.Path("tokenizer.json") != filepath.Join(dir, "tokenizer.json") {
		t.Errorf("%+v", m)
	}
	out := filepath.Join(t.TempDir(), "copy")
	if err := m.WriteModel(out); err != nil {
		t.Fatal(err)
	}
	again, err := clip.ReadModel(out, "")
	if err != nil || again.Space() != m.Space() {
		t.Errorf("the copy is another model: %v", err)
	}
}

// TestExternalData: weights beside a graph belong to the model whatever their name.
func TestExternalData(t *testing.T) {
	files := wild()
	files["onnx/vision_model.onnx"] = file(graphtest.Model{Inputs: []graphtest.Port{pixelPort}, Outputs: []graphtest.Port{outPort},
		Weights: []graphtest.Weight{{Name: "w", Shape: []int64{1}, File: "some weights"}}}.Bytes())
	files["onnx/some weights"] = words("1234")
	m, err := clip.ReadModelFS(files, "")
	if err != nil || !strings.Contains(filesOf(m), "onnx/some weights\n") {
		t.Errorf("%v; files:\n%s", err, filesOf(m))
	}
}

func simple(t *testing.T, merges string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte("\"bpe_simple_vocab_16e6.txt#version: 0.2\n" + merges)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
