package hub

import (
	"errors"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

// repositories are as they lie on the hub, cut to what matters.
var repositories = map[string]string{
	"transformers.js": `.gitattributes README.md config.json merges.txt preprocessor_config.json quant_config.json special_tokens_map.json tokenizer.json
		tokenizer_config.json vocab.json onnx/model.onnx onnx/model_quantized.onnx onnx/text_model.onnx onnx/text_model_fp16.onnx onnx/text_model_quantized.onnx
		onnx/vision_model.onnx onnx/vision_model_fp16.onnx onnx/vision_model_quantized.onnx onnx/vision_model_int8.onnx onnx/text_model_int8.onnx`,
	"external": `config.json tokenizer.json preprocessor_config.json onnx/text_model.onnx onnx/text_model.onnx_data onnx/vision_model.onnx
		onnx/vision_model.onnx_data onnx/vision_model.onnx_data_1 onnx/vision_model_fp16.onnx onnx/vision_model_fp16.onnx_data`,
	"immich": `.gitattributes README.md config.json textual/fp16/model.armnn textual/merges.txt textual/model.onnx textual/special_tokens_map.json
		textual/tokenizer.json textual/tokenizer_config.json textual/vocab.json textual/rknpu/rk3588/model.rknn visual/fp16/model.armnn visual/model.onnx
		visual/model.armnn visual/preprocess_cfg.json visual/rknpu/rk3588/model.rknn`,
	"immich, large": `config.json textual/model.onnx textual/onnx__MatMul_12 textual/tokenizer.json visual/model.onnx visual/preprocess_cfg.json
		visual/visual.proj visual/onnx__MatMul_7 visual/model_fp16.onnx visual/model_fp16.onnx_data visual/model.data`,
	"rclip":        `README.md ViT-B-32-256-datacomp_s34b_b86k/textual.onnx ViT-B-32-256-datacomp_s34b_b86k/visual.onnx tokenizer/bpe_simple_vocab_16e6.txt.gz other/x.bin`,
	"joint":        `config.json model.safetensors preprocessor_config.json pytorch_model.bin tokenizer.json onnx/model.onnx onnx/model.onnx_data onnx/model_fp16.onnx`,
	"several":      `README.md tokenizer.json onnx/s0/vision_model.onnx onnx/s0/text_model.onnx onnx/s0/preprocessor_config.json onnx/s2/vision_model.onnx onnx/s2/text_model.onnx s2/preprocessor_config.json`,
	"transformers": `README.md config.json flax_model.msgpack merges.txt model.safetensors preprocessor_config.json pytorch_model.bin tf_model.h5 tokenizer.json vocab.json`,
	"sharded": `config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json model.fp16-00001-of-00002.safetensors
		pytorch_model-00001-of-00002.bin preprocessor_config.json tokenizer.json spiece.model`,
	"open_clip": `README.md config.json model.safetensors open_clip_config.json open_clip_model.safetensors open_clip_pytorch_model.bin pytorch_model.bin tokenizer.json`,
	"sentence": `README.md 1_Pooling/config.json 2_Dense/config.json 2_Dense/model.safetensors 2_Dense/pytorch_model.bin config.json config_sentence_transformers.json
		model.safetensors modules.json onnx/model.onnx onnx/model_O4.onnx pytorch_model.bin sentence_bert_config.json tokenizer.json tokenizer_config.json vocab.txt`,
	"converted":  `config.json model.safetensors open_clip_config.json open_clip_pytorch_model.bin tokenizer.json`,
	"text tower": `open_clip_config.json open_clip_model.safetensors text/config.json text/pytorch_model.bin tokenizer.json`,
	"manifest":   `clipsearch-model.json onnx/vision_model.onnx onnx/text_model.onnx onnx/text_model_int8.onnx words/tokenizer.json LICENSE .gitattributes old.bin`,
	"pickles":    `README.md config.json pytorch_model.bin clip_cn_vit-b-16.pt vocab.txt`,
	"flax":       `README.md config.json flax_model.msgpack`,
	"images":     `README.md a.png b.png c.png d.png e.png`,
}

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		repo   string
		wish   Wish
		layout string
		want   string
	}{
		{"transformers.js", Wish{}, "transformers.js", "README.md config.json merges.txt onnx/text_model.onnx onnx/vision_model.onnx preprocessor_config.json special_tokens_map.json tokenizer.json tokenizer_config.json vocab.json"},
		{"transformers.js", Wish{Precision: "int8"}, "transformers.js", "README.md config.json merges.txt onnx/text_model_int8.onnx onnx/vision_model_int8.onnx preprocessor_config.json special_tokens_map.json tokenizer.json tokenizer_config.json vocab.json"},
		{"transformers.js", Wish{Files: []string{"onnx/*_fp16.onnx"}}, "chosen", "README.md config.json merges.txt onnx/text_model_fp16.onnx onnx/vision_model_fp16.onnx preprocessor_config.json special_tokens_map.json tokenizer.json tokenizer_config.json vocab.json"},
		{"external", Wish{}, "transformers.js", "config.json onnx/text_model.onnx onnx/text_model.onnx_data onnx/vision_model.onnx onnx/vision_model.onnx_data onnx/vision_model.onnx_data_1 preprocessor_config.json tokenizer.json"},
		{"immich", Wish{Precision: "fp32"}, "visual-textual", "README.md config.json textual/merges.txt textual/model.onnx textual/special_tokens_map.json textual/tokenizer.json textual/tokenizer_config.json textual/vocab.json visual/model.onnx visual/preprocess_cfg.json"},
		{"immich, large", Wish{}, "visual-textual", "config.json textual/model.onnx textual/onnx__MatMul_12 textual/tokenizer.json visual/model.data visual/model.onnx visual/onnx__MatMul_7 visual/preprocess_cfg.json visual/visual.proj"},
		{"rclip", Wish{}, "rclip", "README.md ViT-B-32-256-datacomp_s34b_b86k/textual.onnx ViT-B-32-256-datacomp_s34b_b86k/visual.onnx tokenizer/bpe_simple_vocab_16e6.txt.gz"},
		{"joint", Wish{}, "joint", "config.json onnx/model.onnx onnx/model.onnx_data preprocessor_config.json tokenizer.json"},
		{"several", Wish{Files: []string{"onnx/s2/vision_model.onnx", "onnx/s2/text_model.onnx"}}, "chosen", "README.md onnx/s2/text_model.onnx onnx/s2/vision_model.onnx s2/preprocessor_config.json tokenizer.json"},
		{"several", Wish{Files: []string{"onnx/s0/"}}, "chosen", "README.md onnx/s0/preprocessor_config.json onnx/s0/text_model.onnx onnx/s0/vision_model.onnx tokenizer.json"},
		{"transformers", Wish{}, "transformers", "README.md config.json merges.txt model.safetensors preprocessor_config.json tokenizer.json vocab.json"},
		{"sharded", Wish{}, "transformers", "config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json preprocessor_config.json spiece.model tokenizer.json"},
		{"open_clip", Wish{}, "open_clip", "README.md config.json open_clip_config.json open_clip_model.safetensors tokenizer.json"},
		{"sentence", Wish{}, "sentence-transformers", "1_Pooling/config.json 2_Dense/config.json 2_Dense/model.safetensors README.md config.json config_sentence_transformers.json model.safetensors modules.json sentence_bert_config.json tokenizer.json tokenizer_config.json vocab.txt"},
		{"converted", Wish{}, "transformers", "config.json model.safetensors tokenizer.json"},
		{"text tower", Wish{}, "open_clip", "open_clip_config.json open_clip_model.safetensors text/config.json tokenizer.json"},
		{"manifest", Wish{Precision: "int8"}, "manifest", "LICENSE clipsearch-model.json onnx/text_model.onnx onnx/text_model_int8.onnx onnx/vision_model.onnx words/tokenizer.json"},
	} {
		c, err := Choose(strings.Fields(repositories[tt.repo]), tt.wish)
		if err != nil || c.Layout != tt.layout || strings.Join(c.Files, " ") != tt.want {
			t.Errorf("Choose(%s, %+v) = %s, %v (-want +got):\n%s", tt.repo, tt.wish, c.Layout, err, cmp.Diff(strings.Fields(tt.want), c.Files))
		}
	}
}

// TestChooseNothing says why nothing can be chosen, and what to do.
func TestChooseNothing(t *testing.T) {
	for _, tt := range []struct {
		repo string
		wish Wish
		says string
	}{
		{"pickles", Wish{}, "its weights are pickles only (pytorch_model.bin, clip_cn_vit-b-16.pt), which can run code when they are opened"},
		{"pickles", Wish{Files: []string{"*.bin"}}, "pytorch_model.bin is a pickle"},
		{"flax", Wish{}, "for other programs only (flax_model.msgpack)"},
		{"images", Wish{}, "it holds no model (there are README.md, a.png, b.png, c.png and 2 more)"},
		{"several", Wish{}, "name those of both towers with --file"},
		{"immich", Wish{Precision: "int8"}, "there are no int8 files of both towers"},
		{"immich", Wish{Files: []string{"*_int8.onnx"}}, `no file matches --file "*_int8.onnx"`},
		{"immich", Wish{Files: []string{"["}}, "no pattern"},
	} {
		c, err := Choose(strings.Fields(repositories[tt.repo]), tt.wish)
		if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("Choose(%s, %+v) = %v, %v, want %q", tt.repo, tt.wish, c, err, tt.says)
		}
	}
}

// FuzzChoose never picks what is not there, a pickle, or something twice.
func FuzzChoose(f *testing.F) {
	for _, names := range repositories {
		f.Add(strings.Join(strings.Fields(names), "\n"), "", "")
		f.Add(strings.Join(strings.Fields(names), "\n"), "int8", "onnx/*")
	}
	f.Fuzz(func(t *testing.T, list, precision, glob string) {
		names := strings.Split(list, "\n")
		w := Wish{Precision: precision}
		if glob != "" {
			w.Files = []string{glob}
		}
		c, err := Choose(names, w)
		if err != nil {
			return
		}
		if len(c.Files) == 0 || !slices.IsSorted(c.Files) || len(slices.Compact(slices.Clone(c.Files))) != len(c.Files) {
			t.Errorf("Choose(%q, %+v) = %q", names, w, c.Files)
		}
		for _, n := range c.Files {
			if !slices.Contains(names, n) || path.Ext(n) == ".bin" {
				t.Errorf("Choose(%q, %+v) picks %q", names, w, n)
			}
		}
	})
}

func TestParseRepo(t *testing.T) {
	for in, want := range map[string]Repo{
		"org/name": {"org/name", ""}, "org/name@main": {"org/name", "main"}, "Org_1/na.me-2@refs/pr/1": {"Org_1/na.me-2", "refs/pr/1"},
		"org/name@" + testCommit: {"org/name", testCommit},
	} {
		if got, err := ParseRepo(in); err != nil || got != want || got.String() != in {
			t.Errorf("ParseRepo(%q) = %+v (%s), %v, want %+v", in, got, got, err, want)
		}
	}
	for _, in := range []string{
		"", "name", "org/", "/name", "org/name/more", "../name", "org/..", "org/na--me", "org/na..me", "org/name.git", "-org/name", ".org/name", "org/na me", `org\name`,
		"org/name@", "org/name@..", "org/name@a/../../b", "org/name@/etc", "org/name@-x", "org/name@a b ", "org/name@a\x00", `org/name@a\b`, "org/name@C:x", "org/name@" + strings.Repeat("a", 300),
	} {
		if got, err := ParseRepo(in); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("ParseRepo(%q) = %+v, %v, want ErrInvalid", in, got, err)
		}
	}
}

// FuzzParseRepo: what is read stays below the cache's folder.
func FuzzParseRepo(f *testing.F) {
	f.Add("org/name@refs/pr/1")
	f.Add("org/../name@..")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRepo(s)
		if err != nil {
			return
		}
		if strings.ContainsAny(r.folder(), `/\`) || strings.Contains(r.folder(), "..") {
			t.Errorf("ParseRepo(%q) lies in %q", s, r.folder())
		}
		if p := path.Join("refs", r.rev()); !strings.HasPrefix(p, "refs/") {
			t.Errorf("ParseRepo(%q) has its revision in %q", s, p)
		}
		if back, err := ParseRepo(r.String()); err != nil || back != r {
			t.Errorf("ParseRepo(%q) = %+v, again %+v, %v", s, r, back, err)
		}
	})
}

// FuzzListing: whatever a hub answers, what is taken from it can be a file's name and
// digest.
func FuzzListing(f *testing.F) {
	f.Add([]byte(`{"sha":"` + testCommit + `","siblings":[{"rfilename":"config.json","size":3,"blobId":"` + strings.Repeat("a", 40) + `"}]}`))
	f.Add([]byte(`{"sha":"` + testCommit + `","siblings":[{"rfilename":"a/b","lfs":{"oid":"sha256:` + strings.Repeat("b", 64) + `","size":5}}],"cardData":{"license":["mit"]}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parseListing(data)
		if err != nil {
			return
		}
		for _, file := range l.Files {
			if !validPath(file.Name) || strings.Contains(file.Name, "..") && escapes(file.Name) || strings.ContainsAny(file.etag(), `/\.`) || file.Bytes < -1 {
				t.Errorf("parseListing(%q) has %+v", data, file)
			}
		}
		if len(l.Licence) > 120 || strings.ContainsAny(l.Licence+l.ModelType, "\x00\x1b\n") {
			t.Errorf("parseListing(%q) has the licence %q, the type %q", data, l.Licence, l.ModelType)
		}
	})
}

// FuzzCard: a card from anywhere gives one printable line.
func FuzzCard(f *testing.F) {
	f.Add("---\nlicense: mit\n---\n")
	f.Fuzz(func(t *testing.T, card string) {
		if l := cardLicence(card); len(l) > 120 || strings.ContainsAny(l, "\n\x1b") {
			t.Errorf("cardLicence(%q) = %q", card, l)
		}
	})
}
