package clip

import (
	"errors"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
)

// TestTimmFacts are read off timm 1.0's registry: what no tensor tells of networks
// that open_clip's configurations name, or that are larger kinds of those.
func TestTimmFacts(t *testing.T) {
	for _, c := range []struct {
		name       string
		width      int
		heads      int
		activation string
		epsilon    float64
	}{
		{"vit_base_patch16_siglip_224", 768, 12, "gelu", 1e-6},
		{"vit_base_patch16_siglip_512", 768, 12, "gelu", 1e-6},
		{"vit_base_patch32_siglip_256", 768, 12, "gelu_pytorch_tanh", 1e-6},
		{"vit_large_patch16_siglip_384", 1024, 16, "gelu", 1e-6},
		{"vit_large_patch16_siglip_512", 1024, 16, "gelu_pytorch_tanh", 1e-6},
		{"vit_large_patch16_siglip_gap_512", 1024, 16, "gelu_pytorch_tanh", 1e-6},
		{"vit_so400m_patch14_siglip_384", 1152, 16, "gelu", 1e-6},
		{"vit_so400m_patch16_siglip_256", 1152, 16, "gelu_pytorch_tanh", 1e-6},
		{"vit_giantopt_patch16_siglip_384", 1536, 16, "gelu_pytorch_tanh", 1e-6},
		{"vit_medium_patch16_gap_256", 512, 8, "gelu", 1e-6},
		{"vit_base_patch16_gap_224", 768, 16, "gelu", 1e-6},
		{"vit_base_mci_224", 768, 12, "gelu", 1e-6},
		{"vit_so400m_patch16_siglip_512", 1152, 16, "gelu_pytorch_tanh", 1e-6},
		{"vit_large_patch14_clip_224", 1024, 16, "gelu", 1e-5},
		{"vit_base_patch32_clip_quickgelu_224", 768, 12, "quick_gelu", 1e-5},
		{"vit_huge_patch14_clip_224", 1280, 16, "gelu", 1e-5},
		{"vit_giant_patch14_clip_224", 1408, 16, "gelu", 1e-5},
		{"vit_gigantic_patch14_clip_quickgelu_224", 1664, 16, "quick_gelu", 1e-5},
	} {
		s := timmStack(c.name)
		if got := timmHeads(c.name, c.width); got != c.heads || s.activation != c.activation || s.epsilon != c.epsilon {
			t.Errorf("%s: %d heads, %s, epsilon %v; want %d, %s, %v", c.name, got, s.activation, s.epsilon, c.heads, c.activation, c.epsilon)
		}
	}
}

// TestTimmRefused: networks whose tensors are called like those of others are
// refused by name, and not built as what they are not.
func TestTimmRefused(t *testing.T) {
	for _, name := range []string{
		"swin_base_patch4_window7_224", "vitamin_large_336", "vit_relpos_medium_patch16_cls_224", "vit_base_patch16_rope_224", "vit_pe_lang_large_patch14_448",
		"vit_base_patch16_rpn_224", "vit_small_patch16_dinov3", "convnext_atto_rms", "eva_large_patch14_196", "beit_base_patch16_224", "",
	} {
		_, err := timmTower(openVision{TimmModel: name}, 224)
		if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v is not ErrInvalid that names it", name, err)
		}
	}
	for _, name := range []string{"vit_base_patch16_siglip_224", "vit_pe_core_base_patch16_224", "eva02_base_patch16_clip_224", "eva_giant_patch14_clip_224", "convnext_base", "fastvit_mci2"} {
		if _, err := timmTower(openVision{TimmModel: name}, 224); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
