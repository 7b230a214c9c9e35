package clip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// config is what matters of a config.json, transformers' or open_clip's.
type config struct {
	ModelType  string   `json:"model_type"`
	License    string   `json:"license"`
	LogitScale *float64 `json:"logit_scale_init_value"` // a logarithm
	TextConfig struct {
		ModelType             string `json:"model_type"`
		MaxPositionEmbeddings int    `json:"max_position_embeddings"`
	} `json:"text_config"`
	VisionConfig struct {
		ImageSize json.RawMessage `json:"image_size"`
	} `json:"vision_config"`
	MaxPositionEmbeddings int `json:"max_position_embeddings"` // of a text tower alone
	TextCfg               struct {
		ContextLength   int    `json:"context_length"`
		Tokenizer       string `json:"hf_tokenizer_name"`
		TokenizerKwargs struct {
			Clean    string `json:"clean"`
			StripSep bool   `json:"strip_sep_token"`
		} `json:"tokenizer_kwargs"`
	} `json:"text_cfg"`
	VisionCfg struct {
		ImageSize json.RawMessage `json:"image_size"`
	} `json:"vision_cfg"`
	Nested *config `json:"model_cfg"` // open_clip_config.json has all in it
}

// initialScale is what nearly every model began its training with, and what its
// config still says of one that ended it at 100. The weights know; a graph of one
// tower does not have them.
const initialScale = 2.6592

func (c config) describe(m *Model) {
	if c.ModelType != "" {
		m.Architecture = c.ModelType
	}
	m.Licence = c.License
	if s := c.LogitScale; s != nil && math.Abs(*s-initialScale) > 1e-3 && *s > 0 && *s < 10 {
		m.LogitScale = math.Exp(*s)
	}
}

// isSigLIP reports whether the model is of that family, whose text towers look at
// the last place of a row that is always full.
func (c config) isSigLIP() bool {
	return strings.Contains(c.ModelType, "siglip") || strings.Contains(c.TextConfig.ModelType, "siglip")
}

// contextLength is how many ids the model's files give a text at most; 0: nothing
// is said.
func (c config) contextLength() int {
	n := c.TextCfg.ContextLength
	if n == 0 {
		n = c.TextConfig.MaxPositionEmbeddings
	}
	if n == 0 {
		n = c.MaxPositionEmbeddings
	}
	if family := c.TextConfig.ModelType + c.ModelType; n > 2 && strings.Contains(family, "roberta") {
		n -= 2 // the first place has the number two
	}
	if c.ModelType == "chinese_clip" && (n == 0 || n > chineseLength) {
		n = chineseLength
	}
	return n
}

// chineseLength is what Chinese-CLIP was trained with; BERT would take more.
const chineseLength = 52

func (c config) imageSize() int {
	for _, raw := range []json.RawMessage{c.VisionConfig.ImageSize, c.VisionCfg.ImageSize} {
		if s, err := readSides(raw); err == nil && s.edge > 0 {
			return s.edge
		}
	}
	return 0
}

func readJSON(fsys fs.FS, name string, v any) error {
	data, err := readFile(fsys, name, maxConfigFile)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %v: %w", name, err, clipsearch.ErrInvalid)
	}
	return nil
}

// isMissing reports whether err says that a file is not there.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
