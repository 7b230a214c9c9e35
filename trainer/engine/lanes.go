package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/trainer/optim"
)

// lane is one of two halves of a batch, which go through the towers side by side: two
// runs of one thread do not wait for each other after every operator, as two threads of
// one run do. A batch has both halves whatever the number of threads, so that this does
// not show in the result.
type lane struct {
	i       int
	grads   []float32        // as G, which it is for the first lane
	spare   []float32        // as G: gradients of what was written before
	written []span           // of grads in this step
	kept    [sides][]float32 // what the backward pass needs of the forward pass
}

// lanes is how many there are.
const lanes = 2

// makeLanes gives each lane its gradients. Those of a vocabulary are not touched but in
// the first (building.tables).
func (e *Engine) makeLanes() {
	for i := range e.lanes {
		e.lanes[i] = lane{i: i, grads: e.G}
		if i > 0 {
			e.lanes[i].grads = optim.Zeros(len(e.G))
		}
	}
}

// run runs a program and has its gradients in the lane.
func (l *lane) run(p *program, c *call) error {
	again := slices.ContainsFunc(p.params, func(s span) bool {
		return slices.ContainsFunc(l.written, func(w span) bool { return w.from < s.to && s.from < w.to })
	})
	c.grads = l.grads
	if again {
		if l.spare == nil {
			l.spare = make([]float32, len(l.grads))
		}
		c.grads = l.spare // a run must not read what it writes
	}
	if err := p.run(c); err != nil {
		return err
	}
	for _, s := range p.params {
		i, met := slices.BinarySearchFunc(l.written, s, func(w, s span) int { return cmp.Compare(w.from, s.from) })
		switch {
		case met:
			optim.Add(l.grads[s.from:s.to], l.spare[s.from:s.to], 1)
		case again:
			copy(l.grads[s.from:s.to], l.spare[s.from:s.to])
			fallthrough
		default:
			l.written = slices.Insert(l.written, i, s)
		}
	}
	return nil
}

// look adds the gradients of rows that a program of the lane found to G.
func (e *Engine) look(p *program, l *lane) {
	first := &e.lanes[0]
	for _, k := range p.lookups {
		s := span{k.param.Offset, k.param.Offset + k.param.Len}
		i, met := slices.BinarySearchFunc(first.written, s, func(w, s span) int { return cmp.Compare(w.from, s.from) })
		if !met {
			clear(e.G[s.from:s.to])
			first.written = slices.Insert(first.written, i, s)
		}
		k.add(e.G, l.i, e.o.Threads)
	}
}

// sum adds the gradients of the lanes up in G, and clears those that no tower has.
func (e *Engine) sum() {
	first := &e.lanes[0]
	for _, l := range e.lanes[1:] {
		for _, s := range l.written {
			i, met := slices.BinarySearchFunc(first.written, s, func(w, s span) int { return cmp.Compare(w.from, s.from) })
			if met {
				optim.Add(e.G[s.from:s.to], l.grads[s.from:s.to], e.o.Threads)
			} else {
				copy(e.G[s.from:s.to], l.grads[s.from:s.to])
				first.written = slices.Insert(first.written, i, s)
			}
		}
	}
	at := 0
	for _, s := range first.written {
		clear(e.G[at:s.from])
		at = s.to
	}
	clear(e.G[at:])
}

// half is the part of a batch that goes through a lane.
type half struct {
	call *call
	rows int
	p    [sides]*program // forward; next is the backward pass
}

// whole computes the gradients of a batch, half of it in each lane.
func (e *Engine) whole(c *call) error {
	n := int(c.pairs.Shape[0])
	halves, err := e.halves(c, n)
	if err != nil {
		return err
	}
	for side := range sides {
		c.features[side] = table(&e.work.features[side], n, halves[0].p[side].dim)
		c.seeds[side] = table(&e.work.seeds[side], n, halves[0].p[side].dim)
	}
	err = e.each(halves, func(h half) error {
		h.call.features, h.call.seeds = c.features, c.seeds
		for side, p := range h.p {
			if kept := &h.call.lane.kept[side]; len(*kept) < p.kept {
				*kept = make([]float32, p.kept)
			}
			h.call.kept = h.call.lane.kept[side]
			if err := p.run(h.call); err != nil {
				return fmt.Errorf("%v tower: %w", Side(side), err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	p, err := e.lossOf(c, n)
	if err == nil {
		err = c.lane.run(p, c)
	}
	if err != nil {
		return err
	}
	err = e.each(halves, func(h half) error {
		for side, p := range h.p {
			h.call.kept = h.call.lane.kept[side]
			if err := h.call.lane.run(p.next, h.call); err != nil {
				return fmt.Errorf("%v tower, backward: %w", Side(side), err)
			}
		}
		return nil
	})
	for _, h := range halves {
		for _, p := range h.p {
			e.look(p.next, h.call.lane)
		}
	}
	return err
}

// each calls f for the halves, at the same time where there are threads for it.
func (e *Engine) each(halves []half, f func(h half) error) error {
	errs := make([]error, len(halves))
	if e.o.Threads == 1 {
		for i, h := range halves {
			errs[i] = f(h)
		}
	} else {
		optim.Each(len(halves), func(i int) { errs[i] = f(halves[i]) })
	}
	return cmp.Or(errs...)
}

// halves finds or builds the programs for a batch of n.
func (e *Engine) halves(c *call, n int) (list []half, err error) {
	at := 0
	for i := range e.lanes {
		own := *c
		own.lane, own.first = &e.lanes[i], at
		h := half{call: &own, rows: (n - at) / (len(e.lanes) - i)}
		for side := range sides {
			if h.p[side], err = e.half(c, side, h.rows); err != nil {
				return nil, fmt.Errorf("%v tower: %w", side, err)
			}
		}
		list, at = append(list, h), at+h.rows
	}
	return list, nil
}

// half builds the forward and backward pass of so many rows of a side as one graph, and
// cuts it where the seeds come in.
func (e *Engine) half(c *call, side Side, n int) (*program, error) {
	return e.programs.get(e.partKey("half ", c, side, n), e.o.Sessions, func() (*program, error) {
		var later []string
		m, p, err := e.write("half", c.stream, func(b *building) {
			parts, at := b.chunks(side, c, n)
			b.features(side, parts, at)
			seeds := b.seeds(side, parts, at)
			for _, s := range seeds {
				later = append(later, s.Name())
			}
			b.backward(parts, seeds)
		})
		if err != nil {
			return nil, err
		}
		first, second, kept := m.Halve(later...)
		forward, back := p.of(first), p.of(second)
		if err := forward.keep(kept, back); err != nil {
			return nil, err
		}
		forward.next = back
		threads := max(1, e.o.Threads/lanes)
		if err := e.open(forward, first, threads); err != nil {
			return nil, err
		}
		if len(back.out) == 0 { // the tower is frozen
			return forward, nil
		}
		if err := e.open(back, second, threads); err != nil {
			return nil, errors.Join(err, forward.close())
		}
		return forward, nil
	})
}

// of is the program of a half of p's graph.
func (p *program) of(m *onnx.Model) *program {
	named := func(ports []onnx.Port) func(port) bool {
		return func(q port) bool {
			return !slices.ContainsFunc(ports, func(r onnx.Port) bool { return r.Name == q.name })
		}
	}
	q := &program{dim: p.dim}
	q.in = slices.DeleteFunc(slices.Clone(p.in), named(m.Inputs))
	q.out = slices.DeleteFunc(slices.Clone(p.out), named(m.Outputs))
	if slices.ContainsFunc(q.out, func(o port) bool { return o.grads }) {
		q.params, q.lookups = p.params, p.lookups
	}
	return q
}

// keep gives the values that cross a place in a lane's memory.
func (p *program) keep(kept []onnx.Port, back *program) error {
	for _, k := range kept {
		n, known := k.Shape.Size().Known()
		if !known || k.Type != onnx.Float {
			return fmt.Errorf("the value %s of %v%v would have to be kept", k.Name, k.Type, k.Shape)
		}
		dims := []int64{}
		for _, d := range k.Shape {
			v, _ := d.Known()
			dims = append(dims, v)
		}
		at := p.kept
		p.kept += int(n)
		if len(dims) == 0 {
			return fmt.Errorf("the value %s without dimensions would have to be kept", k.Name)
		}
		own := port{name: k.Name, of: func(c *call) Tensor { return Tensor{Shape: dims, F32: c.kept[at : at+int(n)]} }}
		p.out, back.in = append(p.out, own), append(back.in, own)
	}
	return nil
}
