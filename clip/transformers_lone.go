package clip

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/clipsearch/clipsearch/onnx"
)

// A directory of one tower, as transformers saves CLIPVisionModel and its like, and
// as CLIPfa has them: the half of a model whose other half lies elsewhere.

// readLone reads a config.json that is one tower's. It reports false where that is a
// text encoder which cannot be a CLIP's: of those, only one that was saved as it is,
// with what it puts behind its class token, is such a tower.
func readLone(fsys fs.FS, side Side) (text, vision hfTower, ok bool, err error) {
	var c struct {
		hfTower
		Architectures []string `json:"architectures"`
	}
	if err = readJSON(fsys, "config.json", &c); err != nil {
		return text, vision, false, err
	}
	if side == ImageSide {
		return text, c.hfTower, true, nil
	}
	if _, encoder := encoderTypes[c.ModelType]; encoder {
		_, err := fs.Stat(fsys, "modules.json") // sentence-transformers says there what it makes of the tokens
		plain := slices.Contains([]string{"BertModel", "RobertaModel", "XLMRobertaModel"}, firstOf(c.Architectures))
		return c.hfTower, vision, plain && errors.Is(err, fs.ErrNotExist), nil
	}
	return c.hfTower, vision, true, nil
}

func firstOf(list []string) string {
	if len(list) != 1 {
		return ""
	}
	return list[0]
}

// baseOf is what the names of a lone tower's tensors begin with, of which tensor is
// one: until transformers 4, or where a projection follows, base.
func (p *params) baseOf(base, tensor string) string {
	if p.has(base + tensor) {
		return base
	}
	return ""
}

// hfCLIPVisionAlone is transformers' CLIPVisionModel, or CLIPVisionModelWithProjection.
func hfCLIPVisionAlone(c hfConfig, b *builder) {
	b.image = func(p *params) *onnx.Value {
		t := hfCLIPVisionAt(p, p.baseOf("vision_model.", "post_layernorm.weight"), c.Vision)
		if !p.has("visual_projection.weight") {
			t.project = nil
		}
		return t.build(p)
	}
}

// hfCLIPTextAlone is transformers' CLIPTextModel, or CLIPTextModelWithProjection.
func hfCLIPTextAlone(c hfConfig, b *builder) {
	b.text = func(p *params) *onnx.Value {
		t := hfCLIPText(p.baseOf("text_model.", "final_layer_norm.weight"), c.Text, true)
		if !p.has("text_projection.weight") {
			t.project = nil
		}
		return t.build(p)
	}
}

// hfSigLIPVisionAlone is transformers' SiglipVisionModel.
func hfSigLIPVisionAlone(c hfConfig, b *builder) {
	b.image = func(p *params) *onnx.Value {
		return hfSigLIPVision(p.baseOf("vision_model.", "post_layernorm.weight"), c.Vision).build(p)
	}
}

// hfSigLIPTextAlone is transformers' SiglipTextModel.
func hfSigLIPTextAlone(c hfConfig, b *builder) {
	b.text = func(p *params) *onnx.Value {
		return hfSigLIPText(p.baseOf("text_model.", "final_layer_norm.weight"), c.Text).build(p)
	}
}

// hfEncoderAlone is transformers' BertModel or RobertaModel with its pooler, as
// CLIPfa's text tower is one.
func hfEncoderAlone(c hfConfig, b *builder) {
	b.text = func(p *params) *onnx.Value {
		e, err := encoderConfig{hfTower: c.Text}.complete()
		if err != nil {
			p.g.Fail(err)
		}
		t := e.encoder("")
		t.maskIn = true
		return t.features(p, "pooler")
	}
}

// encoderTokens says how words reach one of transformers' encoders.
func encoderTokens(c hfConfig, m *Model) error {
	e, err := encoderConfig{hfTower: c.Text}.complete()
	if err != nil {
		return fmt.Errorf("config.json: %w", err)
	}
	return m.setMasked(e.hfTower, e.most(), e.most())
}
