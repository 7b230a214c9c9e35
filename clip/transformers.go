package clip

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// hfTower is what matters of a tower's part of a transformers config.json. Files
// leave out what has the default of the model's type: see hfDefaults.
type hfTower struct {
	Heads      int             `json:"num_attention_heads"`
	Act        string          `json:"hidden_act"`
	Epsilon    float64         `json:"layer_norm_eps"`
	ImageSize  int             `json:"image_size"`
	Positions  int             `json:"max_position_embeddings"`
	EOS        json.RawMessage `json:"eos_token_id"` // a number, a list of them, or null
	Pad        *int64          `json:"pad_token_id"`
	ModelType  string          `json:"model_type"`
	PosType    string          `json:"position_embedding_type"`
	VisionHead *bool           `json:"vision_use_head"`
}

type hfConfig struct {
	ModelType string  `json:"model_type"`
	License   string  `json:"license"`
	Text      hfTower `json:"text_config"`
	Vision    hfTower `json:"vision_config"`
	// What configurations of before 2023 have: where these are there, they and the
	// defaults stand for all of the above.
	TextOnly   *hfTower `json:"text_config_dict"`
	VisionOnly *hfTower `json:"vision_config_dict"`
}

// hfFamily is a model type of transformers.
type hfFamily struct {
	text, vision hfTower // the defaults of its configuration classes
	lone         Side    // the tower whose own configuration config.json is; "": it has those of two
	clean        string  // what its tokenizer does to words before tokenizer.json's rules
	towers       func(c hfConfig, b *builder)
	// tokens sets how its ids are filled up, after the tokenizer was found.
	tokens func(c hfConfig, m *Model) error
}

// The defaults of CLIP's towers, and of those that transformers derived from them,
// and of SigLIP's.
var (
	clipText     = hfTower{Heads: 8, Act: "quick_gelu", Epsilon: 1e-5, Positions: 77, EOS: json.RawMessage("49407")}
	clipVision   = hfTower{Heads: 12, Act: "quick_gelu", Epsilon: 1e-5, ImageSize: 224}
	siglipText   = hfTower{Heads: 12, Act: "gelu_pytorch_tanh", Epsilon: 1e-6, Positions: 64}
	siglipVision = hfTower{Heads: 12, Act: "gelu_pytorch_tanh", Epsilon: 1e-6, ImageSize: 224}
)

func clipTokens(_ hfConfig, m *Model) error {
	m.Tokenizer.Pad, m.Tokenizer.PadTo = 0, 0 // causal: what fills up is not seen
	return nil
}

func siglipTokens(_ hfConfig, m *Model) error {
	m.Tokenizer.PadTo = m.ContextLength
	if m.kind == "unigram" { // the first SigLIP; the second reads punctuation
		m.Tokenizer.Clean = "canonicalize"
	}
	return nil
}

// hfFamilies are the model types that are built here.
var hfFamilies = map[string]hfFamily{
	"clip": {
		text: clipText, vision: clipVision,
		clean: "open_clip", towers: hfCLIP, tokens: clipTokens,
	},
	stemmedType: { // CLIP with a stem: see Architecture
		text: clipText, vision: clipVision,
		clean: "open_clip", towers: hfCLIP, tokens: clipTokens,
	},
	"clip_vision_model": {vision: clipVision, lone: ImageSide, towers: hfCLIPVisionAlone},
	"clip_text_model":   {text: clipText, lone: TextSide, clean: "open_clip", towers: hfCLIPTextAlone, tokens: clipTokens},
	"metaclip_2": { // CLIP with other words; an end token 2 is one
		text: clipText, vision: clipVision,
		clean: "none", towers: hfCLIP,
		tokens: func(_ hfConfig, m *Model) error {
			m.Tokenizer.PadTo = 0
			return nil
		},
	},
	"siglip": {
		text: siglipText, vision: siglipVision,
		clean: "canonicalize", towers: hfSigLIP, tokens: siglipTokens,
	},
	"siglip_vision_model": {vision: siglipVision, lone: ImageSide, towers: hfSigLIPVisionAlone},
	"siglip_text_model":   {text: siglipText, lone: TextSide, clean: "canonicalize", towers: hfSigLIPTextAlone, tokens: siglipTokens},
	"bert":                {lone: TextSide, clean: "none", towers: hfEncoderAlone, tokens: encoderTokens},
	"roberta":             {lone: TextSide, clean: "none", towers: hfEncoderAlone, tokens: encoderTokens},
	"xlm-roberta":         {lone: TextSide, clean: "none", towers: hfEncoderAlone, tokens: encoderTokens},
	"chinese_clip": {
		text:   hfTower{Heads: 12, Act: "gelu", Epsilon: 1e-12, Positions: 512, Pad: new(int64(0))},
		vision: clipVision,
		clean:  "none", towers: hfChineseCLIP,
		tokens: func(c hfConfig, m *Model) error { return m.setMasked(c.Text, 52, c.Text.Positions) },
	},
	"altclip": {
		text:   hfTower{Heads: 16, Act: "gelu", Epsilon: 1e-5, Positions: 514, Pad: new(int64(1))},
		vision: clipVision,
		clean:  "none", towers: hfAltCLIP,
		tokens: func(c hfConfig, m *Model) error { return m.setMasked(c.Text, 77, c.Text.Positions-int(*c.Text.Pad)-1) },
	},
	"vision-text-dual-encoder": { // any two encoders: their own types say what they are
		vision: hfTower{ImageSize: 224},
		clean:  "none", towers: hfDual,
		tokens: encoderTokens,
	},
}

func (t hfTower) or(d hfTower) hfTower {
	t.Heads, t.Act, t.Epsilon = cmp.Or(t.Heads, d.Heads), cmp.Or(t.Act, d.Act), cmp.Or(t.Epsilon, d.Epsilon)
	t.ImageSize, t.Positions = cmp.Or(t.ImageSize, d.ImageSize), cmp.Or(t.Positions, d.Positions)
	if len(t.EOS) == 0 {
		t.EOS = d.EOS
	}
	if t.Pad == nil {
		t.Pad = d.Pad
	}
	return t
}

// readHF reads config.json; it reports false where its model type is none of ours.
func readHF(fsys fs.FS) (hfConfig, hfFamily, bool, error) {
	var c hfConfig
	if err := readJSON(fsys, "config.json", &c); err != nil {
		return c, hfFamily{}, false, err
	}
	f, ok := hfFamilies[c.ModelType]
	if f.lone != "" {
		var err error
		if c.Text, c.Vision, ok, err = readLone(fsys, f.lone); err != nil {
			return c, f, false, err
		}
	}
	if c.TextOnly != nil {
		c.Text = *c.TextOnly
	}
	if c.VisionOnly != nil {
		c.Vision = *c.VisionOnly
	}
	c.Text, c.Vision = c.Text.or(f.text), c.Vision.or(f.vision)
	return c, f, ok, nil
}

func describeTransformers(fsys fs.FS, m *Model) (bool, error) {
	c, f, ok, err := readHF(fsys)
	if !ok || err != nil {
		return false, err
	}
	if kind := c.Text.ModelType; c.ModelType == "clip" && kind != "" && kind != "clip_text_model" { // rinna's Japanese CLIP has BERT there
		return false, fmt.Errorf("config.json: a text tower of the type %.100q in a model of the type clip is not built here: %w", kind, clipsearch.ErrInvalid)
	}
	m.Layout, m.Architecture, m.Licence = "transformers", c.ModelType, c.License
	if c.Vision.ImageSize > 0 {
		m.Image = m.Weights
		if err := m.prepare(fsys, "preprocessor_config.json", "floor", c.Vision.ImageSize); err != nil {
			return false, err
		}
	}
	if f.lone == ImageSide {
		m.ContextLength, m.Tokenizer = 0, Words{}
		return true, nil
	}
	m.Text, m.ContextLength, m.Tokenizer.Clean = m.Weights, c.Text.Positions, f.clean
	words, err := readConfig(fsys, "config.json")
	if err != nil {
		return false, err
	}
	if err := m.setTokenizer(fsys, words); err != nil {
		return false, err
	}
	return true, f.tokens(c, m)
}

func transformersBuilder(fsys fs.FS) (builder, error) {
	c, f, ok, err := readHF(fsys)
	if err == nil && !ok {
		err = fmt.Errorf("config.json: model type %q is not known here", c.ModelType)
	}
	if err != nil {
		return builder{}, err
	}
	b := builder{ignored: []string{"logit_scale", "logit_bias"}}
	f.towers(c, &b)
	return b, nil
}

// hfCLIP is transformers' CLIPModel.
func hfCLIP(c hfConfig, b *builder) {
	b.image = hfCLIPVision(c)
	b.text = func(p *params) *onnx.Value { return hfCLIPText("text_model.", c.Text, c.ModelType == "clip").build(p) }
}

// hfCLIPText is the text tower of transformers' CLIPModel; clip says that an end token
// of 2 is CLIP's mistake, and none of its words.
func hfCLIPText(base string, c hfTower, clip bool) textTransformer {
	t := textTransformer{
		tokens: base + "embeddings.token_embedding.weight", positions: base + "embeddings.position_embedding.weight",
		normFinal: base + "final_layer_norm",
		stack:     stack{heads: c.Heads, activation: c.Act, epsilon: c.Epsilon, causal: true, names: hfBlock(base + "encoder")},
		project:   func(p *params, x *onnx.Value) *onnx.Value { return p.linearExact(x, "text_projection") },
	}
	t.pool, t.eos = c.ending(clip)
	return t
}

// hfCLIPVision is the image tower of transformers' CLIPModel, and of what was
// derived from it.
func hfCLIPVision(c hfConfig) func(*params) *onnx.Value {
	return func(p *params) *onnx.Value { return hfCLIPVisionAt(p, "vision_model.", c.Vision).build(p) }
}

func hfCLIPVisionAt(p *params, base string, c hfTower) vit {
	names := hfBlock(base + "encoder")
	if p.has(base + "encoder.layer.0.layer_norm1.weight") { // as transformers 5 saves AltCLIP
		names = hfBlockIn(base + "encoder.layer")
	}
	t := vit{
		size: c.ImageSize, patch: base + "embeddings.patch_embedding", class: base + "embeddings.class_embedding",
		positions: base + "embeddings.position_embedding.weight", normPre: base + "pre_layrnorm", normPost: base + "post_layernorm", pool: "tok",
		stack:   stack{heads: c.Heads, activation: c.Act, epsilon: c.Epsilon, names: names},
		project: func(p *params, x *onnx.Value) *onnx.Value { return p.linearExact(x, "visual_projection") },
	}
	if stem := base + "embeddings.stem."; p.has(stem + "0.weight") {
		t.stem = func(pixels *onnx.Value) *onnx.Value { return p.stem(pixels, stem) }
	}
	return t
}

// stem is the convolutions of [Architecture].Stem: all but the last halve the picture.
func (p *params) stem(x *onnx.Value, name string) *onnx.Value {
	n := p.count(func(i int) string { return fmt.Sprint(name, i, ".weight") })
	for i := range n - 1 {
		x = p.g.Relu(p.plainConv(x, fmt.Sprint(name, i), 2))
	}
	return p.plainConv(x, fmt.Sprint(name, n-1), 1)
}

// ending says which row of a text is its feature. Configurations of before
// June 2023 say that the end token is 2, which it is not in CLIP; with them the
// largest id is meant (huggingface/transformers#24773).
func (t hfTower) ending(clip bool) (pool string, eos int64) {
	var list []int64
	if json.Unmarshal(t.EOS, &eos) != nil && json.Unmarshal(t.EOS, &list) == nil && len(list) > 0 {
		eos = list[0]
	}
	if clip && (eos == 2 || eos == 0) {
		return "argmax", 0
	}
	return "eos", eos
}

// hfSigLIP is transformers' SiglipModel (Zhai et al. 2023), and SigLIP 2 at a fixed
// resolution, which is one.
func hfSigLIP(c hfConfig, b *builder) {
	b.image = func(p *params) *onnx.Value { return hfSigLIPVision("vision_model.", c.Vision).build(p) }
	b.text = func(p *params) *onnx.Value { return hfSigLIPText("text_model.", c.Text).build(p) }
}

func hfSigLIPVision(base string, c hfTower) vit {
	head := base + "head."
	return vit{
		size: c.ImageSize, patch: base + "embeddings.patch_embedding", positions: base + "embeddings.position_embedding.weight",
		normPost: base + "post_layernorm", pool: "map",
		stack: stack{heads: c.Heads, activation: c.Act, epsilon: c.Epsilon, names: hfBlock(base + "encoder")},
		head: mapNames{
			probe: head + "probe", qkvWeight: head + "attention.in_proj_weight", qkvBias: head + "attention.in_proj_bias",
			out: head + "attention.out_proj", norm: head + "layernorm", fc1: head + "mlp.fc1", fc2: head + "mlp.fc2",
		},
	}
}

func hfSigLIPText(base string, c hfTower) textTransformer {
	return textTransformer{
		tokens: base + "embeddings.token_embedding.weight", positions: base + "embeddings.position_embedding.weight",
		normFinal: base + "final_layer_norm", pool: "last",
		stack:   stack{heads: c.Heads, activation: c.Act, epsilon: c.Epsilon, names: hfBlock(base + "encoder")},
		project: func(p *params, x *onnx.Value) *onnx.Value { return p.linearExact(x, base+"head") },
	}
}
