package clip

import (
	"cmp"
	"fmt"
	"io/fs"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// mclipConfig is the config.json of Multilingual-CLIP (Carlsson et al. 2022). In the
// wild the encoder goes by its name alone.
type mclipConfig struct {
	ModelType string         `json:"model_type"`
	License   string         `json:"license"`
	Base      string         `json:"modelBase"`
	Encoder   *encoderConfig `json:"transformer_config"`
}

// readMCLIP reports false where config.json is another model's.
func readMCLIP(fsys fs.FS) (c mclipConfig, e encoderConfig, ok bool, err error) {
	if err = readJSON(fsys, "config.json", &c); err != nil || c.ModelType != "M-CLIP" {
		return c, e, false, err
	}
	if c.Encoder != nil {
		e = *c.Encoder
		e.ModelType = cmp.Or(e.ModelType, c.Base)
		e, err = e.complete()
	} else {
		e, err = namedEncoder(fsys, cmp.Or(c.Base, "xlm-roberta-large"))
	}
	if err != nil {
		err = fmt.Errorf("config.json: %w", err)
	}
	return c, e, true, err
}

func describeMCLIP(fsys fs.FS, m *Model) (bool, error) {
	c, e, ok, err := readMCLIP(fsys)
	if !ok || err != nil {
		return false, err
	}
	m.Layout, m.Architecture, m.Licence = "multilingual-clip", c.ModelType, c.License
	if c.Encoder == nil && c.Base != "" {
		m.extra = []string{encoderFile(c.Base)}
	}
	return true, m.textOnly(fsys, e, e.most())
}

// mclipBuilder is the mean of a text's tokens and a linear layer.
func mclipBuilder(fsys fs.FS) (builder, error) {
	_, e, ok, err := readMCLIP(fsys)
	if err == nil && !ok {
		err = fmt.Errorf("config.json is no longer Multilingual-CLIP's: %w", clipsearch.ErrInvalid)
	}
	return builder{
		ignored: []string{"transformer.pooler."},
		text: func(p *params) *onnx.Value {
			t := e.encoder("transformer.")
			t.maskIn = true
			return p.linearExact(t.features(p, "mean"), "LinearTransformation")
		},
	}, err
}

// textOnly describes a model that has no image tower. Its words are cut to usual
// tokens, where the tokenizer does not say otherwise.
func (m *Model) textOnly(fsys fs.FS, e encoderConfig, usual int) (err error) {
	m.Text, m.Tokenizer.Clean = m.Weights, "none"
	if err := m.setTokenizer(fsys, config{}); err != nil {
		return err
	}
	m.Tokenizer.Pad, m.Tokenizer.PadTo = *e.Pad, 0
	m.ContextLength, err = textLimit(fsys, usual, e.most())
	return err
}
