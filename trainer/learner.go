package trainer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/trainer/data"
	"github.com/clipsearch/clipsearch/trainer/engine"
	"github.com/clipsearch/clipsearch/trainer/optim"
)

// learner is a network in training: an engine for its gradients, AdamW, and the pairs
// that it sees.
type learner struct {
	config  Config
	net     *network
	engine  *engine.Engine
	opt     optimizer
	mean    []float32 // of the weights, or nil
	words   *words
	loader  *data.Loader
	locked  *features // of the training pictures, if the image tower is locked
	read    *texts    // what makes features of texts, if the text tower is given those
	prompts *prompts  // nil: there are none
	threads int

	next func() (*data.Batch, error, bool)
	stop func()
	at   int // the step that next is for
}

func log32(x float64) float32 { return float32(math.Log(x)) }

func newLearner(c Config, net *network, loader *data.Loader, locked *features, threads int, provider string) (*learner, error) {
	eo, err := net.engineOptions(c, loader.BatchSize(), threads, provider)
	if err != nil {
		return nil, err
	}
	e, err := engine.New(eo)
	if err != nil {
		return nil, err
	}
	l := &learner{config: c, net: net, engine: e, loader: loader, locked: locked, threads: threads}
	l.opt, err = newOptimizer(c.Optim, e.W, l.groups(), threads, provider)
	if err == nil {
		l.mean = l.opt.Kept().Mean
		l.words, err = newWords(net.models[engine.Text], cmp.Or(net.read, net.towers[engine.Text]))
	}
	if err == nil && net.read != nil {
		l.read, err = openTexts(net.read, net.files[engine.Text], l.words, threads, provider)
	}
	if err == nil {
		err = l.triesCut()
	}
	if err != nil {
		if l.opt != nil {
			l.opt.Close()
		}
		e.Close()
		return nil, err
	}
	return l, nil
}

// groups are the ranges of the weights with their rates: matrices decay, vectors and
// the temperature do not.
func (l *learner) groups() []optim.Group {
	var list []optim.Group
	for _, p := range l.engine.Params {
		g := optim.Group{From: p.Offset, To: p.Offset + p.Len, Decay: matrix(p.Dims)}
		switch {
		case p.Name == engine.LogitScale || p.Name == engine.LogitBias:
			if l.config.Loss.LearnScale {
				g.Rate = 1
			}
		case p.Name[:len(prefix(clip.ImageSide))] == prefix(clip.ImageSide):
			g.Rate = l.config.Optim.ImageFactor
		default:
			g.Rate = l.config.Optim.TextFactor
		}
		if slices.ContainsFunc(l.config.Optim.Slow, func(pattern string) bool { return match(pattern, p.Name) }) {
			g.Rate *= l.config.Optim.SlowFactor
		}
		list = append(list, g)
	}
	return list
}

// matrix reports whether a weight has more than one dimension that counts: a class token
// in front of its patches [1,1,D] is a vector.
func matrix(dims []int64) bool {
	n := 0
	for _, d := range dims {
		if d > 1 {
			n++
		}
	}
	return n > 1
}

// triesCut finds out whether texts have the same embeddings without their padding.
func (l *learner) triesCut() error {
	if l.words.length == 0 || l.words.cuts || l.read != nil {
		return nil
	}
	texts := []string{"a dog", "two dogs run on the beach"}
	whole, err := l.engine.Embed(0, engine.Text, l.words.tensors(texts))
	if err != nil {
		return err
	}
	l.words.cuts = true
	short, err := l.engine.Embed(0, engine.Text, l.words.tensors(texts))
	if err != nil {
		return err
	}
	for i, x := range whole.F32 {
		if !(math.Abs(float64(x-short.F32[i])) <= 1e-5) {
			l.words.cuts = false
		}
	}
	return nil
}

// Step implements [Learner].
func (l *learner) Step(ctx context.Context, step int) (float64, error) {
	if l.next == nil || l.at != step {
		l.close()
		l.next, l.stop = pull(l.loader.Batches(ctx, step-1, l.config.Optim.Steps))
	}
	b, err, ok := l.next()
	if err != nil || !ok {
		return 0, orEnd(ctx, err)
	}
	l.at, l.opt.Kept().Steps = step+1, step-1
	image, err := l.pictures(b, l.locked)
	if err != nil {
		return 0, err
	}
	text, err := l.trainedTexts(b.Captions)
	if err != nil {
		return 0, err
	}
	in := []engine.Inputs{{Image: image, Text: text}}
	if l.prompts != nil {
		classes, err := l.promptInputs(step)
		if err != nil {
			return 0, err
		}
		in = append(in, classes)
	}
	return l.engine.Step(step, in)
}

// promptInputs are the second stream's.
func (l *learner) promptInputs(step int) (in engine.Inputs, err error) {
	rows, list, err := l.prompts.batch(step)
	if err != nil {
		return in, err
	}
	in.Image = map[string]engine.Tensor{l.config.Prompts.From: rows}
	in.Text, err = l.trainedTexts(list)
	return in, err
}

// trainedTexts are textTensors that are not longer than the configuration wants.
func (l *learner) trainedTexts(list []string) (map[string]engine.Tensor, error) {
	if most := l.config.Data.Tokens; l.read == nil && most > 0 {
		short := *l.words
		if short.limit = min(most, short.limit); short.limit == 0 {
			short.limit = most
		}
		return short.tensors(list), nil
	}
	return l.textTensors(list)
}

// textTensors are the text tower's input: ids, or features.
func (l *learner) textTensors(list []string) (map[string]engine.Tensor, error) {
	if l.read == nil {
		return l.words.tensors(list), nil
	}
	return l.read.tensors(list)
}

// pictures are the image tower's input for a batch: pixels, or features.
func (l *learner) pictures(b *data.Batch, locked *features) (map[string]engine.Tensor, error) {
	size := int64(l.net.preprocess().Size)
	t := engine.Tensor{Shape: []int64{int64(len(b.Items)), 3, size, size}, F32: b.Pixels}
	if locked != nil {
		var err error
		if t, err = locked.rows(b.Items, b.Views); err != nil {
			return nil, err
		}
	}
	return map[string]engine.Tensor{l.net.towers[engine.Image].Inputs[0].Name: t}, nil
}

func pull(seq iter.Seq2[*data.Batch, error]) (func() (*data.Batch, error, bool), func()) {
	return iter.Pull2(seq)
}

func orEnd(ctx context.Context, err error) error {
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = fmt.Errorf("there are no more batches")
	}
	return err
}

func (l *learner) close() {
	if l.stop != nil {
		l.stop()
	}
}

// Close frees the sessions and ends the loader.
func (l *learner) Close() error {
	l.close()
	err := errors.Join(l.engine.Close(), l.opt.Close())
	if l.read != nil {
		err = errors.Join(err, l.read.run.Close())
	}
	if l.prompts != nil {
		err = errors.Join(err, l.prompts.moved.Close())
	}
	return err
}

// Update implements [Learner].
func (l *learner) Update(rate float64) (float64, error) {
	at := len(l.engine.W) - 2 // of the temperature
	var mean float32
	if l.mean != nil {
		mean = l.mean[at]
	}
	norm, err := l.opt.Update(l.engine.W, l.engine.G, rate)
	if err != nil || !finite(norm) {
		return norm, err
	}
	scale := l.engine.W[at:][:1]
	scale[0] = min(max(scale[0], 0), log32(l.config.Loss.LogitScaleMax))
	if l.mean != nil { // that of the temperature is to know its bounds
		l.mean[at] = mean
		optim.Average(l.mean[at:][:1], scale, l.config.Optim.EMA, 1)
	}
	return norm, nil
}

// State implements [Learner].
func (l *learner) State() []Tensor {
	list, kept := l.views("w/", l.engine.W), l.opt.Kept()
	list = append(list, l.views("m/", kept.M)...)
	list = append(list, l.views("v/", kept.V)...)
	if l.mean != nil {
		list = append(list, l.views("mean/", l.mean)...)
	}
	return list
}

// Weights implements [Learner].
func (l *learner) Weights() []Tensor { return l.views("w/", l.best()) }

// best are the weights that are validated and exported.
func (l *learner) best() []float32 {
	if l.mean != nil {
		return l.mean
	}
	return l.engine.W
}

// views are the parameters in a flat slice.
func (l *learner) views(prefix string, flat []float32) []Tensor {
	list := make([]Tensor, len(l.engine.Params))
	for i, p := range l.engine.Params {
		shape := make([]int, len(p.Dims))
		for j, d := range p.Dims {
			shape[j] = int(d)
		}
		list[i] = Tensor{prefix + p.Name, shape, flat[p.Offset : p.Offset+p.Len]}
	}
	return list
}

// LogitScale implements [Learner].
func (l *learner) LogitScale() float64 { return math.Exp(float64(l.engine.W[len(l.engine.W)-2])) }

// withBest calls f while the engine has the weights that are validated.
func (l *learner) withBest(f func() error) error {
	w := l.engine.W
	defer func() { l.engine.W = w }()
	l.engine.W = l.best()
	return f()
}

// embedTexts embeds texts with the weights that the engine has.
func (l *learner) embedTexts(list []string) (engine.Tensor, error) {
	in, err := l.textTensors(list)
	if err != nil {
		return engine.Tensor{}, err
	}
	return l.engine.Embed(0, engine.Text, in)
}
