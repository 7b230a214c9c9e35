package clip

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/clipsearch/clipsearch"
)

// TestAlone: which directories of one tower are one, and what is said of others.
func TestAlone(t *testing.T) {
	pooled := bertListing("", 4) + "pooler.dense.weight F32 [4,4]\npooler.dense.bias F32 [4]\n"
	image := func(name string, with ...string) string {
		var b strings.Builder
		for line := range strings.Lines(smallListing(false)) {
			if tower, ok := strings.CutPrefix(line, "vision_model."); ok {
				b.WriteString(name + tower)
			}
		}
		return b.String() + strings.Join(with, "")
	}
	const vision = `{"model_type":"clip_vision_model","image_size":4,"num_attention_heads":2}`
	for name, tt := range map[string]struct {
		config, tensors string
		beside          string // a file
		dim             int
		wrong           string
	}{
		"CLIPVisionModel":           {config: vision, tensors: image(""), dim: 4},
		"of transformers 4":         {config: vision, tensors: image("vision_model."), dim: 4},
		"with a projection":         {config: vision, tensors: image("vision_model.", "visual_projection.weight F32 [3,4]\n"), dim: 3},
		"RobertaModel":              {config: `{"model_type":"roberta","architectures":["RobertaModel"],"num_attention_heads":2,"max_position_embeddings":6}`, tensors: pooled, dim: 4},
		"without a pooler":          {config: `{"model_type":"bert","architectures":["BertModel"],"num_attention_heads":2}`, tensors: bertListing("", 4), wrong: "pooler.dense.weight"},
		"a language model":          {config: `{"model_type":"bert","architectures":["BertForMaskedLM"],"num_attention_heads":2}`, tensors: pooled, wrong: "BertForMaskedLM"},
		"of sentence-transformers":  {config: `{"model_type":"bert","architectures":["BertModel"],"num_attention_heads":2}`, tensors: pooled, beside: "modules.json", wrong: "BertModel"},
		"another type":              {config: `{"model_type":"align","architectures":["AlignModel"]}`, tensors: pooled, wrong: `"align"`},
		"patches of any number":     {config: `{"model_type":"siglip2","architectures":["Siglip2Model"]}`, tensors: pooled, wrong: `"siglip2"`},
		"BERT in a CLIP":            {config: `{"model_type":"clip","text_config":{"model_type":"bert"}}`, tensors: pooled, wrong: `"bert"`},
		"neither type nor a config": {config: `{}`, tensors: pooled, wrong: "config.json"},
	} {
		fsys := fstest.MapFS{"config.json": file(tt.config), "model.safetensors": {Data: checkpoint(tt.tensors)}}
		if tt.beside != "" {
			fsys[tt.beside] = file(`[{"idx":0,"path":"","type":"sentence_transformers.models.Transformer"}]`)
		}
		m, err := ReadModelFS(fsys, "")
		switch {
		case tt.wrong != "":
			if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%s: %v is not ErrInvalid that says %s", name, err, tt.wrong)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case m.Dim != tt.dim || (m.Image == "") == (m.Text == ""):
			t.Errorf("%s: %d numbers, image tower %q, text tower %q", name, m.Dim, m.Image, m.Text)
		}
	}
}
