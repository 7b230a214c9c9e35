package clip

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// encoderConfig is what matters of the config.json of one of transformers' text
// encoders: each model type has its own names for it.
type encoderConfig struct {
	hfTower
	DistilHeads int    `json:"n_heads"`
	DistilAct   string `json:"activation"`
	M2MHeads    int    `json:"encoder_attention_heads"`
	M2MAct      string `json:"activation_function"`
	Scaled      *bool  `json:"scale_embedding"`
}

// encoderTypes are the model types that are built here, with the defaults of their
// configuration classes. Where a class has no such setting, the file cannot change it.
var encoderTypes = map[string]struct {
	defaults hfTower
	pool     string // what open_clip does with them where it is told null
	fairseq  bool   // positions are numbered from pad+1
}{
	"bert":        {hfTower{Heads: 12, Act: "gelu", Epsilon: 1e-12, Positions: 512, Pad: new(int64(0))}, "first", false},
	"roberta":     {hfTower{Heads: 12, Act: "gelu", Epsilon: 1e-12, Positions: 512, Pad: new(int64(1))}, "mean", true},
	"xlm-roberta": {hfTower{Heads: 12, Act: "gelu", Epsilon: 1e-12, Positions: 512, Pad: new(int64(1))}, "mean", true},
	"distilbert":  {hfTower{Heads: 12, Act: "gelu", Epsilon: 1e-12, Positions: 512, Pad: new(int64(0))}, "", false},
	"m2m_100":     {hfTower{Heads: 16, Act: "relu", Epsilon: 1e-5, Positions: 1024, Pad: new(int64(1))}, "first", true},
}

// complete fills in what the file leaves out.
func (c encoderConfig) complete() (encoderConfig, error) {
	t, ok := encoderTypes[c.ModelType]
	if !ok {
		return c, fmt.Errorf("text encoders of the model type %q are not built here, only bert, roberta, xlm-roberta, distilbert and m2m_100: %w", c.ModelType, clipsearch.ErrInvalid)
	}
	if c.PosType != "" && c.PosType != "absolute" {
		return c, fmt.Errorf("position_embedding_type %q is not built here: %w", c.PosType, clipsearch.ErrInvalid)
	}
	c.Heads = cmp.Or(c.M2MHeads, c.DistilHeads, c.Heads)
	c.Act = cmp.Or(c.M2MAct, c.DistilAct, c.Act)
	if c.ModelType == "distilbert" || c.ModelType == "m2m_100" {
		c.Epsilon = 0
	}
	c.hfTower = c.or(t.defaults)
	most := int64(maxPad)
	if c.ModelType == "m2m_100" {
		c.Positions, most = min(c.Positions, maxWaves), maxWaves // its table is made here
	}
	if *c.Pad < 0 || *c.Pad > most || c.Positions < 1 {
		return c, fmt.Errorf("%d positions, padded with %d: %w", c.Positions, *c.Pad, clipsearch.ErrInvalid)
	}
	return c, nil
}

// Bounds on the id that fills up, and on positions that are not in the weights.
const (
	maxPad   = 1 << 20
	maxWaves = 1 << 12
)

// most is how many tokens a text may have.
func (c encoderConfig) most() int {
	if encoderTypes[c.ModelType].fairseq && c.ModelType != "m2m_100" {
		return c.Positions - int(*c.Pad) - 1
	}
	return c.Positions
}

// encoder returns the tower whose tensors' names begin with base.
func (c encoderConfig) encoder(base string) textEncoder {
	s := stack{heads: c.Heads, activation: c.Act, epsilon: c.Epsilon, post: true, names: bertBlock(base)}
	t := textEncoder{pad: *c.Pad, pooler: base + "pooler.dense"}
	t.embed = bertEmbeddings(base+"embeddings.", t.pad, encoderTypes[c.ModelType].fairseq, c.Epsilon)
	switch c.ModelType {
	case "distilbert":
		s.names = distilBlock(base)
	case "m2m_100":
		s.names, s.post, t.final = m2mBlock(base), false, base+"layer_norm"
		t.embed = m2mEmbeddings(base, t.pad, c.Scaled == nil || *c.Scaled, c.Positions)
	}
	t.stack = s
	return t
}

// knownEncoders are encoders that checkpoints go by on the hub, by the last part of
// their names, and what of them no tensor tells.
var knownEncoders = map[string]encoderConfig{
	"roberta-base":      {hfTower: hfTower{ModelType: "roberta", Epsilon: 1e-5, Positions: 514}},
	"roberta-large":     {hfTower: hfTower{ModelType: "roberta", Heads: 16, Epsilon: 1e-5, Positions: 514}},
	"xlm-roberta-base":  {hfTower: hfTower{ModelType: "xlm-roberta", Epsilon: 1e-5, Positions: 514}},
	"xlm-roberta-large": {hfTower: hfTower{ModelType: "xlm-roberta", Heads: 16, Epsilon: 1e-5, Positions: 514}},

	"bert-base-uncased":                  {hfTower: hfTower{ModelType: "bert"}},
	"bert-base-cased":                    {hfTower: hfTower{ModelType: "bert"}},
	"bert-base-chinese":                  {hfTower: hfTower{ModelType: "bert"}},
	"bert-base-multilingual-cased":       {hfTower: hfTower{ModelType: "bert"}},
	"bert-base-multilingual-uncased":     {hfTower: hfTower{ModelType: "bert"}},
	"bert-large-uncased":                 {hfTower: hfTower{ModelType: "bert", Heads: 16}},
	"bert-large-cased":                   {hfTower: hfTower{ModelType: "bert", Heads: 16}},
	"chinese-roberta-wwm-ext":            {hfTower: hfTower{ModelType: "bert"}},
	"chinese-roberta-wwm-ext-large":      {hfTower: hfTower{ModelType: "bert", Heads: 16}},
	"LaBSE":                              {hfTower: hfTower{ModelType: "bert"}},
	"distilbert-base-uncased":            {hfTower: hfTower{ModelType: "distilbert"}},
	"distilbert-base-multilingual-cased": {hfTower: hfTower{ModelType: "distilbert"}},

	"BiomedNLP-PubMedBERT-base-uncased-abstract":          {hfTower: hfTower{ModelType: "bert"}},
	"BiomedNLP-PubMedBERT-base-uncased-abstract-fulltext": {hfTower: hfTower{ModelType: "bert"}},
	"BiomedNLP-BiomedBERT-base-uncased-abstract":          {hfTower: hfTower{ModelType: "bert"}},
	"BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext": {hfTower: hfTower{ModelType: "bert"}},

	"mt5-base": {hfTower: hfTower{ModelType: "mt5"}}, // refused
	"mt5-xl":   {hfTower: hfTower{ModelType: "mt5"}},

	"nllb-200-distilled-600M": {hfTower: hfTower{ModelType: "m2m_100"}},
	"nllb-200-distilled-1.3B": {hfTower: hfTower{ModelType: "m2m_100"}},
}

// namedEncoder finds the configuration of an encoder: in the folder of that name, or
// known here. Whose it is stands before it in errors.
func namedEncoder(fsys fs.FS, name string) (encoderConfig, error) {
	var c encoderConfig
	file := encoderFile(name)
	err := fs.ErrNotExist
	if fs.ValidPath(file) {
		err = readJSON(fsys, file, &c)
	}
	if isMissing(err) {
		var ok bool
		if c, ok = knownEncoders[path.Base(name)]; !ok {
			return c, fmt.Errorf("the text encoder %s is not known here: put its config.json to %s below the model's directory: %w", name, file, clipsearch.ErrInvalid)
		}
	} else if err != nil {
		return c, err
	}
	if c, err = c.complete(); err != nil {
		return c, fmt.Errorf("the text encoder %s: %w", name, err)
	}
	return c, nil
}

// encoderFile is where the configuration of an encoder of that name may lie.
func encoderFile(name string) string { return path.Join(strings.TrimPrefix(name, "./"), "config.json") }

// textLimit is how many tokens words are cut to: what the tokenizer says, where it
// says so and the tower has as many positions, or else otherwise.
func textLimit(fsys fs.FS, otherwise, most int) (int, error) {
	var c struct {
		Length float64 `json:"model_max_length"` // 10³⁰ where there is no limit
	}
	if err := readJSON(fsys, "tokenizer_config.json", &c); err != nil && !isMissing(err) {
		return 0, err
	}
	if c.Length >= 1 && c.Length <= float64(most) {
		return int(c.Length), nil
	}
	return min(otherwise, most), nil
}
