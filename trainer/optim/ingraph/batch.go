package ingraph

import (
	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/trainer/optim"
)

// span is a range of the parameters.
type span struct{ from, to int }

// batch is what is updated in one run, with the constants of one group.
type batch struct {
	group int
	spans []span
	n     int // numbers
}

// plan puts parameters that are updated alike into batches of most numbers, full ones
// but for the last of each kind, and finds those that never move.
func plan(groups []optim.Group, most int) (batches []batch, still []span) {
	type kind struct {
		rate  float64
		decay bool
	}
	last := map[kind]int{} // batch that is being filled
	for i, g := range groups {
		if g.Rate == 0 {
			still = append(still, span{g.From, g.To})
			continue
		}
		k := kind{g.Rate, g.Decay}
		for at := g.From; at < g.To; {
			j, met := last[k]
			if !met || batches[j].n == most {
				j = len(batches)
				last[k] = j
				batches = append(batches, batch{group: i})
			}
			n := min(g.To-at, most-batches[j].n)
			batches[j].add(span{at, at + n})
			at += n
		}
	}
	return batches, still
}

func (b *batch) add(s span) {
	b.n += s.to - s.from
	if last := len(b.spans) - 1; last >= 0 && b.spans[last].to == s.from {
		b.spans[last].to = s.to
		return
	}
	b.spans = append(b.spans, s)
}

// scatter puts the numbers of a batch back to their places in x.
func (b batch) scatter(x, from []float32) {
	for _, at := range b.spans {
		from = from[copy(x[at.from:at.to], from):]
	}
}

// line is how the gradient is cut for its length: in full lines, and what is left.
type line struct{ full, rest int }

// width of a line: so few squares are added in float32, and the lines' sums in float64.
const width = 1024

func lines(n int) line { return line{n / width, n % width} }

// tensors views g as the graph's inputs.
func (l line) tensors(g []float32) (list []ort.Tensor) {
	for _, part := range []span{{0, l.full * width}, {l.full * width, l.full*width + l.rest}} {
		if n := part.to - part.from; n > 0 {
			per := min(n, width)
			list = append(list, ort.Tensor{Shape: []int64{int64(n / per), int64(per)}, F32: g[part.from:part.to]})
		}
	}
	return list
}
