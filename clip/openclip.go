package clip

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// openConfig is what matters of open_clip's model_cfg. Keys that are left out have
// the defaults of open_clip's own classes.
type openConfig struct {
	EmbedDim  int          `json:"embed_dim"`
	QuickGelu bool         `json:"quick_gelu"`
	Vision    openVision   `json:"vision_cfg"`
	Text      openText     `json:"text_cfg"`
	Custom    bool         `json:"custom_text"`
	LogitBias *json.Number `json:"init_logit_bias"`
	Decoder   any          `json:"multimodal_cfg"`
}

type openVision struct {
	Layers          json.RawMessage `json:"layers"` // a number, or four of a ResNet
	Width           int             `json:"width"`
	HeadWidth       int             `json:"head_width"`
	ImageSize       json.RawMessage `json:"image_size"`
	Pool            string          `json:"pool_type"`
	AttentionalPool any             `json:"attentional_pool"`
	NoNormPre       bool            `json:"no_ln_pre"`
	NormAfterPool   bool            `json:"final_ln_after_pool"`
	Act             actConfig       `json:"act_kwargs"`
	Norm            normConfig      `json:"norm_kwargs"`
	TimmModel       string          `json:"timm_model_name"`
	TimmPool        *string         `json:"timm_pool"`
	TimmProj        *string         `json:"timm_proj"`
}

type openText struct {
	Context         int             `json:"context_length"`
	Width           int             `json:"width"`
	Heads           int             `json:"heads"`
	NotCausal       bool            `json:"no_causal_mask"`
	PadMask         bool            `json:"use_pad_mask"`
	EmbedClass      bool            `json:"embed_cls"`
	Pool            string          `json:"pool_type"`
	EOS             *int64          `json:"eos_id"`
	Act             actConfig       `json:"act_kwargs"`
	Norm            normConfig      `json:"norm_kwargs"`
	HFModel         string          `json:"hf_model_name"`
	HFTokenizer     string          `json:"hf_tokenizer_name"`
	HFPooler        *string         `json:"hf_pooler_type"`
	TokenizerKwargs tokenizerKwargs `json:"tokenizer_kwargs"`
}

type tokenizerKwargs struct {
	Clean string `json:"clean"`
}

type actConfig struct {
	Approximate string `json:"approximate"`
}

type normConfig struct {
	Epsilon float64 `json:"eps"`
}

func readOpenConfig(fsys fs.FS) (openConfig, error) {
	var file struct {
		Model openConfig `json:"model_cfg"`
	}
	file.Model.Text.HFPooler = new("mean_pooler") // null is something else
	err := readJSON(fsys, "open_clip_config.json", &file)
	return file.Model, err
}

func describeOpenCLIP(fsys fs.FS, m *Model) (bool, error) {
	c, err := readOpenConfig(fsys)
	if err != nil {
		return false, err
	}
	m.Layout, m.Image, m.Text = "open_clip", m.Weights, m.Weights
	m.Architecture = cmp.Or(c.Vision.TimmModel, "clip")
	m.ContextLength = cmp.Or(c.Text.Context, 77)
	words, err := readConfig(fsys, "open_clip_config.json")
	if err != nil {
		return false, err
	}
	size, err := c.Vision.size()
	if err != nil {
		return false, err
	}
	if err := m.prepare(fsys, "open_clip_config.json", "round", size); err != nil {
		return false, err
	}
	if err := m.setTokenizer(fsys, words); err != nil {
		return false, err
	}
	switch {
	case c.Text.HFModel != "":
		return true, m.describeHFText(fsys, c.Text)
	case c.Text.NotCausal || c.Text.Pool == "last":
		m.Tokenizer.PadTo = m.ContextLength
	default:
		m.Tokenizer.PadTo = 0 // a causal tower does not see what fills up
	}
	return true, nil
}

// size is that of a picture.
func (v openVision) size() (int, error) {
	s, err := readSides(v.ImageSize)
	return cmp.Or(s.edge, 224), err
}

func openCLIPBuilder(fsys fs.FS) (builder, error) {
	c, err := readOpenConfig(fsys)
	if err != nil {
		return builder{}, err
	}
	if c.Decoder != nil {
		return builder{}, fmt.Errorf("open_clip_config.json: CoCa, which has a multimodal_cfg, is not built here: %w", clipsearch.ErrInvalid)
	}
	b := builder{ignored: []string{"logit_scale", "logit_bias", "attn_mask", "text.attn_mask"}}
	size, err := c.Vision.size()
	if err != nil {
		return b, err
	}
	switch {
	case c.Vision.TimmModel != "":
		b.image, err = timmTower(c.Vision, size)
	case len(c.Vision.Layers) > 0 && c.Vision.Layers[0] == '[':
		b.image = openResNet(c, size)
	default:
		b.image, err = openViT(c, size)
	}
	if err != nil {
		return b, err
	}
	if c.Text.HFModel != "" {
		b.ignored = append(b.ignored, "text.transformer.pooler.", "text.transformer.embed_positions.") // the second are waves, made here
		b.text, err = openHFText(fsys, c.Text)
	} else {
		b.text, err = openTextTower(c)
	}
	return b, err
}

// openViT is open_clip's VisionTransformer.
func openViT(c openConfig, size int) (func(*params) *onnx.Value, error) {
	v := c.Vision
	if pool, _ := v.AttentionalPool.(bool); pool || v.AttentionalPool != nil && v.AttentionalPool != false {
		return nil, fmt.Errorf("open_clip_config.json: attentional_pool (CoCa) is not built here: %w", clipsearch.ErrInvalid)
	}
	const base = "visual."
	return func(p *params) *onnx.Value {
		t := vit{
			size: size, patch: base + "conv1", class: base + "class_embedding", positions: base + "positional_embedding",
			normPost: base + "ln_post", pool: cmp.Or(v.Pool, "tok"), postAfter: v.NormAfterPool,
			stack: stack{activation: v.Act.name(c.QuickGelu), epsilon: cmp.Or(v.Norm.Epsilon, 1e-5), names: openBlock(base + "transformer")},
			project: func(p *params, x *onnx.Value) *onnx.Value {
				if !p.has(base + "proj") {
					return x
				}
				return p.project(x, base+"proj")
			},
		}
		if !v.NoNormPre {
			t.normPre = base + "ln_pre"
		}
		t.heads = p.dim(base+"conv1.weight", 4, 0) / max(1, cmp.Or(v.HeadWidth, 64))
		return t.build(p)
	}, nil
}

func (a actConfig) name(quick bool) string {
	switch {
	case quick:
		return "quick_gelu"
	case a.Approximate == "tanh":
		return "gelu_pytorch_tanh"
	}
	return "gelu"
}

// openTextTower is open_clip's TextTransformer: at the top of the checkpoint, or
// under "text." in the models with custom_text.
func openTextTower(c openConfig) (func(*params) *onnx.Value, error) {
	t := c.Text
	switch {
	case t.EmbedClass:
		return nil, fmt.Errorf("open_clip_config.json: embed_cls (CoCa) is not built here: %w", clipsearch.ErrInvalid)
	case t.PadMask && t.NotCausal:
		return nil, fmt.Errorf("open_clip_config.json: use_pad_mask is not built here: %w", clipsearch.ErrInvalid)
	}
	eos := int64(2)
	if t.EOS != nil {
		eos = *t.EOS
	}
	return func(p *params) *onnx.Value {
		base := ""
		if p.has("text.token_embedding.weight") {
			base = "text."
		}
		return textTransformer{
			tokens: base + "token_embedding.weight", positions: base + "positional_embedding", normFinal: base + "ln_final",
			pool: cmp.Or(t.Pool, "argmax"), eos: eos,
			stack: stack{
				heads: cmp.Or(t.Heads, 8), activation: t.Act.name(c.QuickGelu), epsilon: cmp.Or(t.Norm.Epsilon, 1e-5),
				causal: !t.NotCausal, names: openBlock(base + "transformer"),
			},
			project: func(p *params, x *onnx.Value) *onnx.Value {
				switch name := base + "text_projection"; {
				case p.has(name):
					return p.project(x, name)
				case p.has(name + ".weight"):
					return p.linearExact(x, name)
				}
				return x
			},
		}.build(p)
	}, nil
}
