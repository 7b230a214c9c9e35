package clip

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"

	"github.com/clipsearch/clipsearch"
)

// Architecture is a CLIP that is trained from scratch: transformers' CLIPModel, or
// that with convolutions in place of patches (Xiao et al. 2021, Early Convolutions
// Help Transformers See Better), which transformers does not have.
type Architecture struct {
	Image     Transformer `json:"image"`
	ImageSize int         `json:"image_size"` // pixels of a picture's side
	Patch     int         `json:"patch"`      // of a patch's side; 0 where there is a stem
	// Stem are the channels of convolutions of 3 × 3 that halve the picture each, with a
	// ReLU behind; one of 1 × 1 then makes the transformer's width.
	Stem    []int       `json:"stem,omitempty"`
	Text    Transformer `json:"text"`
	Context int         `json:"context"`    // ids of a text at most; 77 if zero
	Vocab   int         `json:"vocab"`      // as the tokenizer has it if zero
	Dim     int         `json:"dim"`        // of an embedding
	Act     string      `json:"activation"` // "quick_gelu" or "gelu"; the first if empty
	Licence string      `json:"licence,omitempty"`
}

// Transformer is the size of a tower's blocks.
type Transformer struct {
	Width  int `json:"width"`
	Layers int `json:"layers"`
	Heads  int `json:"heads"` // of 64 numbers each if zero
	MLP    int `json:"mlp"`   // width of a block's inner layer; 4 × Width if zero
}

// stemmedType is the model type of a CLIP with a stem.
const stemmedType = "clipsearch_clip"

// WriteScratch writes a checkpoint of random weights into dir, which must be there and
// empty, in transformers' layout: config.json, preprocessor_config.json,
// model.safetensors and the tokenizer's files, which are taken from words. The same
// seed gives the same bytes.
func (a Architecture) WriteScratch(dir string, words fs.FS, seed uint64) error {
	a, marks, err := a.complete(words)
	if err != nil {
		return err
	}
	for _, name := range append([]string{"special_tokens_map.json"}, tokenizerFiles...) {
		if err := copyWords(dir, words, name); err != nil {
			return err
		}
	}
	for name, tree := range map[string]any{"config.json": a.config(marks), "preprocessor_config.json": a.preprocessor()} {
		data, err := json.MarshalIndent(tree, "", "  ")
		if err != nil {
			return err
		}
		if err := writeSynced(filepath.Join(dir, name), bytes.NewReader(append(data, '\n'))); err != nil {
			return err
		}
	}
	return WriteTensors(filepath.Join(dir, "model.safetensors"), a.tensors(seed), map[string]string{"format": "pt"})
}

func copyWords(dir string, words fs.FS, name string) error {
	data, err := readFile(words, name, maxTokenizerFile)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return writeSynced(filepath.Join(dir, name), bytes.NewReader(data))
}

// marks are the ids that begin and end every text.
type marks struct{ begin, end int64 }

// complete fills in what is left out, and refuses what cannot be built.
func (a Architecture) complete(words fs.FS) (Architecture, marks, error) {
	a.Context, a.Act = cmp.Or(a.Context, 77), cmp.Or(a.Act, "quick_gelu")
	t, err := OpenTokenizer(words, TokenizerOptions{})
	if err != nil {
		return a, marks{}, fmt.Errorf("tokenizer of a model from scratch: %w", err)
	}
	if len(t.before) != 1 || len(t.after) != 1 {
		return a, marks{}, fmt.Errorf("tokenizer of a model from scratch: it puts %d tokens before a text and %d behind it, and CLIP's puts one: %w", len(t.before), len(t.after), clipsearch.ErrInvalid)
	}
	m := marks{t.before[0], t.after[0]}
	if b, ok := t.model.(*bpe); ok && a.Vocab == 0 {
		a.Vocab = max(b.vocab.len(), int(max(m.begin, m.end))+1)
	}
	a.Image, a.Text = a.Image.complete(), a.Text.complete()
	return a, m, a.valid(m)
}

func (t Transformer) complete() Transformer {
	t.Heads, t.MLP = cmp.Or(t.Heads, max(1, t.Width/64)), cmp.Or(t.MLP, 4*t.Width)
	return t
}

func (a Architecture) valid(m marks) error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("architecture: "+format+": %w", append(args, clipsearch.ErrInvalid)...)
	}
	if err := errors.Join(a.Image.valid("image"), a.Text.valid("text")); err != nil {
		return err
	}
	side := a.patch()
	switch {
	case a.Patch != 0 && len(a.Stem) > 0:
		return invalid("patches of %d and a stem of %v: give one of the two", a.Patch, a.Stem)
	case side < 1 || a.ImageSize < side || a.ImageSize > maxSide || a.ImageSize%side != 0:
		return invalid("pictures of %d pixels cannot be cut into patches of %d", a.ImageSize, side)
	case a.Dim < 1 || a.Dim > maxDim:
		return invalid("embeddings of %d numbers", a.Dim)
	case a.Context < 3 || a.Context > 1<<16:
		return invalid("texts of %d ids", a.Context)
	case a.Vocab < 3 || a.Vocab > 1<<24 || m.begin >= int64(a.Vocab) || m.end >= int64(a.Vocab):
		return invalid("a vocabulary of %d, with the marks %d and %d", a.Vocab, m.begin, m.end)
	case m.end == 2 && a.Vocab > 3: // transformers takes it for the largest id: huggingface/transformers#24773
		return invalid("an end token of the id 2 means the largest id in CLIP: give it another")
	case a.Act != "quick_gelu" && a.Act != "gelu":
		return invalid("activation %.100q is neither quick_gelu nor gelu", a.Act)
	}
	for _, n := range a.Stem {
		if n < 1 || n > maxDim {
			return invalid("a stem of %v channels", a.Stem)
		}
	}
	return nil
}

func (t Transformer) valid(tower string) error {
	if t.Width < 1 || t.Width > maxDim || t.Layers < 1 || t.Layers > 1000 || t.Heads < 1 || t.Width%t.Heads != 0 || t.MLP < 1 || t.MLP > 1<<20 {
		return fmt.Errorf("architecture: the %s tower cannot have %d layers of width %d with %d heads and inner layers of %d: %w", tower, t.Layers, t.Width, t.Heads, t.MLP, clipsearch.ErrInvalid)
	}
	return nil
}

// patch is how many pixels' side becomes one place of the transformer.
func (a Architecture) patch() int {
	if len(a.Stem) > 0 {
		return 1 << min(len(a.Stem), 20)
	}
	return a.Patch
}

// initialLogitScale is the logarithm of CLIP's temperature before training.
var initialLogitScale = float32(math.Log(1 / 0.07))

// config is the model's config.json.
func (a Architecture) config(m marks) any {
	type object = map[string]any
	tower := func(t Transformer, kind string) object {
		return object{
			"model_type": kind, "hidden_size": t.Width, "num_hidden_layers": t.Layers, "num_attention_heads": t.Heads, "intermediate_size": t.MLP,
			"hidden_act": a.Act, "layer_norm_eps": 1e-5, "projection_dim": a.Dim, "attention_dropout": 0.0,
		}
	}
	text, vision := tower(a.Text, "clip_text_model"), tower(a.Image, "clip_vision_model")
	text["vocab_size"], text["max_position_embeddings"] = a.Vocab, a.Context
	text["bos_token_id"], text["eos_token_id"], text["pad_token_id"] = m.begin, m.end, m.end
	vision["image_size"], vision["patch_size"], vision["num_channels"] = a.ImageSize, a.patch(), 3
	c := object{
		"architectures": []string{"CLIPModel"}, "model_type": "clip", "dtype": "float32", "projection_dim": a.Dim,
		"logit_scale_init_value": initialLogitScale, "text_config": text, "vision_config": vision,
	}
	if len(a.Stem) > 0 {
		c["model_type"], vision["model_type"], vision["stem"] = stemmedType, stemmedType+"_vision_model", a.Stem
		delete(c, "architectures")
	}
	if a.Licence != "" {
		c["license"] = a.Licence
	}
	return c
}

// preprocessor is the model's preprocessor_config.json: CLIP's own recipe.
func (a Architecture) preprocessor() any {
	return map[string]any{
		"image_processor_type": "CLIPImageProcessor", "do_resize": true, "size": map[string]int{"shortest_edge": a.ImageSize}, "resample": 3,
		"do_center_crop": true, "crop_size": map[string]int{"height": a.ImageSize, "width": a.ImageSize},
		"do_rescale": true, "rescale_factor": 1. / 255, "do_normalize": true, "do_convert_rgb": true,
		"image_mean": []float64{0.48145466, 0.4578275, 0.40821073}, "image_std": []float64{0.26862954, 0.26130258, 0.27577711},
	}
}
