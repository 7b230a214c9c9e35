package clip

import (
	"fmt"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// setMasked says how a tower that takes a mask reads words: they are cut to usual
// tokens, where the tokenizer does not say otherwise, and filled up with what the
// tower calls padding.
func (m *Model) setMasked(t hfTower, usual, most int) (err error) {
	if t.PosType != "" && t.PosType != "absolute" {
		return fmt.Errorf("config.json: position_embedding_type %q is not built here: %w", t.PosType, clipsearch.ErrInvalid)
	}
	if *t.Pad < 0 || most < 1 || most > maxPad {
		return fmt.Errorf("config.json: texts of %d positions, padded with %d: %w", t.Positions, *t.Pad, clipsearch.ErrInvalid)
	}
	m.Tokenizer.Pad, m.Tokenizer.PadTo = *t.Pad, 0
	m.ContextLength, err = textLimit(m.fsys, usual, most)
	return err
}

// hfChineseCLIP is transformers' ChineseCLIPModel (Yang et al. 2022): BERT's class
// token is the text's feature.
func hfChineseCLIP(c hfConfig, b *builder) {
	b.image = hfCLIPVision(c)
	b.ignored = append(b.ignored, "text_model.pooler.")
	b.text = func(p *params) *onnx.Value {
		t := hfEncoder(c.Text, "bert", "text_model.")
		return p.linearExact(t.features(p, "first"), "text_projection")
	}
}

// hfAltCLIP is transformers' AltCLIPModel (Chen et al. 2022): of XLM-R's first
// token, a layer makes what the teacher gave, and CLIP's projection the feature.
func hfAltCLIP(c hfConfig, b *builder) {
	b.image = hfCLIPVision(c)
	b.ignored = append(b.ignored, "text_model.roberta.pooler.")
	b.text = func(p *params) *onnx.Value {
		t := hfEncoder(c.Text, "xlm-roberta", "text_model.roberta.")
		t.final = "text_model.pre_LN"
		return p.linearExact(p.linearExact(t.features(p, "first"), "text_model.transformation"), "text_projection")
	}
}

// hfEncoder is a text tower whose configuration is complete already.
func hfEncoder(c hfTower, kind, base string) textEncoder {
	c.ModelType = kind
	t := encoderConfig{hfTower: c}.encoder(base)
	t.maskIn = true
	return t
}
