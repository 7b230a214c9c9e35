package trainer

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/trainer/compose"
	"github.com/clipsearch/clipsearch/trainer/data"
	"github.com/clipsearch/clipsearch/trainer/engine"
)

// The values of a composed model that heads go on from.
const (
	imageFeatures = "image_features"
	textFeatures  = "text_features"
	imageHead     = "head.image"
	textHead      = "head.text"
)

// composition is a network that is being put together.
type composition struct {
	*Training
	ComposeConfig
	image *onnx.Model
	text  textBackbone
	known *classifier // nil: none
}

// textBackbone is a text tower, its tensors' files and its words.
type textBackbone struct {
	model clip.Model
	graph *onnx.Model // with the output textFeatures
	files fs.FS
	words fs.FS
}

// composed writes the network of two backbones and new heads into dir, and reads it.
func (t *Training) composed(ctx context.Context, dir string) (m clip.Model, err error) {
	c := &composition{Training: t, ComposeConfig: t.setup.Config.Compose}
	if err := c.openBackbones(); err != nil {
		return m, fmt.Errorf("compose: %w", err)
	}
	words, net := filepath.Join(dir, "words"), filepath.Join(dir, "network")
	if err := os.RemoveAll(net); err != nil {
		return m, err
	}
	if err := os.MkdirAll(net, 0o755); err != nil {
		return m, err
	}
	if err := c.cutWords(words); err != nil {
		return m, fmt.Errorf("compose: vocabulary: %w", err)
	}
	pre := c.preprocess()
	visual, textual, err := c.towers(ctx, pre, dir)
	if err != nil {
		return m, fmt.Errorf("compose: %w", err)
	}
	about := clip.Model{Name: "composed", Architecture: "composed", Licence: c.Licence, Preprocess: pre, ContextLength: c.Context, Tokenizer: c.text.model.Tokenizer,
		LogitScale: t.setup.Config.Loss.LogitScale, CutTexts: c.text.model.CutTexts}
	about.Tokenizer.Dir, about.Tokenizer.PadTo = ".", 0
	return clip.NewModel(net, about, clip.Parts{Image: visual, Text: textual, TextFiles: c.text.files, Words: c.text.words})
}

func (c *composition) preprocess() clip.Preprocess {
	each := func(x float64) [3]float64 { return [3]float64{x, x, x} }
	return clip.Preprocess{Size: c.ImageSize, Mean: each(c.PixelMean), Std: each(c.PixelStd)}
}

// readGraph reads an ONNX file whose weights lie in it.
func readGraph(name string) (*onnx.Model, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, invalid("%v", err)
	}
	m, err := onnx.Read(raw)
	if err != nil {
		return nil, invalid("%s: %v", name, err)
	}
	return m, nil
}

func (c *composition) openBackbones() (err error) {
	if c.image, err = readGraph(c.Image); err != nil {
		return err
	}
	if c.ImageValue == clip.ImageFeatures { // which is what the head's will be called
		if c.image, err = c.image.Renamed(c.ImageValue, imageFeatures); err != nil {
			return err
		}
		c.ImageValue = imageFeatures
	}
	if c.Classifier != "" {
		known, err := openClassifier(c.image, c.Classifier)
		if err != nil {
			return err
		}
		c.known = &known
	}
	if c.text.model, err = clip.ReadModel(c.Text, "fp32"); err != nil {
		return err
	}
	graph, files, err := c.text.model.TrainingGraph(clip.TextSide)
	if err != nil {
		return err
	}
	if graph, err = oneOutput(graph, outputs[engine.Text]); err != nil {
		return err
	}
	c.text.files = files
	if c.text.graph, err = graph.Renamed(graph.Outputs[0].Name, textFeatures); err == nil && c.TextBackboneDropout > 0 {
		c.text.graph = compose.WithDropout(c.text.graph, c.TextBackboneDropout, addsToResidual)
	}
	return err
}

// addsToResidual reports whether a node is the last layer of attention or of an MLP in
// one of transformers' text encoders, where they are trained with dropout (Devlin et al.
// 2018, appendix A.2).
func addsToResidual(n *onnx.Node) bool {
	return n.Op == "Gemm" && strings.HasSuffix(n.Inputs[1], "output.dense.weight")
}

// towers puts heads on the backbones.
func (c *composition) towers(ctx context.Context, pre clip.Preprocess, dir string) (visual, textual *onnx.Model, err error) {
	front, err := c.image.Cut(c.ImageValue)
	if err != nil {
		return nil, nil, err
	}
	tower, err := engine.OpenFrozen(front, nil, c.setup.Threads, c.setup.Provider)
	if err != nil {
		return nil, nil, err
	}
	defer tower.Close()
	_, kept, err := c.featuresOf(ctx, tower, pre, c.train, c.setup.Config.Data.Views, filepath.Join(dir, "features"))
	if err != nil {
		return nil, nil, err
	}
	defer kept.close()
	seed := uint64(c.setup.Config.Seed)
	head := compose.Head{Name: imageHead, Width: kept.dim, Dim: c.Dim, Hidden: c.Hidden, Dropout: c.ImageDropout, HiddenDropout: c.HiddenDropout, Seed: seed}
	if head.Mean, head.Std, err = moments(kept); err != nil {
		return nil, nil, err
	}
	words := compose.Head{Name: textHead, Width: width(c.text.graph.Outputs[0].Shape), Dim: c.Dim, Hidden: c.Hidden, Dropout: c.TextDropout, HiddenDropout: c.HiddenDropout, Seed: seed + 1}
	if c.TextScale > 0 {
		words.Unit, words.Scale = true, float32(c.TextScale)
	}
	behind, err := words.Graph(clip.TextFeatures)
	if err != nil {
		return nil, nil, err
	}
	if c.known != nil {
		if head.Classes, err = c.classes(behind); err != nil {
			return nil, nil, err
		}
	}
	if textual, err = c.text.graph.Then(textFeatures, behind); err != nil {
		return nil, nil, err
	}
	behind, err = head.Graph(clip.ImageFeatures)
	if err != nil {
		return nil, nil, err
	}
	visual, err = c.image.Then(c.ImageValue, behind)
	return visual, textual, err
}

// moments are the means and deviations of all views' features.
func moments(kept *features) (mean, std []float32, err error) {
	n, sum, squares := 0, make([]float64, kept.dim), make([]float64, kept.dim)
	for view := range kept.views {
		for item := range kept.at {
			row, err := kept.rows([]int{item}, []int{view})
			if err != nil {
				return nil, nil, err
			}
			for i, x := range row.F32 {
				sum[i] += float64(x)
				squares[i] += float64(x) * float64(x)
			}
			n++
		}
	}
	for i := range sum {
		m := sum[i] / float64(n)
		mean, std = append(mean, float32(m)), append(std, float32(math.Sqrt(max(0, squares[i]/float64(n)-m*m))))
	}
	return mean, std, nil
}

// classes is what the image head begins with: each class has the embedding that the
// linear layer of the text head gives "a photo of a" it, so that the two agree from the
// first step on.
func (c *composition) classes(head *onnx.Model) (*compose.Classes, error) {
	all, err := data.ReadPrompts(c.setup.Config.Prompts.File)
	if err != nil {
		return nil, fmt.Errorf("the classifier's classes have no names: %w", err)
	}
	n := len(all.Classes)
	if len(c.known.bias) != n {
		return nil, invalid("%s knows %d classes, %s names %d", c.Image, len(c.known.bias), c.setup.Config.Prompts.File, n)
	}
	var list []string
	for _, class := range all.Classes {
		list = append(list, "a photo of a "+class.Name)
	}
	x, err := c.openTexts()
	if err != nil {
		return nil, err
	}
	defer x.run.Close()
	in, err := x.tensors(list)
	if err != nil {
		return nil, err
	}
	// The head without dropout, without its hidden layer and its bias: unit, scale, skip.
	linear, err := skipOnly(head)
	if err != nil {
		return nil, err
	}
	run, err := engine.OpenFrozen(linear, nil, c.setup.Threads, "")
	if err != nil {
		return nil, err
	}
	defer run.Close()
	out, err := run.RunOne(in[textFeatures])
	if err != nil {
		return nil, err
	}
	embeddings := out.F32
	for i := range embeddings {
		embeddings[i] /= float32(c.ClassFactor)
	}
	return &compose.Classes{Weight: c.known.weight, Bias: c.known.bias, Embeddings: embeddings, Factor: float32(c.ClassFactor)}, nil
}

// skipOnly is the linear layer of a head alone, without its bias.
func skipOnly(head *onnx.Model) (*onnx.Model, error) {
	for _, n := range head.Nodes {
		if n.Op == "Gemm" && strings.HasSuffix(n.Inputs[1], textHead+".skip.weight") {
			own := *head
			own.Nodes = slices.Clone(head.Nodes)
			layer := *n
			layer.Inputs = n.Inputs[:2]
			own.Nodes[slices.Index(head.Nodes, n)] = &layer
			return own.Cut(layer.Outputs[0])
		}
	}
	return nil, fmt.Errorf("the head has no linear layer")
}

// openTexts runs the text backbone.
func (c *composition) openTexts() (*texts, error) {
	about := c.text.model
	tokens, err := clip.OpenTokenizer(c.text.words, clip.TokenizerOptions{Clean: about.Tokenizer.Clean, ContextLength: c.Context, Prefix: about.Tokenizer.Prefix, NoEnd: about.Tokenizer.NoEnd})
	if err != nil {
		return nil, err
	}
	w := &words{tokens: tokens, inputs: c.text.graph.Inputs, pad: about.Tokenizer.Pad, limit: c.Context}
	return openTexts(c.text.graph, c.text.files, w, c.setup.Threads, c.setup.Provider)
}
