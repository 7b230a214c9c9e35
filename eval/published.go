package eval

import (
	_ "embed"
	"encoding/json"
	"strings"
)

// Published are figures that others printed for a model on a data set: recall at
// 1, 5 and 10 by direction, as far as they were printed.
type Published struct {
	Source      string             `json:"source,omitempty"`
	TextToImage map[string]float64 `json:"text_to_image,omitempty"`
	ImageToText map[string]float64 `json:"image_to_text,omitempty"`
}

// A line of published.json names a model (as open_clip does, and by the names
// under which its files circulate) and has, by data set, the recalls in percent:
// text to image, then image to text; -1 where none was printed.
//
//go:embed published.json
var publishedJSON []byte

type publishedModel struct {
	Names   []string
	Source  string
	Recalls map[string][6]float64
}

// published returns the figures for a model, zero if there are none. They are
// for the test split alone.
func published(dataset, split, model string) Published {
	if split != "test" {
		return Published{}
	}
	var models []publishedModel
	if err := json.Unmarshal(publishedJSON, &models); err != nil {
		panic("eval: published.json: " + err.Error())
	}
	for _, m := range models {
		recalls, ok := m.Recalls[dataset]
		if !ok || !m.is(model) {
			continue
		}
		p := Published{Source: m.Source, TextToImage: map[string]float64{}, ImageToText: map[string]float64{}}
		for i, key := range keys[:3] {
			if x := recalls[i]; x >= 0 {
				p.TextToImage[key] = x / 100
			}
			if x := recalls[3+i]; x >= 0 {
				p.ImageToText[key] = x / 100
			}
		}
		return p
	}
	return Published{}
}

func (m publishedModel) is(name string) bool {
	for _, n := range m.Names {
		if plain(n) == plain(name) {
			return true
		}
	}
	return false
}

// plain is a model's name without its owner, and without what separates its
// parts, which everyone writes differently.
func plain(name string) string {
	name = name[strings.LastIndexAny(name, "/\\")+1:]
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(name))
}
