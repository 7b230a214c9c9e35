package trainer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/trainer/compose"
	"github.com/clipsearch/clipsearch/trainer/data"
	"github.com/clipsearch/clipsearch/trainer/engine"
)

// prompts are the pairs of classes and texts.
type prompts struct {
	config PromptsConfig
	seed   uint64
	drawer *data.Drawer
	all    *data.Prompts
	kept   *features      // of the training pictures
	n      int            // of them
	moved  *engine.Frozen // compose.Pseudo
}

// classifier is a linear classifier of a backbone's features.
type classifier struct {
	weight, bias []float32 // [classes,width] and [classes]
	width        int
}

// openClassifier finds the weights that make logits of features.
func openClassifier(m *onnx.Model, logits string) (c classifier, err error) {
	tensors := map[string]*onnx.Tensor{}
	for _, t := range m.Initializers {
		tensors[t.Name] = t
	}
	for _, n := range m.Nodes {
		if n.Op != "Gemm" || n.Outputs[0] != logits || len(n.Inputs) != 3 {
			continue
		}
		w, b := tensors[n.Inputs[1]], tensors[n.Inputs[2]]
		if transposed, _ := n.Attr("transB").(int64); w == nil || b == nil || len(w.Dims) != 2 || transposed != 1 {
			break
		}
		c.width = int(w.Dims[1])
		if c.weight, err = w.Float32s(); err == nil {
			c.bias, err = b.Float32s()
		}
		return c, err
	}
	return c, invalid("%s of %s is not what a linear layer with a bias makes of features", logits, m.Name)
}

// openPrompts prepares the pairs; kept has the features of pictures.
func (t *Training) openPrompts(ctx context.Context, kept *features) (*prompts, error) {
	c := t.setup.Config.Prompts
	all, err := data.ReadPrompts(c.File)
	if err != nil {
		return nil, err
	}
	backbone, err := readGraph(c.Backbone)
	if err != nil {
		return nil, err
	}
	known, err := openClassifier(backbone, c.Classifier)
	if err != nil {
		return nil, err
	}
	if known.width != kept.dim || len(known.bias) != len(all.Classes) {
		return nil, invalid("%s classifies %d features as %d classes: there are %d features, and %s has %d classes", c.Backbone, known.width, len(known.bias), kept.dim, c.File, len(all.Classes))
	}
	seed := uint64(t.setup.Config.Seed)
	p := &prompts{config: c, seed: seed, drawer: all.Drawer(seed, c.Batch), all: all, kept: kept, n: len(kept.at)}
	spread, err := t.covariance(ctx, p)
	if err != nil {
		return nil, err
	}
	graph, err := compose.Pseudo{Width: known.width, Weight: known.weight, Bias: known.bias, Covariance: spread, Low: float32(c.Low), High: float32(c.High)}.Graph()
	if err != nil {
		return nil, err
	}
	p.moved, err = engine.OpenFrozen(graph, nil, t.setup.Threads, "")
	return p, err
}

// covariance of the features of the pictures as they are.
func (t *Training) covariance(ctx context.Context, p *prompts) ([]float32, error) {
	width, items := p.kept.dim, make([]int, p.n)
	for i := range items {
		items[i] = i
	}
	all, err := p.kept.rows(items, nil)
	if err != nil {
		return nil, err
	}
	mean := make([]float32, width)
	for row := range slices.Chunk(all.F32, width) {
		for j, x := range row {
			mean[j] += x / float32(p.n)
		}
	}
	graph, err := compose.Covariance(width)
	if err != nil {
		return nil, err
	}
	run, err := engine.OpenFrozen(graph, nil, t.setup.Threads, "")
	if err != nil {
		return nil, err
	}
	defer run.Close()
	sum, err := run.Run(map[string]engine.Tensor{compose.PseudoIn: all, "mean": {Shape: []int64{int64(width)}, F32: mean}})
	for i := range sum.F32 {
		sum.F32[i] /= float32(p.n)
	}
	return sum.F32, errors.Join(err, ctx.Err())
}

// batch returns the features and the texts of a step.
func (p *prompts) batch(step int) (rows engine.Tensor, texts []string, err error) {
	drawn := p.drawer.Draw(step)
	r := rand.New(rand.NewPCG(p.seed, uint64(step)<<1|1))
	n := len(drawn)
	items, views, classes, far := make([]int, n), make([]int, n), make([]int64, n), make([]float32, n)
	texts = make([]string, n)
	for i, d := range drawn {
		items[i], views[i], classes[i], texts[i] = r.IntN(p.n), r.IntN(len(p.kept.views)), int64(d.Class), d.Text
		far[i] = float32(p.config.Near + r.Float64()*(p.config.Far-p.config.Near))
	}
	if rows, err = p.kept.rows(items, views); err != nil {
		return rows, nil, err
	}
	rows, err = p.moved.Run(map[string]engine.Tensor{
		compose.PseudoIn: rows, compose.PseudoClass: {Shape: []int64{int64(n)}, I64: classes}, compose.PseudoDistance: {Shape: []int64{int64(n), 1}, F32: far},
	})
	if err != nil {
		return rows, nil, fmt.Errorf("features of classes: %w", err)
	}
	return rows, texts, nil
}

// openKnown opens the pairs of classes and texts, if there are any, and computes the
// features of all texts that will be read.
func (t *Training) openKnown(ctx context.Context, net *network, dir string) error {
	c, l := t.setup.Config, t.learner
	var list []string
	for text := range captions(t.train) {
		list = append(list, text)
	}
	if c.Prompts.File != "" {
		kept, err := t.pooled(ctx, net, dir)
		if err != nil {
			return err
		}
		if l.prompts, err = t.openPrompts(ctx, kept); err != nil {
			return fmt.Errorf("prompts: %w", err)
		}
		list = append(list, l.prompts.all.Texts()...)
	}
	if l.read == nil {
		return nil
	}
	return l.read.make(list, func(done, total int) { t.progress("encode texts", done, total) })
}

// pooled are the features that classes have, too: those of the locked tower, or such as
// the tower makes before any of it is trained.
func (t *Training) pooled(ctx context.Context, net *network, dir string) (*features, error) {
	c := t.setup.Config
	if c.Train.ImageFrom == c.Prompts.From {
		return t.locked, nil
	}
	graph, _, err := net.models[engine.Image].TrainingGraph(clip.ImageSide)
	if err == nil {
		graph, err = graph.Cut(c.Prompts.From)
	}
	if err != nil {
		return nil, invalid("prompts.from: %v", err)
	}
	tower, err := engine.OpenFrozen(graph, net.files[engine.Image], t.setup.Threads, t.setup.Provider)
	if err != nil {
		return nil, err
	}
	defer tower.Close()
	_, t.known, err = t.featuresOf(ctx, tower, net.preprocess(), t.train, c.Data.Views, dir)
	return t.known, err
}
