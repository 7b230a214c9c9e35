package clip

import (
	"fmt"

	"github.com/clipsearch/clipsearch/onnx"
)

// hfDual is transformers' VisionTextDualEncoderModel, as CLIP-Italian (Bianchi et al.
// 2021) is one: two encoders that were trained apart, what each puts behind its class
// token, and two projections.
func hfDual(c hfConfig, b *builder) {
	b.image = func(p *params) *onnx.Value {
		switch c.Vision.ModelType {
		case "clip", "clip_vision_model":
			base := "vision_model."
			if p.has(base + base + "post_layernorm.weight") { // as it was saved until transformers 4
				base += base
			}
			return hfCLIPVisionAt(p, base, c.Vision.or(clipVision)).build(p)
		case "vit":
			return hfViT(p, "vision_model.", c.Vision.or(hfTower{Heads: 12, Act: "gelu", Epsilon: 1e-12}))
		}
		p.g.Fail(fmt.Errorf("image towers of the model type %q are not built here", c.Vision.ModelType))
		return nil
	}
	b.text = func(p *params) *onnx.Value {
		e, err := encoderConfig{hfTower: c.Text}.complete()
		if err != nil {
			p.g.Fail(err)
		}
		t := e.encoder("text_model.")
		t.maskIn = true
		return p.linearExact(t.features(p, "pooler"), "text_projection")
	}
}

// hfViT is transformers' ViTModel with its pooler.
func hfViT(p *params, base string, c hfTower) *onnx.Value {
	return vit{
		size: c.ImageSize, patch: base + "embeddings.patch_embeddings.projection", class: base + "embeddings.cls_token",
		positions: base + "embeddings.position_embeddings", normPost: base + "layernorm", pool: "tok",
		stack: stack{heads: c.Heads, activation: c.Act, epsilon: c.Epsilon, names: func(i int) blockNames {
			b := fmt.Sprintf("%sencoder.layer.%d.", base, i)
			return blockNames{
				norm1: b + "layernorm_before", q: b + "attention.attention.query", k: b + "attention.attention.key", v: b + "attention.attention.value",
				out: b + "attention.output.dense", norm2: b + "layernorm_after", fc1: b + "intermediate.dense", fc2: b + "output.dense",
			}
		}},
		project: func(p *params, x *onnx.Value) *onnx.Value {
			return p.linearExact(p.g.Tanh(p.linearExact(x, base+"pooler.dense")), "visual_projection")
		},
	}.build(p)
}
