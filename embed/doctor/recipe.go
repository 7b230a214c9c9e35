package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/clipsearch/clipsearch/clip"
)

// recipe is a mean and a standard deviation that models are trained with.
type recipe struct {
	name      string
	mean, std [3]float64
}

var recipes = []recipe{
	{"CLIP's", [3]float64{0.48145466, 0.4578275, 0.40821073}, [3]float64{0.26862954, 0.26130258, 0.27577711}},
	{"ImageNet's", [3]float64{0.485, 0.456, 0.406}, [3]float64{0.229, 0.224, 0.225}},
	{"0.5 and 0.5", [3]float64{0.5, 0.5, 0.5}, [3]float64{0.5, 0.5, 0.5}},
	{"0 and 1", [3]float64{}, [3]float64{1, 1, 1}},
}

func near(a, b [3]float64) bool {
	for i := range a {
		if math.Abs(a[i]-b[i]) > 0.006 {
			return false
		}
	}
	return true
}

func backwards(a [3]float64) [3]float64 { return [3]float64{a[2], a[1], a[0]} }

// checkRecipe looks at how pictures are prepared: first whether what the files say
// can be, then whether another way finds the captions clearly better.
func (d *doctor) checkRecipe(ctx context.Context) {
	if d.model.Image == "" {
		return
	}
	better := map[string]string{}
	if !d.quick {
		better = d.alternatives(ctx)
	}
	d.checkNormalization(better["normalization"])
	d.checkResize(ctx, better["resize"])
	d.checkChannels(ctx, better["channels"])
	p := d.model.Preprocess
	if found := better["interpolation"]; found != "" {
		d.fail("interpolation", "%s", found)
	} else {
		d.pass("interpolation", "%s", orDefault(p.Interpolation, "bicubic"))
	}
}

func orDefault(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (d *doctor) checkNormalization(better string) {
	const name = "normalization"
	p := d.model.Preprocess
	says := fmt.Sprintf("mean %.4g, standard deviation %.4g", p.Mean, p.Std)
	largest, smallest := max(p.Mean[0], p.Mean[1], p.Mean[2], p.Std[0], p.Std[1], p.Std[2]), min(p.Std[0], p.Std[1], p.Std[2])
	if where := d.contradiction(); where != "" {
		d.fail(name, "%s", where)
		return
	}
	for _, r := range recipes[:2] { // the others are the same both ways
		switch {
		case near(p.Mean, r.std) && near(p.Std, r.mean):
			d.fail(name, "%s: mean and standard deviation are exchanged: these are %s", says, r.name)
			return
		case near(p.Mean, backwards(r.mean)) && near(p.Std, backwards(r.std)) && !near(p.Mean, r.mean):
			d.fail(name, "%s: these are %s backwards, for blue, green, red, and pictures are red, green, blue here", says, r.name)
			return
		}
	}
	switch {
	case math.IsNaN(largest) || largest > 1.5:
		d.fail(name, "%s: they are for values from 0 to 255, and pictures have 0 to 1 here", says)
	case smallest < 0.02:
		d.fail(name, "%s: such a standard deviation makes values of %.0f", says, 1/smallest)
	case better != "":
		d.fail(name, "%s", better)
	default:
		for _, r := range recipes {
			if near(p.Mean, r.mean) && near(p.Std, r.std) {
				d.pass(name, "%s: %s", says, r.name)
				return
			}
		}
		if d.known {
			d.pass(name, "%s: no usual ones, and captions find their photographs", says)
			return
		}
		d.unsure(name, "%s: no usual ones", says)
	}
}

// checkResize knows one family by its name: SigLIP's pictures are squashed.
func (d *doctor) checkResize(ctx context.Context, better string) {
	const name = "resize"
	m := d.model.Side(clip.ImageSide)
	p := m.Preprocess
	how := orDefault(p.Resize, "shortest")
	says := map[string]string{"shortest": "the shorter side to %d, then the middle", "squash": "both sides to %d"}[how]
	says = fmt.Sprintf(says, p.Size)
	switch {
	case better != "":
		d.fail(name, "%s", better)
	case how == "shortest" && d.siglip() && !d.cropIsBetter(ctx):
		d.fail(name, "%s: this is a SigLIP model, and their pictures are squashed to both sides, not cut", says)
	case how == "squash" && !d.known && m.Architecture == "clip" && m.Layout == "transformers.js":
		d.unsure(name, "%s: CLIP's are cut, as a rule", says)
	default:
		d.pass(name, "%s", says)
	}
}

// cropIsBetter reports whether captions find their pictures better where these are cut:
// a SigLIP model may have been trained on so.
func (d *doctor) cropIsBetter(ctx context.Context) bool {
	if !d.known || d.quick {
		return false
	}
	p := d.model.Preprocess
	p.Resize = "squash"
	m, ok := d.matchWith(ctx, way{prep: p})
	return ok && d.matched.z > m.z
}

// siglip reports whether the model's files name that family.
func (d *doctor) siglip() bool {
	m := d.model.Side(clip.ImageSide)
	if strings.Contains(strings.ToLower(m.Architecture+" "+m.Name), "siglip") {
		return true
	}
	for _, name := range []string{"config.json", "open_clip_config.json"} {
		if data, err := clip.ReadConfigFile(m.FS(), name); err == nil && strings.Contains(strings.ToLower(string(data)), "siglip") {
			return true
		}
	}
	return false
}

// preparation holds the keys that matter here of the files that say how pictures are
// prepared.
type preparation struct {
	Nested *preparation `json:"preprocess_cfg"`
	Mean   []float64    `json:"mean"`
	HFMean []float64    `json:"image_mean"`
	Std    []float64    `json:"std"`
	HFStd  []float64    `json:"image_std"`
	Mode   string       `json:"mode"`
	Flip   bool         `json:"do_flip_channel_order"`
}

// preparations reads those files, by name.
func (d *doctor) preparations() map[string]preparation {
	found := map[string]preparation{}
	for _, name := range []string{"preprocessor_config.json", "visual/preprocess_cfg.json", "preprocess_cfg.json", "open_clip_config.json"} {
		data, err := clip.ReadConfigFile(d.model.Side(clip.ImageSide).FS(), name)
		var p preparation
		if err != nil || json.Unmarshal(data, &p) != nil {
			continue
		}
		if p.Nested != nil {
			p = *p.Nested
		}
		if p.HFMean != nil {
			p.Mean, p.Std = p.HFMean, p.HFStd
		}
		found[name] = p
	}
	return found
}

// contradiction names two files of which each gives another mean, or "".
func (d *doctor) contradiction() string {
	first := ""
	files := d.preparations()
	for _, name := range []string{"preprocessor_config.json", "visual/preprocess_cfg.json", "preprocess_cfg.json", "open_clip_config.json"} {
		p := files[name]
		if len(p.Mean) != 3 || len(p.Std) != 3 {
			continue
		}
		if first == "" {
			first = name
			continue
		}
		q := files[first]
		if !near([3]float64(p.Mean), [3]float64(q.Mean)) || !near([3]float64(p.Std), [3]float64(q.Std)) {
			return fmt.Sprintf("%s says mean %.4g and standard deviation %.4g, and %s %.4g and %.4g", first, q.Mean, q.Std, name, p.Mean, p.Std)
		}
	}
	return ""
}

// way is a way to prepare pictures.
type way struct {
	kind, name string
	prep       clip.Preprocess
	blueFirst  bool
}
