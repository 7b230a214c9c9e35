package hub

import (
	"cmp"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Known is a model that is known to be good: what it is, who published what of it,
// and where it lies.
type Known struct {
	Name     string   `json:"name"` // short, for --model and pull
	Repo     string   `json:"repo"`
	Revision string   `json:"revision,omitempty"` // the commit that was looked at; none: main
	Folder   string   `json:"folder,omitempty"`   // of the model, where the repository holds several
	Layout   string   `json:"layout"`
	Images   *Tower   `json:"image_tower,omitempty"` // where that is another repository's
	Licence  string   `json:"licence"`
	Terms    string   `json:"terms,omitempty"` // where they are, of licences that allow no commercial use
	Speaks   []string `json:"languages"`       // ISO 639-1

	Dim        int     `json:"dim"`
	ImageSize  int     `json:"image_size"`
	Context    int     `json:"context_length"`
	Parameters float64 `json:"parameters_millions,omitempty"`
	Bytes      int64   `json:"bytes,omitempty"` // of the weights, as published
	Memory     int64   `json:"memory_mib"`      // of both towers at work
	Measured   bool    `json:"memory_measured"` // by who published it; else reckoned from its size

	Recalls Recalls `json:"recalls"`
}

// Tower is the image tower of a model whose own repository has the text tower alone.
type Tower struct {
	Repo     string   `json:"repo"`
	Revision string   `json:"revision,omitempty"`
	Files    []string `json:"files,omitempty"` // its weights, as globs; none: as the layout suggests
	Licence  string   `json:"licence"`
}

// Source is where it is fetched from.
func (t Tower) Source() Repo { return Repo{t.Repo, t.Revision} }

// Recalls are published figures, in percent. A list is R@1, R@5, R@10; or R@1 alone.
type Recalls struct {
	Flickr30kImages []float64          `json:"flickr30k_text_to_image,omitempty"`
	Flickr30kTexts  []float64          `json:"flickr30k_image_to_text,omitempty"`
	COCOImages      []float64          `json:"coco_text_to_image,omitempty"`
	COCOTexts       []float64          `json:"coco_image_to_text,omitempty"`
	XM3600          map[string]float64 `json:"crossmodal3600_text_to_image,omitempty"` // by language, mean of R@1, R@5 and R@10
	Sources         []string           `json:"sources,omitempty"`
}

//go:embed registry.json
var registryJSON []byte

// Registry lists the models that are known to be good.
var Registry = sync.OnceValue(func() []Known {
	var list []Known
	if err := decode(registryJSON, &list); err != nil {
		panic(fmt.Sprintf("hub: registry.json: %v", err)) // it is part of the program
	}
	return list
})

// Lookup finds a model of the registry by its short name.
func Lookup(name string) (Known, bool) {
	for _, k := range Registry() {
		if strings.EqualFold(k.Name, name) {
			return k, true
		}
	}
	return Known{}, false
}

// KnownAs lists what the registry has from a repository.
func KnownAs(repo string) (list []Known) {
	for _, k := range Registry() {
		if strings.EqualFold(k.Repo, repo) {
			list = append(list, k)
		}
	}
	return list
}

// Source is where a known model is fetched from.
func (k Known) Source() Repo { return Repo{k.Repo, k.Revision} }

// Files are the globs that Wish wants for it, or none where the layout says enough.
func (k Known) Files() []string {
	if k.Folder == "" {
		return nil
	}
	return []string{k.Folder + "/vision_model.onnx", k.Folder + "/text_model.onnx"}
}

// NonCommercial reports whether its licence allows no commercial use.
func (k Known) NonCommercial() bool { return k.Terms != "" || NonCommercial(k.Licence) }

// Recommended is a known model, with why it is recommended and how it is ranked.
type Recommended struct {
	Known
	Why string `json:"why"`
}

// Recommend lists the known models that fit a memory (in bytes; 0: any) and know a
// language (ISO 639-1; "": any), the best published recall first: COCO's for English,
// Crossmodal-3600's in the language otherwise. Models without a figure come last.
func Recommend(memory int64, language string) []Recommended {
	var list []Recommended
	for _, k := range Registry() {
		if memory > 0 && k.Memory<<20 > memory || language != "" && !slices.Contains(k.Speaks, language) {
			continue
		}
		list = append(list, Recommended{k, k.why(language)})
	}
	slices.SortStableFunc(list, func(a, b Recommended) int {
		other := cmp.Compare(b.Recalls.XM3600[cmp.Or(language, "en")], a.Recalls.XM3600[cmp.Or(language, "en")])
		return cmp.Or(cmp.Compare(b.rank(language), a.rank(language)), other, cmp.Compare(a.Memory, b.Memory))
	})
	return list
}

// rank is the figure that models are compared by; 0 if none was published. In English
// a model without COCO's takes that of the best one that it is no worse than on
// Crossmodal-3600.
func (k Known) rank(language string) float64 {
	if language != "" && language != "en" {
		return k.Recalls.XM3600[language]
	}
	if len(k.Recalls.COCOImages) > 0 {
		return k.Recalls.COCOImages[0]
	}
	var best float64
	for _, o := range Registry() {
		if en := o.Recalls.XM3600["en"]; en > 0 && en <= k.Recalls.XM3600["en"] && len(o.Recalls.COCOImages) > 0 {
			best = max(best, o.Recalls.COCOImages[0])
		}
	}
	return best
}

func (k Known) why(language string) string {
	var parts []string
	switch language = cmp.Or(language, "en"); {
	case language == "en" && len(k.Recalls.COCOImages) > 0:
		parts = append(parts, fmt.Sprintf("text to image R@1 %.1f %% on COCO", k.Recalls.COCOImages[0]))
	case k.Recalls.XM3600[language] > 0:
		parts = append(parts, fmt.Sprintf("mean recall %.1f %% on Crossmodal-3600 in %s", k.Recalls.XM3600[language], language))
	default:
		parts = append(parts, "no comparable figure published")
	}
	how := "about"
	if k.Measured {
		how = "measured"
	}
	parts = append(parts, fmt.Sprintf("%s %.1f GB of memory", how, float64(k.Memory<<20)/1e9))
	if k.NonCommercial() {
		parts = append(parts, "non-commercial use only")
	}
	return strings.Join(parts, ", ")
}
