package eval

import "testing"

// Models circulate under several names.
func TestPublishedNames(t *testing.T) {
	for _, name := range []string{"ViT-B-32__openai", "openai/clip-vit-base-patch32", "Xenova/clip-vit-base-patch32", "ViT-B-32 openai"} {
		if got := published("coco", "test", name).TextToImage["recall@1"]; got != .3044 {
			t.Errorf("%s: COCO R@1 %v, want 0.3044", name, got)
		}
	}
	if p := published("flickr8k", "test", "ViT-B-32__openai"); p.ImageToText["recall@5"] != .914 || len(p.ImageToText) != 1 {
		t.Errorf("flickr8k: %+v, want R@5 alone", p)
	}
	for _, none := range [][3]string{{"coco", "val", "ViT-B-32__openai"}, {"karpathy", "test", "ViT-B-32__openai"}, {"coco", "test", "builtin"}} {
		if p := published(none[0], none[1], none[2]); p.Source != "" {
			t.Errorf("%v: %+v, want nothing", none, p)
		}
	}
}
