package clip

import (
	"cmp"
	"fmt"

	"github.com/clipsearch/clipsearch/onnx"
)

// eva is one of timm's networks of the class Eva: EVA-CLIP (Sun et al. 2023), EVA-02's
// and the Perception Encoder (Bolya et al. 2025). What no tensor tells:
type eva struct {
	name    string // its beginning
	heads   int    // 0: they are 64 wide
	epsilon float64
	places  *rotary
	pool    int  // heads of the pooling
	added   bool // norms are of what a block adds
}

var evas = []eva{
	{name: "vit_pe_core_tiny_patch16_384", epsilon: 1e-5, places: &rotary{24, 1, true}, pool: 8},
	{name: "vit_pe_core_small_patch16_384", epsilon: 1e-5, places: &rotary{24, 1, true}, pool: 8},
	{name: "vit_pe_core_base_patch16_224", epsilon: 1e-5, places: &rotary{14, 1, true}, pool: 8},
	{name: "vit_pe_core_large_patch14_336", epsilon: 1e-5, places: &rotary{24, 1, true}, pool: 8},
	{name: "vit_pe_core_gigantic_patch14_448", heads: 16, epsilon: 1e-5, places: &rotary{32, 0, true}, pool: 8},
	{name: "eva_giant_patch14_", heads: 16, epsilon: 1e-6},
	{name: "eva02_base_patch16_clip_", epsilon: 1e-6, places: &rotary{16, 0, false}},
	{name: "eva02_large_patch14_clip_", epsilon: 1e-6, places: &rotary{16, 0, false}},
	{name: "eva02_enormous_patch14_clip_", heads: 16, epsilon: 1e-6, added: true},
}

func (e eva) build(p *params, v openVision, size int) *onnx.Value {
	const base = "visual.trunk."
	t := timmTransformer(p, v, size)
	t.stack = stack{
		heads: cmp.Or(e.heads, max(1, p.dim(base+"blocks.0.norm1.weight", 1, 0)/64)), activation: "gelu", epsilon: e.epsilon, added: e.added,
		names: evaBlock(p, base),
	}
	t.places, t.head.heads = e.places, e.pool
	return t.build(p)
}

// evaBlock names a block as timm's Eva does: what it consists of, its tensors tell.
func evaBlock(p *params, base string) func(int) blockNames {
	return func(i int) blockNames {
		b := fmt.Sprintf("%sblocks.%d.", base, i)
		n := blockNames{norm1: b + "norm1", out: b + "attn.proj", norm2: b + "norm2", fc1: b + "mlp.fc1", fc2: b + "mlp.fc2"}
		if p.has(b + "attn.qkv.weight") {
			n.qkvWeight, n.qkvBias = b+"attn.qkv.weight", b+"attn.qkv.bias"
			if p.has(b + "attn.q_bias") {
				n.qkvBias, n.qBias, n.vBias = "", b+"attn.q_bias", b+"attn.v_bias"
			}
		} else {
			n.q, n.k, n.v = b+"attn.q_proj", b+"attn.k_proj", b+"attn.v_proj"
		}
		if p.has(b + "attn.norm.weight") {
			n.normOut = b + "attn.norm"
		}
		if p.has(b + "mlp.fc1_g.weight") {
			n.gate, n.fc1 = b+"mlp.fc1_g", b+"mlp.fc1_x"
		}
		if p.has(b + "mlp.norm.weight") {
			n.normFC2 = b + "mlp.norm"
		}
		return n
	}
}
