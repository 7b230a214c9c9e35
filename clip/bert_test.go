package clip

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// Checkpoints of one block each; those of open_clip have an image tower four
// numbers wide.
const (
	chineseSmall = `{"model_type":"chinese_clip","text_config":{"num_attention_heads":2,"max_position_embeddings":6},"vision_config":{"num_attention_heads":2,"image_size":4}}`
	mclipSmall   = `{"model_type":"M-CLIP","transformer_config":{"model_type":"xlm-roberta","num_attention_heads":2,"max_position_embeddings":6,"layer_norm_eps":1e-5,"pad_token_id":1}}`
)

// bertListing is a BERT of the given width, for [checkpoint].
func bertListing(base string, width int) string {
	var b strings.Builder
	w := fmt.Sprint(width)
	layer := func(name, shape, bias string) {
		fmt.Fprintf(&b, "%s.weight F32 [%s]\n%s.bias F32 [%s]\n", name, shape, name, bias)
	}
	n := bertBlock(base)(0)
	for _, name := range []string{n.q, n.k, n.v, n.out} {
		layer(name, w+","+w, w)
	}
	layer(n.fc1, "8,"+w, "8")
	layer(n.fc2, w+",8", w)
	for _, name := range []string{n.norm1, n.norm2, base + "embeddings.LayerNorm"} {
		layer(name, w, w)
	}
	for name, rows := range map[string]int{"word": 5, "position": 6, "token_type": 2} {
		fmt.Fprintf(&b, "%sembeddings.%s_embeddings.weight F32 [%d,%d]\n", base, name, rows, width)
	}
	return b.String()
}

// chineseListing has hfSmall's image tower.
func chineseListing() string {
	var b strings.Builder
	for line := range strings.Lines(smallListing(false)) {
		if !strings.HasPrefix(line, "text_model.") {
			b.WriteString(line)
		}
	}
	return b.String() + bertListing("text_model.", 4)
}

// hfTextListing has openSmall's image tower, and a BERT behind it.
func hfTextListing(width int) string {
	var b strings.Builder
	for line := range strings.Lines(smallListing(true)) {
		if strings.HasPrefix(line, "visual.") {
			b.WriteString(line)
		}
	}
	return b.String() + bertListing("text.transformer.", width) + fmt.Sprintf("text.proj.weight F32 [4,%d]\n", width)
}

func hfTextConfig(text string) string {
	vision, _, _ := strings.Cut(openSmall, `"text_cfg"`)
	return vision + `"text_cfg":` + text + `}}`
}

// What a configuration and the files beside it say of how words are read.
func TestTextTowers(t *testing.T) {
	const labse = `{"model_type":"M-CLIP","modelBase":"setu4993/LaBSE"}`
	sentence := fstest.MapFS{
		"modules.json":              file(`[{"path":"","type":"s.models.Transformer"},{"path":"1_Pooling","type":"s.models.Pooling"},{"path":"2_Dense","type":"s.models.Dense"}]`),
		"config.json":               file(`{"model_type":"bert","num_attention_heads":2,"max_position_embeddings":6}`),
		"sentence_bert_config.json": file(`{"max_seq_length":4}`),
		"1_Pooling/config.json":     file(`{"pooling_mode_cls_token":false,"pooling_mode_mean_tokens":true}`),
		"2_Dense/config.json":       file(`{"activation_function":"torch.nn.modules.linear.Identity"}`),
		"2_Dense/model.safetensors": {Data: checkpoint("linear.weight F32 [3,4]\n")},
		"model.safetensors":         {Data: checkpoint(bertListing("", 4))},
		"onnx/model.onnx":           {Data: []byte("the encoder alone")},
	}
	type read struct {
		Layout         string
		Dim, Context   int
		Pad            int64
		Inputs, Pixels int
	}
	for name, tt := range map[string]struct {
		files fstest.MapFS
		want  read
	}{
		"Chinese-CLIP, no longer than its positions": {
			fstest.MapFS{"config.json": file(chineseSmall), "model.safetensors": {Data: checkpoint(chineseListing())}},
			read{"transformers", 4, 6, 0, 2, 4},
		},
		"two encoders": {
			fstest.MapFS{"config.json": file(`{"model_type":"vision-text-dual-encoder","text_config":{"model_type":"roberta","num_attention_heads":2,"max_position_embeddings":6},"vision_config":{"model_type":"clip_vision_model","num_attention_heads":2,"image_size":4}}`),
				"model.safetensors": {Data: checkpoint(chineseListing() + "text_model.pooler.dense.weight F32 [4,4]\n")}},
			read{"transformers", 4, 4, 1, 2, 4},
		},
		"a tokenizer's own limit": {
			fstest.MapFS{"config.json": file(chineseSmall), "model.safetensors": {Data: checkpoint(chineseListing())}, "tokenizer_config.json": file(`{"model_max_length":5}`)},
			read{"transformers", 4, 5, 0, 2, 4},
		},
		"Multilingual-CLIP, numbered from its padding": {
			fstest.MapFS{"config.json": file(mclipSmall), "model.safetensors": {Data: checkpoint(bertListing("transformer.", 4) + "LinearTransformation.weight F32 [3,4]\n")}},
			read{"multilingual-clip", 3, 4, 1, 2, 0},
		},
		"Multilingual-CLIP by its encoder's name, with a pooler that it does not use": {
			fstest.MapFS{"config.json": file(labse), "model.safetensors": {Data: checkpoint(bertListing("transformer.", 12) + "transformer.pooler.dense.weight F32 [12,12]\nLinearTransformation.weight F32 [3,12]\n")}, "tokenizer_config.json": file(`{"model_max_length":1e30}`)},
			read{"multilingual-clip", 3, 512, 0, 2, 0},
		},
		"Sentence Transformers": {sentence, read{"sentence-transformers", 3, 4, 0, 2, 0}},
		"open_clip by its encoder's name": {
			fstest.MapFS{"open_clip_config.json": file(hfTextConfig(`{"context_length":9,"hf_model_name":"FacebookAI/xlm-roberta-base"}`)), "model.safetensors": {Data: checkpoint(hfTextListing(12))}},
			read{"open_clip", 4, 9, 1, 1, 4},
		},
		"open_clip with its encoder's configuration": {
			fstest.MapFS{"open_clip_config.json": file(hfTextConfig(`{"hf_model_name":"a/b"}`)), "a/b/config.json": file(`{"model_type":"bert","num_attention_heads":2,"max_position_embeddings":6,"pad_token_id":3}`), "model.safetensors": {Data: checkpoint(hfTextListing(4))}},
			read{"open_clip", 4, 6, 3, 1, 4},
		},
	} {
		m, err := ReadModelFS(tt.files, "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		g, err := m.BuildGraph(TextSide)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := read{m.Layout, m.Dim, m.ContextLength, m.Tokenizer.Pad, len(g.Inputs), m.Preprocess.Size}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if in := g.Inputs[0]; in.Name != IDsPort || in.Type != onnx.Int64 || in.Shape[1] != length {
			t.Errorf("%s: ids are %v, not of free length", name, in)
		}
	}
}

// What is not built is refused, and the error says what.
func TestTextTowersRefused(t *testing.T) {
	hfText := func(text string) fstest.MapFS {
		return fstest.MapFS{"open_clip_config.json": file(hfTextConfig(text)), "t5/config.json": file(`{"model_type":"mt5"}`), "model.safetensors": {Data: checkpoint(hfTextListing(12))}}
	}
	sentence := func(pooling, dense string) fstest.MapFS {
		return fstest.MapFS{
			"modules.json": file(`[{"path":"","type":"s.Transformer"},{"path":"1","type":"s.Pooling"},{"path":"2","type":"s.Dense"}]`),
			"config.json":  file(`{"model_type":"bert","num_attention_heads":2}`), "model.safetensors": {Data: checkpoint(bertListing("", 4))},
			"1/config.json": file(pooling), "2/config.json": file(dense),
		}
	}
	for name, tt := range map[string]struct {
		files fstest.MapFS
		says  string
	}{
		"an unknown name":           {hfText(`{"hf_model_name":"some/model"}`), "some/model/config.json"},
		"a name out of the way":     {hfText(`{"hf_model_name":"../../etc"}`), "is not known here"},
		"another architecture":      {hfText(`{"hf_model_name":"t5"}`), `"mt5"`},
		"max_pooler":                {hfText(`{"hf_model_name":"bert-base-uncased","hf_pooler_type":"max_pooler"}`), "max_pooler"},
		"no pooler's tensors":       {hfText(`{"hf_model_name":"bert-base-uncased","hf_pooler_type":"cls_pooler"}`), "text.transformer.pooler.dense.weight"},
		"relative positions":        {fstest.MapFS{"config.json": file(strings.Replace(chineseSmall, `"num_att`, `"position_embedding_type":"relative_key","num_att`, 1)), "model.safetensors": {Data: checkpoint(chineseListing())}}, "relative_key"},
		"an endless table of waves": {fstest.MapFS{"open_clip_config.json": file(hfTextConfig(`{"hf_model_name":"t5"}`)), "t5/config.json": file(`{"model_type":"m2m_100","pad_token_id":1000000}`), "model.safetensors": {Data: checkpoint(hfTextListing(12))}}, "padded with 1000000"},
		"no positions":              {fstest.MapFS{"config.json": file(strings.Replace(mclipSmall, `:6`, `:-6`, 1)), "model.safetensors": {Data: checkpoint(bertListing("transformer.", 4))}}, "-6 positions"},
		"a tensor too many":         {fstest.MapFS{"config.json": file(chineseSmall), "model.safetensors": {Data: checkpoint(chineseListing() + "text_model.extra F32 [1]\n")}}, "text_model.extra"},
		"pooling by the class":      {sentence(`{"pooling_mode_cls_token":true}`, `{}`), "pooling_mode_cls_token"},
		"a layer with tanh":         {sentence(`{"pooling_mode_mean_tokens":true}`, `{"activation_function":"torch.nn.modules.activation.Tanh"}`), "Tanh"},
	} {
		_, err := ReadModelFS(tt.files, "")
		if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v is not ErrInvalid with %s", name, err, tt.says)
		}
	}
}
