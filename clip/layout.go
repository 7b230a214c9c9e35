package clip

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// layout is a way in which two-tower ONNX models lie in the wild.
type layout struct {
	name        string
	image, text string   // files; %s stands for the precision's suffix
	words       string   // directory of the tokenizer
	preprocess  []string // files that tell how pixels are prepared, best first
	crop        string   // what its usual server does with half a pixel
}

var layouts = []layout{
	{
		name:  "transformers.js", // Xenova/clip-vit-base-patch32 and its like
		image: "onnx/vision_model%s.onnx", text: "onnx/text_model%s.onnx",
		words: ".", preprocess: []string{"preprocessor_config.json"}, crop: "floor",
	},
	{
		name:  "visual-textual", // immich-app/ViT-B-32__openai and its like
		image: "visual/model%s.onnx", text: "textual/model%s.onnx",
		words: "textual", preprocess: []string{"visual/preprocess_cfg.json", "open_clip_config.json"}, crop: "floor",
	},
}

// suffixes lists, for each precision, how a graph's file name ends.
var suffixes = map[string][]string{
	"fp32": {""},
	"int8": {"_int8", "_quantized", ".int8"},
}

// readLayout makes the manifest of a directory that has none.
func readLayout(fsys fs.FS, precision string) (Model, error) {
	wanted := []string{"fp32", "int8"}
	if precision != "" {
		wanted = []string{precision}
	}
	for _, l := range layouts {
		for _, p := range wanted {
			for _, suffix := range suffixes[p] {
				image := fmt.Sprintf(l.image, suffix)
				if _, err := fs.Stat(fsys, image); err == nil {
					return l.read(fsys, p, image, fmt.Sprintf(l.text, suffix))
				}
			}
		}
	}
	if m, err := readWeights(fsys, precision); !missing(err) {
		return m, err
	}
	var tried []string
	for _, l := range layouts {
		tried = append(tried, fmt.Sprintf(l.image, suffixes[wanted[0]][0]))
	}
	return Model{}, fmt.Errorf("no model is here: neither %s nor %s: %w", ManifestName, strings.Join(tried, " nor "), clipsearch.ErrInvalid)
}

func (l layout) read(fsys fs.FS, precision, image, text string) (Model, error) {
	m := Model{
		Version: manifestVersion, Layout: l.name, Architecture: "clip", Precision: precision,
		LogitScale: 100, ContextLength: 77, Image: image, Text: text, fsys: fsys,
		Tokenizer: Words{Dir: l.words, Clean: "open_clip"},
	}
	if _, err := fs.Stat(fsys, text); err != nil {
		m.Text = ""
	}
	var c config
	if err := readJSON(fsys, "config.json", &c); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Model{}, err
	}
	c.describe(&m)
	var err error
	if m.Preprocess, err = readPreprocess(fsys, l, c); err != nil {
		return Model{}, err
	}
	if err := m.setTokenizer(fsys); err != nil {
		return Model{}, err
	}
	m.Files, err = hashFiles(fsys, []string{
		m.Image, m.Image + "_data", m.Text, m.Text + "_data", "config.json",
		"preprocessor_config.json", "visual/preprocess_cfg.json", "open_clip_config.json",
		path.Join(l.words, "tokenizer.json"), path.Join(l.words, "tokenizer_config.json"),
		path.Join(l.words, "vocab.json"), path.Join(l.words, "merges.txt"), path.Join(l.words, "vocab.txt"),
	})
	if err != nil {
		return Model{}, err
	}
	return m, m.valid()
}

// setTokenizer finds out whether there is a tokenizer and how its ids are padded.
func (m *Model) setTokenizer(fsys fs.FS) error {
	t, err := m.OpenTokenizer()
	if errors.Is(err, fs.ErrNotExist) {
		m.Tokenizer = Words{}
		return nil
	}
	if err != nil {
		return err
	}
	m.kind = t.Kind()
	switch m.kind {
	case "bpe":
		// Filled up with 0 whatever the tokenizer says: towers without a causal
		// mask are ruined by the end token as padding, the others do not mind.
		m.Tokenizer.PadTo = m.ContextLength
	default:
		m.Tokenizer.Pad = t.PadID()
		if m.Tokenizer.Clean == "open_clip" {
			m.Tokenizer.Clean = "none"
		}
	}
	return nil
}

// config is what matters of a config.json, transformers' or open_clip's.
type config struct {
	ModelType  string `json:"model_type"`
	License    string `json:"license"`
	TextConfig struct {
		MaxPositionEmbeddings int `json:"max_position_embeddings"`
	} `json:"text_config"`
	VisionConfig struct {
		ImageSize int `json:"image_size"`
	} `json:"vision_config"`
	TextCfg struct {
		ContextLength   int `json:"context_length"`
		TokenizerKwargs struct {
			Clean string `json:"clean"`
		} `json:"tokenizer_kwargs"`
	} `json:"text_cfg"`
	VisionCfg struct {
		ImageSize json.RawMessage `json:"image_size"`
	} `json:"vision_cfg"`
}

func (c config) describe(m *Model) {
	if c.ModelType != "" {
		m.Architecture = c.ModelType
	}
	m.Licence = c.License
	for _, n := range []int{c.TextConfig.MaxPositionEmbeddings, c.TextCfg.ContextLength} {
		if n > 0 {
			m.ContextLength = n
		}
	}
	if c.TextCfg.TokenizerKwargs.Clean != "" {
		m.Tokenizer.Clean = c.TextCfg.TokenizerKwargs.Clean
	}
}

func (c config) imageSize() int {
	if c.VisionConfig.ImageSize > 0 {
		return c.VisionConfig.ImageSize
	}
	n, _ := oneSize(c.VisionCfg.ImageSize)
	return n
}

// readPreprocess reads the first of l's files that is there; without any, CLIP's
// own recipe at the size that config.json names.
func readPreprocess(fsys fs.FS, l layout, c config) (Preprocess, error) {
	p := Preprocess{
		Size: c.imageSize(), Resize: "shortest", Interpolation: "bicubic", CropRounding: l.crop,
		Mean: [3]float64{0.48145466, 0.4578275, 0.40821073}, Std: [3]float64{0.26862954, 0.26130258, 0.27577711},
	}
	for _, name := range l.preprocess {
		var f preprocessFile
		err := readJSON(fsys, name, &f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = f.apply(&p)
		}
		if err != nil {
			return p, fmt.Errorf("%s: %w", name, err)
		}
		return p, nil
	}
	return p, nil
}

// preprocessFile holds the keys of preprocess_cfg.json (open_clip, Immich), of
// open_clip_config.json and of preprocessor_config.json (transformers): the
// families' keys do not collide.
type preprocessFile struct {
	Nested        *preprocessFile `json:"preprocess_cfg"`
	Size          json.RawMessage `json:"size"`
	Mean          []float64       `json:"mean"`
	Std           []float64       `json:"std"`
	Interpolation string          `json:"interpolation"`
	ResizeMode    string          `json:"resize_mode"`
	ImageMean     []float64       `json:"image_mean"`
	ImageStd      []float64       `json:"image_std"`
	CropSize      json.RawMessage `json:"crop_size"`
	Resample      *int            `json:"resample"`
	DoCenterCrop  *bool           `json:"do_center_crop"`
	DoNormalize   *bool           `json:"do_normalize"`
	DoRescale     *bool           `json:"do_rescale"`
}

func (f preprocessFile) apply(p *Preprocess) error {
	if f.Nested != nil {
		p.CropRounding = "round"
		return f.Nested.apply(p)
	}
	edge, squash := oneSize(f.Size)
	crop, _ := oneSize(f.CropSize)
	cut := f.DoCenterCrop == nil || *f.DoCenterCrop
	switch {
	case edge > 0 && cut && crop > 0 && crop != edge:
		return fmt.Errorf("pictures are resized to %d and cut to %d, which is not known here: %w", edge, crop, clipsearch.ErrInvalid)
	case edge > 0:
		p.Size = edge
	}
	if f.ResizeMode != "" {
		p.Resize = f.ResizeMode
	} else if squash && f.DoCenterCrop != nil && !*f.DoCenterCrop || squash && f.DoCenterCrop == nil && f.Mean == nil {
		p.Resize = "squash"
	}
	if f.Interpolation != "" {
		p.Interpolation = f.Interpolation
	}
	if f.Resample != nil {
		p.Interpolation = cmp.Or(map[int]string{2: "bilinear", 3: "bicubic"}[*f.Resample], "PIL's number "+fmt.Sprint(*f.Resample))
	}
	copy(p.Mean[:], f.Mean)
	copy(p.Mean[:], f.ImageMean)
	copy(p.Std[:], f.Std)
	copy(p.Std[:], f.ImageStd)
	if f.DoNormalize != nil && !*f.DoNormalize {
		p.Mean, p.Std = [3]float64{}, [3]float64{1, 1, 1}
	}
	return p.known()
}

func (p Preprocess) known() error {
	if p.Resize != "" && p.Resize != "shortest" && p.Resize != "squash" {
		return fmt.Errorf("resize mode %q is neither shortest nor squash: %w", p.Resize, clipsearch.ErrInvalid)
	}
	if p.Interpolation != "" && p.Interpolation != "bicubic" && p.Interpolation != "bilinear" {
		return fmt.Errorf("interpolation %q is neither bicubic nor bilinear: %w", p.Interpolation, clipsearch.ErrInvalid)
	}
	if p.Std[0] == 0 || p.Std[1] == 0 || p.Std[2] == 0 {
		return fmt.Errorf("standard deviation %v has a zero: %w", p.Std, clipsearch.ErrInvalid)
	}
	return nil
}

// oneSize reads 224, [224, 224], {"shortest_edge": 224} or {"height": 224,
// "width": 224}, and reports whether height and width were given apart.
func oneSize(raw json.RawMessage) (n int, both bool) {
	var list []int
	var named struct {
		Shortest int `json:"shortest_edge"`
		Height   int `json:"height"`
		Width    int `json:"width"`
	}
	switch {
	case len(raw) == 0:
		return 0, false
	case json.Unmarshal(raw, &n) == nil:
		return n, false
	case json.Unmarshal(raw, &list) == nil && len(list) > 0:
		return list[0], len(list) > 1
	case json.Unmarshal(raw, &named) == nil && named.Shortest > 0:
		return named.Shortest, false
	}
	return named.Height, named.Height > 0
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
