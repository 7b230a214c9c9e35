package clip

import (
	"fmt"
	"math"

	"github.com/clipsearch/clipsearch/onnx"
)

// textTransformer is CLIP's text tower (Radford et al. 2021, section 2.4) and what
// others made of it.
type textTransformer struct {
	stack
	tokens, positions string // whole names, [V,D] and [L,D]
	normFinal         string
	pool              string // "argmax" (the first largest id), "eos", "last", "first"
	eos               int64
	project           func(p *params, x *onnx.Value) *onnx.Value // nil: none
}

// build returns the features of texts. A causal tower takes ids of any length up to
// its positions; another one ids that are filled up to exactly that length, since
// what fills up is seen.
func (t textTransformer) build(p *params) *onnx.Value {
	d, limit := p.dim(t.positions, 2, 1), p.dim(t.positions, 2, 0)
	size := onnx.N(limit)
	if t.causal {
		size = length
	}
	ids := p.g.Input(IDsPort, onnx.Int64, batch, size)
	x := p.table(t.tokens, d, ids)
	pos := p.value(t.positions)
	if t.causal {
		pos = p.g.Head(pos, 0, p.g.DimOf(ids, 1), length)
	}
	x = rows(p.g, p.g.Add(x, pos))
	seq := sequence{length: size, like: ids}
	x = t.run(p, x, seq, t.chosen(p, ids))
	x = p.norm(x, t.normFinal, t.epsilon) // by row: after the choice or before is the same
	if t.project != nil {
		x = t.project(p, x)
	}
	return x
}

// chosen says which row of each text is its feature.
func (t textTransformer) chosen(p *params, ids *onnx.Value) *pick {
	var at *onnx.Value
	switch t.pool {
	case "argmax":
		at = p.g.ArgMax(ids, 1)
	case "eos":
		at = p.g.ArgMax(p.g.Cast(p.g.Equal(ids, p.g.Int64s(t.eos)), onnx.Int32), 1)
	case "last":
		return &pick{row: func(x *onnx.Value) *onnx.Value { return p.g.Index(x, 1, -1) }}
	case "first":
		first := &pick{row: func(x *onnx.Value) *onnx.Value { return p.g.Index(x, 1, 0) }}
		if t.causal {
			first.seen = t.upTo(p, ids, p.g.Sub(p.g.ArgMax(ids, 1), p.g.ArgMax(ids, 1)))
		}
		return first
	default:
		p.g.Fail(fmt.Errorf("pooling %q is not known here", t.pool))
	}
	one := &pick{row: func(x *onnx.Value) *onnx.Value { return p.g.Pick(x, at) }}
	if t.causal {
		one.seen = t.upTo(p, ids, at)
	}
	return one
}

// upTo is what attention's scores get so that row at [batch] sees nothing that
// follows it: 0 up to it, −∞ after it, [batch,1,1,length].
func (t textTransformer) upTo(p *params, ids, at *onnx.Value) *onnx.Value {
	dim := ids.Shape()[1]
	places := p.g.Range(p.g.DimOf(ids, 1), dim)
	seen := p.g.LessOrEqual(p.g.Unsqueeze(places, 0), p.g.Unsqueeze(at, 1))
	bias := p.g.Where(seen, p.g.Scalar(0), p.g.Scalar(float32(math.Inf(-1))))
	return p.g.Unsqueeze(p.g.Unsqueeze(bias, 1), 1)
}
