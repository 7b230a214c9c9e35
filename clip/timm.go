package clip

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/onnx"
)

// timmTower is one of timm's networks behind open_clip's TimmModel, by the kind of
// its tensors.
func timmTower(v openVision, size int) (func(*params) *onnx.Value, error) {
	for _, e := range evas {
		if strings.HasPrefix(v.TimmModel, e.name) {
			return func(p *params) *onnx.Value { return timmHead(p, e.build(p, v, size)) }, nil
		}
	}
	for _, kind := range timmKinds {
		if strings.HasPrefix(v.TimmModel, kind.name) && !contains(v.TimmModel, timmOthers...) {
			return func(p *params) *onnx.Value { return timmHead(p, kind.build(p, v, size)) }, nil
		}
	}
	return nil, fmt.Errorf("open_clip_config.json: the image tower %.100q of timm is not built here: %w", v.TimmModel, clipsearch.ErrInvalid)
}

// timmKinds are told by how their names begin: the tensors of some networks are
// called like those of others that compute something else.
var timmKinds = []struct {
	name  string
	build func(p *params, v openVision, size int) *onnx.Value
}{
	{"vit_", timmViT},
	{"convnext_", timmConvNeXt},
	{"fastvit_", timmFastViT},
}

// timmOthers are in the names of networks that are of another kind than they begin:
// their attention knows positions, or their norms are others or elsewhere.
var timmOthers = []string{"vit_pe_", "relpos_", "_rope_", "dinov3", "_rpn_", "_xp_", "_rms"}

// timmHead is what TimmModel puts behind its trunk: a linear layer, an MLP, or
// nothing.
func timmHead(p *params, x *onnx.Value) *onnx.Value {
	switch {
	case p.has("visual.head.proj.weight"):
		return p.linearExact(x, "visual.head.proj")
	case p.has("visual.head.mlp.fc1.weight"):
		return p.linearExact(p.g.Gelu(p.linearExact(x, "visual.head.mlp.fc1")), "visual.head.mlp.fc2")
	}
	return x
}

// meanPooled ends the build if a convolutional network is to be pooled in another
// way than by the mean over all places: no tensor tells. With an empty pool a
// network keeps its own, the mean, if a projection follows, and else has none.
func (p *params) meanPooled(v openVision) {
	projected := p.has("visual.head.proj.weight") || p.has("visual.head.mlp.fc1.weight")
	if pool := v.TimmPool; pool != nil && *pool != "avg" && (*pool != "" || !projected) {
		p.g.Fail(fmt.Errorf("open_clip_config.json: timm_pool %q of %s is not built here: %w", *pool, v.TimmModel, clipsearch.ErrInvalid))
	}
}

// timmViT is timm's VisionTransformer: SigLIP's towers, MobileCLIP's largest and
// others.
func timmViT(p *params, v openVision, size int) *onnx.Value {
	t := timmTransformer(p, v, size)
	t.stack = timmStack(v.TimmModel)
	t.heads = timmHeads(v.TimmModel, p.dim("visual.trunk.blocks.0.norm1.weight", 1, 0))
	return t.build(p)
}

// timmTransformer is what timm's vision transformers have around their blocks.
func timmTransformer(p *params, v openVision, size int) vit {
	const base = "visual.trunk."
	t := vit{
		size: size, patch: base + "patch_embed.proj", positions: base + "pos_embed", normPost: base + "norm", pool: "avg",
		project: func(p *params, x *onnx.Value) *onnx.Value {
			if p.has(base + "head.weight") {
				return p.linearExact(x, base+"head")
			}
			return x
		},
	}
	if stem := base + "patch_embed.backbone."; p.has(stem + "0.conv.weight") {
		t.stem = func(pixels *onnx.Value) *onnx.Value { return p.timmStem(pixels, stem) }
	}
	if p.has(base + "cls_token") {
		t.class = base + "cls_token"
		if v.TimmPool != nil && *v.TimmPool != "avg" {
			t.pool = "tok"
		}
	}
	if p.has(base + "norm_pre.weight") {
		t.normPre = base + "norm_pre"
	}
	if p.has(base + "fc_norm.weight") {
		t.normPost, t.postAfter, t.pool = base+"fc_norm", true, "avg"
	}
	if p.has(base + "attn_pool.latent") {
		h := base + "attn_pool."
		t.pool = "map"
		t.head = mapNames{probe: h + "latent", q: h + "q", kv: h + "kv", out: h + "proj", norm: h + "norm", fc1: h + "mlp.fc1", fc2: h + "mlp.fc2"}
	}
	return t
}

// timmStack is what only the name says of one of timm's vision transformers.
func timmStack(name string) stack {
	s := stack{activation: "gelu", epsilon: 1e-6, names: timmBlock("visual.trunk")}
	if strings.Contains(name, "_clip_") {
		s.epsilon = 1e-5
	}
	switch {
	case strings.Contains(name, "_quickgelu_"):
		s.activation = "quick_gelu"
	case startsWith(name, "vit_base_patch32_siglip", "vit_large_patch16_siglip_512", "vit_large_patch16_siglip_gap_512", "vit_so400m_patch16_siglip", "vit_giantopt_patch16_siglip"): // SigLIP 2's own
		s.activation = "gelu_pytorch_tanh"
	}
	return s
}

func contains(s string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(s, p) })
}

func startsWith(s string, beginnings ...string) bool {
	return slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(s, b) })
}

// timmHeads is how many heads timm's networks of a width have: neither a tensor nor
// open_clip's configuration tells. They are 64 wide, but for the largest, which have
// 16, and one of the small.
func timmHeads(name string, d int) int {
	if startsWith(name, "vit_so400m_", "vit_huge_", "vit_giant_", "vit_giantopt_", "vit_gigantic_", "vit_base_patch16_gap_") {
		return 16
	}
	return max(1, d/64)
}

// timmStem is the convolutions that make MobileCLIP-B's patches (Xiao et al. 2021,
// Early Convolutions Help Transformers See Better). Their windows tile the picture;
// all but the last are normalized and activated.
func (p *params) timmStem(x *onnx.Value, name string) *onnx.Value {
	n := p.count(func(i int) string { return fmt.Sprint(name, i, ".conv.weight") })
	for i := range n {
		conv := fmt.Sprint(name, i)
		side := p.dim(conv+".conv.weight", 4, 2)
		if i == n-1 {
			return p.plainConv(x, conv+".conv", side)
		}
		x = p.g.Gelu(p.conv(x, p.normedConv(conv), side))
	}
	return x
}
