package optim

import (
	"fmt"
	"math"
	"slices"

	"github.com/clipsearch/clipsearch"
)

// Group is a range of the parameters that are treated alike.
type Group struct {
	From, To int     // To is not of it
	Rate     float64 // times the learning rate; at 0 they stay as they are
	Decay    bool    // they are drawn to zero
}

// Options of [New]. The defaults are CLIP's (Radford et al. 2021, table 20) for
// vision transformers.
type Options struct {
	Beta1   float64 // of the mean of the gradients; 0.9 if zero
	Beta2   float64 // of the mean of their squares; 0.98 if zero
	Epsilon float64 // 1e-6 if zero
	Decay   float64 // of a step at a learning rate of one; none if zero
	Clip    float64 // longest gradient; not bounded if zero
	Average float64 // what each step back counts less in Mean
	Threads int     // 1 if zero
}

// State is all that a run that goes on needs to know of an AdamW.
type State struct {
	// M and V are the means of the gradients and of their squares and Steps the
	// number of updates.
	M, V  []float32
	Steps int
	// Mean is moved towards the weights at every update, as [Average] does it, while they
	// are at hand. None if nil.
	Mean []float32
}

// AdamW is Adam with weight decay that is not part of the gradient (Loshchilov and
// Hutter 2019, algorithm 2), as PyTorch's torch.optim.AdamW computes it.
type AdamW struct {
	State

	o       Options
	groups  []Group
	factors []Factors // of the update under way, a group each
	sums    []float64 // per block, of squares
}

// New returns an AdamW of so many parameters. The groups hold each of them once, in
// order.
func New(parameters int, groups []Group, o Options) (*AdamW, error) {
	at := 0
	for _, g := range groups {
		if g.From != at || g.To <= g.From || !(g.Rate >= 0) {
			return nil, fmt.Errorf("group [%d:%d] with %g of the learning rate after %d parameters: groups follow one another, and their rates are not negative: %w", g.From, g.To, g.Rate, at, clipsearch.ErrInvalid)
		}
		at = g.To
	}
	if at != parameters {
		return nil, fmt.Errorf("groups of %d parameters, and there are %d: %w", at, parameters, clipsearch.ErrInvalid)
	}
	o.Beta1, o.Beta2, o.Epsilon = orElse(o.Beta1, 0.9), orElse(o.Beta2, 0.98), orElse(o.Epsilon, 1e-6)
	if !(o.Beta1 > 0 && o.Beta1 < 1 && o.Beta2 > 0 && o.Beta2 < 1 && o.Epsilon > 0 && o.Decay >= 0 && o.Clip >= 0 && o.Average >= 0 && o.Average < 1) {
		return nil, fmt.Errorf("AdamW with betas of %g and %g, epsilon %g, decay %g, clip %g, average %g: betas and averages lie between 0 and 1, and nothing is negative: %w", o.Beta1, o.Beta2, o.Epsilon, o.Decay, o.Clip, o.Average, clipsearch.ErrInvalid)
	}
	return &AdamW{
		State: State{M: Zeros(parameters), V: Zeros(parameters)},
		o:     o, groups: slices.Clone(groups), factors: make([]Factors, len(groups)), sums: make([]float64, (parameters+block-1)/block),
	}, nil
}

// Kept is the state, which the caller may change between updates.
func (a *AdamW) Kept() *State { return &a.State }

func orElse(v, other float64) float64 {
	if v == 0 {
		return other
	}
	return v
}

// Update moves w along the gradient g at a learning rate, and returns the length of
// g before it is clipped. Where that is no finite number, nothing has been changed.
func (a *AdamW) Update(w, g []float32, rate float64) (norm float64) {
	if len(w) != len(a.M) || len(g) != len(a.M) || a.Mean != nil && len(a.Mean) != len(a.M) {
		panic("optim: slices of another length")
	}
	norm = a.norm(g)
	factors := a.Next(rate, norm)
	if factors == nil {
		return norm
	}
	blocks(len(w), a.o.Threads, func(_, from, to int) {
		a.block(w, g, from, to, factors)
		if a.Mean != nil {
			average(a.Mean[from:to], w[from:to], float32(1-a.o.Average))
		}
	})
	return norm
}

// block updates the weights of a block, which may be of several groups.
func (a *AdamW) block(w, g []float32, from, to int, factors []Factors) {
	i, _ := slices.BinarySearchFunc(a.groups, from, func(g Group, at int) int {
		if g.To <= at {
			return -1
		}
		return 1
	})
	for ; i < len(a.groups) && a.groups[i].From < to; i++ {
		lo, hi := max(from, a.groups[i].From), min(to, a.groups[i].To)
		if k := &factors[i]; k.Rate != 0 {
			update(w[lo:hi], g[lo:hi], a.M[lo:hi], a.V[lo:hi], k)
		}
	}
}

// norm is the length of g. A sum of 2^15 squares in float64 is exact to 1e-11.
func (a *AdamW) norm(g []float32) float64 {
	blocks(len(g), a.o.Threads, func(i, from, to int) {
		var sums [chains]float64
		squares(&sums, g[from:to])
		a.sums[i] = 0
		for _, s := range sums {
			a.sums[i] += s
		}
	})
	sum := 0.0
	for _, s := range a.sums {
		sum += s
	}
	return math.Sqrt(sum)
}

// Factors are the constants of an update of a group, the clipping of the gradient and
// the corrections of the means among them: w is multiplied by Keep and then moved by
// Rate·m/(√v + Epsilon). At a Rate of 0 the group's weights, M and V stay as they are.
type Factors struct {
	Keep, Rate, Epsilon float32
	M, GM, V, GV        float32 // what the means, and what the gradient and its square are multiplied by
}

// Next counts an update by a gradient of that length, and returns the constants of each
// group for it, until the next call. Where the length is no finite number it returns nil
// and counts nothing. It is for those who do the rest elsewhere.
func (a *AdamW) Next(rate, norm float64) []Factors {
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return nil
	}
	a.Steps++
	clip := 1.0
	if a.o.Clip > 0 {
		clip = min(1, a.o.Clip/(norm+1e-6)) // as PyTorch has it
	}
	b1, b2 := a.o.Beta1, a.o.Beta2
	root := math.Sqrt(1 - math.Pow(b2, float64(a.Steps)))
	first := 1 - math.Pow(b1, float64(a.Steps))
	for i, g := range a.groups {
		rate := rate * g.Rate
		k := Factors{Keep: 1, M: float32(b1), GM: float32((1 - b1) * clip), V: float32(b2), GV: float32((1 - b2) * clip * clip)}
		if g.Decay {
			k.Keep = float32(1 - rate*a.o.Decay)
		}
		k.Rate, k.Epsilon = float32(rate/first*root), float32(a.o.Epsilon*root)
		a.factors[i] = k
	}
	return a.factors
}
