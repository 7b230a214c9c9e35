package trainer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/clipsearch/clipsearch/clip"
)

// ComposeConfig is a network of two backbones that others have trained and of new heads
// that bring them into one space (package compose).
type ComposeConfig struct {
	Image      string  `json:"image" doc:"the image backbone: an ONNX FILE with an input of pixels; empty: nothing is composed"`
	ImageValue string  `json:"image_value" doc:"its value that is a picture's features, one row a picture"`
	Classifier string  `json:"classifier" doc:"its output that is the logits of a linear classifier of the features: the head begins with what the classes mean; empty: none"`
	ImageSize  int     `json:"image_size" doc:"pixels of a side of what it sees" range:"8..1024"`
	PixelMean  float64 `json:"pixel_mean" doc:"of values from 0 to 1, of all channels" range:"0..1"`
	PixelStd   float64 `json:"pixel_std" doc:"that they are divided by" range:"0.001..1"`
	Text       string  `json:"text" doc:"the text backbone: a model DIR with a text tower"`
	TextScale  float64 `json:"text_scale" doc:"its features are brought to length one and multiplied by this; 0: they stay as they are" range:"0..1000"`
	Context    int     `json:"context_length" doc:"ids of a text at most" range:"4..1024"`
	Words      string  `json:"words" doc:"a FILE of texts: pieces of the vocabulary that neither they nor captions nor prompts need are left out; empty: all stay"`

	Dim                 int     `json:"dim" doc:"numbers of an embedding" range:"2..8192"`
	Hidden              int     `json:"hidden" doc:"numbers of the heads' hidden layers; 0: they are linear" range:"0..65536"`
	ImageDropout        float64 `json:"image_dropout" doc:"share of features that the image head does not see" range:"0..0.95"`
	TextDropout         float64 `json:"text_dropout" doc:"share of features that the text head does not see" range:"0..0.95"`
	HiddenDropout       float64 `json:"hidden_dropout" doc:"share of hidden numbers that are dropped" range:"0..0.95"`
	ClassFactor         float64 `json:"class_factor" doc:"on the classes' share of an embedding" range:"0..1000"`
	TextBackboneDropout float64 `json:"text_backbone_dropout" doc:"share of what each layer of the text backbone adds that is dropped, where it is trained" range:"0..0.95"`
	Licence             string  `json:"licence" doc:"of the model"`
}

// PromptsConfig is pairs of classes and texts about them, which are trained on beside
// those of pictures and captions. Their features are made of a picture's, moved until
// the backbone's classifier sees the class (compose.Pseudo).
type PromptsConfig struct {
	File       string  `json:"file" doc:"JSON with templates and classes: their names, synonyms and definitions; empty: there are no such pairs"`
	Batch      int     `json:"batch" doc:"of them in a step" range:"2..1048576"`
	Weight     float64 `json:"weight" doc:"of their loss in the sum" range:"0..1000"`
	From       string  `json:"from" doc:"the image tower's value that is a picture's features"`
	Backbone   string  `json:"backbone" doc:"the ONNX FILE with the classifier"`
	Classifier string  `json:"classifier" doc:"its output that is the logits of the features"`
	Near       float64 `json:"near" doc:"features are moved by this at least" range:"0..1000"`
	Far        float64 `json:"far" doc:"and by this at most" range:"0..1000"`
	Low        float64 `json:"low" doc:"the least that a feature can be" range:"-1000..1000"`
	High       float64 `json:"high" doc:"the largest that a feature can be" range:"-1000..1000"`
}

func defaultCompose() ComposeConfig {
	return ComposeConfig{
		ImageValue: "features", ImageSize: 224, PixelMean: 0.5, PixelStd: 0.5, Context: 48, Dim: 256, Hidden: 1024,
		ImageDropout: 0.2, TextDropout: 0.1, HiddenDropout: 0.2, ClassFactor: 8,
	}
}

func defaultPrompts() PromptsConfig {
	return PromptsConfig{Batch: 500, Weight: 0.4, From: "features", Classifier: "logits", Near: 6, Far: 24, High: 6}
}

// checkParts returns an error if what a network is put together from does not go
// together.
func (c *Config) checkParts() error {
	k, p := c.Compose, c.Prompts
	switch {
	case k.Image != "" && c.Init != "":
		return invalid("compose makes a network, and init names one: leave one of them out")
	case (k.Image == "") != (k.Text == ""):
		return invalid("compose.image %q and compose.text %q: a network needs both backbones", k.Image, k.Text)
	case k.Classifier != "" && p.File == "":
		return invalid("compose.classifier %q: what its classes are called is told by prompts.file", k.Classifier)
	case p.File != "" && (p.Backbone == "" || p.From == ""):
		return invalid("prompts.file %q: features of classes need prompts.backbone and prompts.from", p.File)
	case p.Near > p.Far || p.Low >= p.High:
		return invalid("prompts: near %v and far %v, low %v and high %v", p.Near, p.Far, p.Low, p.High)
	case (c.Train.ImageFrom != "" || c.Train.TextFrom != "") && c.Init == "" && k.Image == "":
		return invalid("train.image_from and train.text_from belong to a network whose front others have trained: name it with init, or compose it")
	}
	return nil
}

// partsDigest names the bytes of the files that a network is composed of and that tell
// its classes; "" if there are none. A run is gone on with by the same ones only.
func partsDigest(c Config) (string, error) {
	sum, some := sha256.New(), false
	for _, file := range []struct{ key, name string }{
		{"compose.image", c.Compose.Image}, {"compose.words", c.Compose.Words}, {"prompts.file", c.Prompts.File}, {"prompts.backbone", c.Prompts.Backbone},
	} {
		if file.name == "" {
			continue
		}
		some = true
		f, err := os.Open(file.name)
		if err != nil {
			return "", invalid("%s: %v", file.key, err)
		}
		fmt.Fprintln(sum, file.key)
		_, err = io.Copy(sum, f)
		f.Close()
		if err != nil {
			return "", invalid("%s: %v", file.key, err)
		}
	}
	if c.Compose.Text != "" {
		m, err := clip.ReadModel(c.Compose.Text, "fp32")
		if err != nil {
			return "", fmt.Errorf("compose.text: %w", err)
		}
		fmt.Fprintln(sum, m.Space())
	}
	if !some {
		return "", nil
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
