package ingraph

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/trainer/optim"
)

// Options of [New].
type Options struct {
	optim.Options        // with Average there is a Mean
	Provider      string // see ort.Options
	Batch         int    // numbers of a run at most; 262,144 if zero
}

// AdamW is [optim.AdamW] in graphs. One goroutine at a time may call its methods.
type AdamW struct {
	rules        *optim.AdamW // counts, and knows the constants
	o            Options
	norm, update *ort.Session
	lines        line    // of the gradient, as norm takes it
	batches      []batch // of all that moves
	still        []span  // the rest
	work         work
}

// New returns an AdamW of so many parameters; groups are those of [optim.New].
func New(parameters int, groups []optim.Group, o Options) (*AdamW, error) {
	rules, err := optim.New(parameters, groups, o.Options)
	if err != nil {
		return nil, err
	}
	o.Batch, o.Threads = cmp.Or(o.Batch, 1<<18), max(1, o.Threads)
	a := &AdamW{rules: rules, o: o, lines: lines(parameters)}
	a.batches, a.still = plan(groups, o.Batch)
	if a.norm, err = open(a.lines.graph, o); err != nil {
		return nil, fmt.Errorf("graph of the gradient's length: %w", err)
	}
	if a.update, err = open(func() (*onnx.Model, error) { return updateGraph(o.Average) }, o); err != nil {
		return nil, errors.Join(fmt.Errorf("graph of AdamW: %w", err), a.norm.Close())
	}
	return a, nil
}

// Close frees the sessions.
func (a *AdamW) Close() error { return errors.Join(a.norm.Close(), a.update.Close()) }

// Kept is the state, which the caller may change between updates. With an Average it
// must have a Mean.
func (a *AdamW) Kept() *optim.State { return a.rules.Kept() }

// Update moves w along the gradient g at a learning rate, and returns the length of g
// before it is clipped. Where that is no finite number, nothing has been changed; numbers
// whose squares float32 cannot hold count as such. After an error w and the state are of
// no use.
func (a *AdamW) Update(w, g []float32, rate float64) (norm float64, err error) {
	s := a.Kept()
	if len(w) != len(s.M) || len(g) != len(s.M) || (s.Mean != nil) != (a.o.Average > 0) || s.Mean != nil && len(s.Mean) != len(s.M) {
		panic("ingraph: slices of another length, or a mean too many or too few")
	}
	if norm, err = a.length(g); err != nil {
		return 0, fmt.Errorf("length of the gradient: %w", err)
	}
	factors := a.rules.Next(rate, norm)
	if factors == nil {
		return norm, nil
	}
	for _, b := range a.batches {
		if err := a.move(b, w, g, s, &factors[b.group]); err != nil {
			return 0, fmt.Errorf("AdamW on %d of %d parameters: %w", b.n, len(w), err)
		}
	}
	a.follow(a.still, w, s)
	return norm, nil
}

// length is that of g.
func (a *AdamW) length(g []float32) (float64, error) {
	out := []float32{0}
	err := a.norm.RunInto([]ort.Tensor{row(out)}, a.lines.tensors(g)...)
	return float64(out[0]), err
}

// move updates a batch.
func (a *AdamW) move(b batch, w, g []float32, s *optim.State, k *optim.Factors) error {
	if k.Rate == 0 {
		a.follow(b.spans, w, s)
		return nil
	}
	state := [][]float32{w, s.M, s.V}
	if s.Mean != nil {
		state = append(state, s.Mean)
	}
	var in, out []ort.Tensor
	for i, x := range append([][]float32{g}, state...) {
		in = append(in, row(a.work.gather(i, x, b)))
	}
	for _, v := range []*float32{&k.Keep, &k.Rate, &k.Epsilon, &k.M, &k.GM, &k.V, &k.GV} {
		in = append(in, row([]float32{*v}))
	}
	for i := range state {
		out = append(out, row(a.work.result(i, b.n)))
	}
	if err := a.update.RunInto(out, in...); err != nil {
		return err
	}
	for i, x := range state {
		b.scatter(x, out[i].F32)
	}
	return nil
}

// follow moves the mean of weights that stay as they are.
func (a *AdamW) follow(list []span, w []float32, s *optim.State) {
	if s.Mean == nil {
		return
	}
	for _, at := range list {
		optim.Average(s.Mean[at.from:at.to], w[at.from:at.to], a.o.Average, a.o.Threads)
	}
}

func row(x []float32) ort.Tensor { return ort.Tensor{Shape: []int64{int64(len(x))}, F32: x} }

// work is memory that is kept from run to run.
type work struct{ in, out [5][]float32 }

// gather returns the numbers of a batch: where they are, if that is one place.
func (k *work) gather(i int, x []float32, b batch) []float32 {
	if len(b.spans) == 1 {
		return x[b.spans[0].from:b.spans[0].to]
	}
	to := grown(&k.in[i], b.n)[:0]
	for _, at := range b.spans {
		to = append(to, x[at.from:at.to]...)
	}
	return to
}

func (k *work) result(i, n int) []float32 { return grown(&k.out[i], n) }

func grown(memory *[]float32, n int) []float32 {
	if len(*memory) < n {
		*memory = slices.Grow((*memory)[:0], n)[:n]
	}
	return (*memory)[:n]
}
