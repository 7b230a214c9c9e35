package trainer

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/trainer/compose"
	"github.com/clipsearch/clipsearch/trainer/data"
	"github.com/clipsearch/clipsearch/trainer/engine"
	"github.com/clipsearch/clipsearch/trainer/features"
)

// prompts are the pairs of classes and texts.
type prompts struct {
	config PromptsConfig
	seed   uint64
	drawer *data.Drawer
	all    *data.Prompts
	kept   *features.Store
	items  []int          // places in kept of the pictures whose features are moved
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
func (t *Training) openPrompts(ctx context.Context, kept *features.Store) (*prompts, error) {
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
	if known.width != kept.Width() || len(known.bias) != len(all.Classes) {
		return nil, invalid("%s classifies %d features as %d classes: there are %d features, and %s has %d classes", c.Backbone, known.width, len(known.bias), kept.Width(), c.File, len(all.Classes))
	}
	seed := uint64(t.setup.Config.Seed)
	p := &prompts{config: c, seed: seed, drawer: all.Drawer(seed, c.Batch), all: all, kept: kept}
	for i := range t.train.Items {
		if kept.Has(i) {
			p.items = append(p.items, i)
		}
	}
	spread, err := t.covariance(ctx, p)
	if err != nil {
		return nil, err
	}
	graph, err := compose.Pseudo{Width: known.width, Weight: known.weight, Bias: known.bias, Covariance: spread, Low: float32(c.Low), High: float32(c.High)}.Graph()
	if err != nil {
		return nil, err
	}
	p.moved, err = engine.NewFrozen(graph, nil, t.setup.Threads, "")
	return p, err
}

// covariance of the features of the unvaried pictures.
func (t *Training) covariance(ctx context.Context, p *prompts) ([]float32, error) {
	n, width := len(p.items), p.kept.Width()
	if n < 2 {
		return nil, invalid("%d pictures have features", n)
	}
	all := make([]float32, n*width)
	sums := make([]float64, width)
	for i, item := range p.items {
		row := all[i*width:][:width]
		if err := p.kept.Row(row, item, 0); err != nil {
			return nil, err
		}
		for j, x := range row {
			sums[j] += float64(x)
		}
	}
	mean := make([]float32, width)
	for j, s := range sums {
		mean[j] = float32(s / float64(n))
	}
	graph, err := compose.Covariance(width)
	if err != nil {
		return nil, err
	}
	run, err := engine.NewFrozen(graph, nil, t.setup.Threads, "")
	if err != nil {
		return nil, err
	}
	defer run.Close()
	out, err := run.Run(map[string]engine.Tensor{compose.PseudoIn: {Shape: []int64{int64(n), int64(width)}, F32: all}, "mean": {Shape: []int64{int64(width)}, F32: mean}})
	if err != nil {
		return nil, err
	}
	sum := out[graph.Outputs[0].Name].F32
	for i := range sum {
		sum[i] /= float32(n)
	}
	return sum, ctx.Err()
}

// batch returns the features and the texts of a step.
func (p *prompts) batch(step int) ([]float32, []string, error) {
	drawn, width := p.drawer.Draw(step), p.kept.Width()
	r := rand.New(rand.NewPCG(p.seed, uint64(step)<<1|1))
	n := int64(len(drawn))
	rows, classes, far := make([]float32, len(drawn)*width), make([]int64, n), make([]float32, n)
	texts := make([]string, n)
	for i, d := range drawn {
		item, view := p.items[r.IntN(len(p.items))], r.IntN(p.kept.Views())
		if err := p.kept.Row(rows[i*width:][:width], item, view); err != nil {
			return nil, nil, err
		}
		classes[i], texts[i] = int64(d.Class), d.Text
		far[i] = float32(p.config.Near + r.Float64()*(p.config.Far-p.config.Near))
	}
	out, err := p.moved.Run(map[string]engine.Tensor{
		compose.PseudoIn: {Shape: []int64{n, int64(width)}, F32: rows}, compose.PseudoClass: {Shape: []int64{n}, I64: classes},
		compose.PseudoDistance: {Shape: []int64{n, 1}, F32: far},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("features of classes: %w", err)
	}
	return out[compose.PseudoOut].F32, texts, nil
}
