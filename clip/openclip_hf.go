package clip

import (
	"fmt"
	"io/fs"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// describeHFText says how words reach one of transformers' encoders in open_clip: the
// tower takes the ids alone, and those that are its padding are not seen.
func (m *Model) describeHFText(fsys fs.FS, t openText) error {
	c, err := namedEncoder(fsys, t.HFModel)
	if err != nil {
		return fmt.Errorf("open_clip_config.json: %w", err)
	}
	m.extra = []string{encoderFile(t.HFModel)}
	m.ContextLength = min(m.ContextLength, c.most())
	m.Tokenizer.Pad, m.Tokenizer.PadTo = *c.Pad, 0
	if m.Tokenizer.Dir != "" && t.TokenizerKwargs.Clean == "" {
		m.Tokenizer.Clean = "open_clip" // repaired, and its white space made one
	}
	return nil
}

// hfPools are open_clip's poolers, where the name is not null. max_pooler is none of
// them: it ends with an error in PyTorch.
var hfPools = map[string]string{"mean_pooler": "mean", "cls_pooler": "pooler", "cls_last_hidden_state_pooler": "first"}

// openHFText is open_clip's HFTextEncoder: one of transformers' encoders with a
// projection, which is a linear layer, an MLP, or nothing.
func openHFText(fsys fs.FS, t openText) (func(*params) *onnx.Value, error) {
	c, err := namedEncoder(fsys, t.HFModel)
	if err != nil {
		return nil, fmt.Errorf("open_clip_config.json: %w", err)
	}
	pool := encoderTypes[c.ModelType].pool
	if t.HFPooler != nil {
		pool = hfPools[*t.HFPooler]
	}
	if pool == "" {
		return nil, fmt.Errorf("open_clip_config.json: hf_pooler_type %s of %s is not built here: %w", orNull(t.HFPooler), t.HFModel, clipsearch.ErrInvalid)
	}
	if pool == "pooler" && (c.ModelType == "m2m_100" || c.ModelType == "distilbert") {
		pool = "first" // they have no layer there
	}
	return func(p *params) *onnx.Value {
		x := c.encoder("text.transformer.").features(p, pool)
		switch {
		case p.has("text.proj.weight"):
			return p.linearExact(x, "text.proj")
		case p.has("text.proj.0.weight"):
			return p.linearExact(p.g.Gelu(p.linearExact(x, "text.proj.0")), "text.proj.2")
		}
		return x
	}, nil
}

func orNull(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}
