package trainer

import (
	"github.com/clipsearch/clipsearch/trainer/optim"
	"github.com/clipsearch/clipsearch/trainer/optim/ingraph"
)

// optimizer is AdamW on the flat slices of an engine.
type optimizer interface {
	// Update moves the weights w along the gradient g and returns its length before it is
	// clipped; it changes nothing if that is not finite.
	Update(w, g []float32, rate float64) (norm float64, err error)
	// Kept is what checkpoints keep, and fill.
	Kept() *optim.State
	Close() error
}

// onHost is AdamW in Go: it cannot fail, and holds nothing but memory.
type onHost struct{ *optim.AdamW }

func (o onHost) Update(w, g []float32, rate float64) (norm float64, err error) {
	return o.AdamW.Update(w, g, rate), nil
}

func (onHost) Close() error { return nil }

// newOptimizer returns the one that c asks for, for weights that start as w.
func newOptimizer(c OptimConfig, w []float32, groups []optim.Group, threads int, provider string) (optimizer, error) {
	o := optim.Options{Beta1: c.Beta1, Beta2: c.Beta2, Epsilon: c.Epsilon, Decay: c.Decay, Clip: c.ClipNorm, Average: c.EMA, Threads: threads}
	opt, err := adamW(c.InGraph, len(w), groups, o, provider)
	if err != nil {
		return nil, err
	}
	if c.EMA > 0 {
		mean := optim.Zeros(len(w))
		copy(mean, w)
		opt.Kept().Mean = mean
	}
	return opt, nil
}

func adamW(inGraph bool, n int, groups []optim.Group, o optim.Options, provider string) (optimizer, error) {
	if inGraph {
		return ingraph.New(n, groups, ingraph.Options{Options: o, Provider: provider})
	}
	a, err := optim.New(n, groups, o)
	return onHost{a}, err
}
