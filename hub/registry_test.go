package hub

import (
	"slices"
	"strings"
	"testing"
)

// TestRegistry holds every entry to what can be checked without the hub.
func TestRegistry(t *testing.T) {
	names := map[string]bool{}
	for _, k := range Registry() {
		if r, err := ParseRepo(k.Repo); err != nil || names[k.Name] || k.Name != strings.ToLower(k.Name) || strings.ContainsAny(k.Name, "/@ ") {
			t.Errorf("%s: %v, %v", k.Name, r, err)
		}
		names[k.Name] = true
		if k.Revision != "" && !commitID.MatchString(k.Revision) {
			t.Errorf("%s: revision %q is no commit", k.Name, k.Revision)
		}
		if !slices.Contains([]string{"transformers.js", "visual-textual", "rclip", "joint", "open_clip", "transformers", "sentence-transformers", "fastembed"}, k.Layout) || k.Licence == "" {
			t.Errorf("%s: layout %q, licence %q", k.Name, k.Layout, k.Licence)
		}
		if k.Dim < 256 || k.Dim > 2048 || k.ImageSize < 224 || k.ImageSize > 512 || k.Context < 52 || k.Memory < 200 || k.Memory > 20_000 {
			t.Errorf("%s: %+v", k.Name, k)
		}
		if NonCommercial(k.Licence) != (k.Terms != "") || k.Terms != "" && !strings.HasPrefix(k.Terms, "https://") {
			t.Errorf("%s: licence %q has the terms %q", k.Name, k.Licence, k.Terms)
		}
		if len(k.Speaks) == 0 || !slices.IsSorted(k.Speaks) || k.Folder != "" && !validPath(k.Folder) {
			t.Errorf("%s speaks %q, lies in %q", k.Name, k.Speaks, k.Folder)
		}
		if tower := k.Images; tower != nil {
			if _, err := ParseRepo(tower.Source().String()); err != nil || tower.Licence == "" || tower.Repo == k.Repo || NonCommercial(tower.Licence) {
				t.Errorf("%s: image tower %+v: %v", k.Name, tower, err)
			}
			for _, f := range tower.Files {
				if c, err := Choose([]string{f}, Wish{Files: tower.Files}); err != nil || len(c.Files) != 1 {
					t.Errorf("%s: %q gives %q, %v", k.Name, f, c.Files, err)
				}
			}
		}
		k.Recalls.check(t, k.Name)
	}
	if len(names) < 40 {
		t.Errorf("there are %d models", len(names))
	}
}

func (r Recalls) check(t *testing.T, name string) {
	t.Helper()
	some := len(r.XM3600) > 0
	for _, list := range [][]float64{r.Flickr30kImages, r.Flickr30kTexts, r.COCOImages, r.COCOTexts} {
		some = some || len(list) > 0
		if n := len(list); n != 0 && n != 1 && n != 3 || !slices.IsSorted(list) || n > 0 && (list[0] < 20 || list[n-1] > 100) {
			t.Errorf("%s: recalls %v", name, list)
		}
	}
	for language, recall := range r.XM3600 {
		if len(language) != 2 || recall < 20 || recall > 100 {
			t.Errorf("%s: recall %v in %q", name, recall, language)
		}
	}
	if some && len(r.Sources) == 0 {
		t.Errorf("%s: figures without a source", name)
	}
}

// TestRecommend holds what is recommended to the memory, the language and the order.
func TestRecommend(t *testing.T) {
	for _, tt := range []struct {
		memory   int64
		language string
		first    string
	}{
		{0, "", "siglip2-l-16-512"},
		{8e9, "ja", "xlm-roberta-vit-h-14"},
		{3.5e9, "ja", "xlm-roberta-vit-b-32"},
		{4e9, "de", "siglip2-l-16-512"},
		{2e9, "en", "mobileclip-b"},
		{8e9, "zh", "xlm-roberta-vit-h-14"},
	} {
		list := Recommend(tt.memory, tt.language)
		if len(list) == 0 || list[0].Name != tt.first {
			t.Errorf("Recommend(%d, %q) begins with %+v, want %s", tt.memory, tt.language, list[:min(1, len(list))], tt.first)
			continue
		}
		for i, r := range list {
			if tt.memory > 0 && r.Memory<<20 > tt.memory || tt.language != "" && !slices.Contains(r.Speaks, tt.language) {
				t.Errorf("Recommend(%d, %q) has %s: %d MiB, %q", tt.memory, tt.language, r.Name, r.Memory, r.Speaks)
			}
			if i > 0 && r.rank(tt.language) > list[i-1].rank(tt.language) || r.Why == "" {
				t.Errorf("Recommend(%d, %q): %s comes after %s: %q", tt.memory, tt.language, r.Name, list[i-1].Name, r.Why)
			}
		}
	}
	if list := Recommend(1<<20, ""); len(list) > 0 {
		t.Errorf("Recommend(1 MiB) = %+v", list)
	}
	if list := Recommend(0, "xx"); len(list) > 0 {
		t.Errorf("Recommend(xx) = %+v", list)
	}
}

func TestLookup(t *testing.T) {
	k, ok := Lookup("CLIP-vit-b-32")
	if !ok || k.Repo != "Xenova/clip-vit-base-patch32" || k.Recalls.Flickr30kImages[0] != 58.78 {
		t.Errorf("Lookup = %+v, %t", k, ok)
	}
	if _, ok := Lookup("none"); ok {
		t.Error("Lookup(none) finds one")
	}
	if list := KnownAs("plhery/mobileclip2-onnx"); len(list) != 3 || list[1].Files()[0] != "onnx/s2/vision_model.onnx" || !list[1].NonCommercial() {
		t.Errorf("KnownAs = %+v", list)
	}
}

// TestHalves: a tower of a pair may be pulled, a language model may not unless its
// weights are named.
func TestHalves(t *testing.T) {
	whole := Choice{Layout: "transformers", Files: []string{"model.safetensors"}}
	for kind, runs := range map[string]bool{"clip": true, "clip_vision_model": true, "siglip_text_model": true, "M-CLIP": true, "roberta": false} {
		err := Listing{ModelType: kind}.runs(whole)
		if (err == nil) != runs || err != nil && !strings.Contains(err.Error(), "--file model.safetensors") {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if err := (Listing{ModelType: "roberta"}).runs(Choice{Layout: "chosen"}); err != nil {
		t.Error(err)
	}
}
