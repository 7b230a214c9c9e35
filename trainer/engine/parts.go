package engine

import (
	"fmt"

	"github.com/clipsearch/clipsearch/onnx"
)

// parts computes the gradients of a batch part by part: the features of all parts, the
// loss and the gradients of the features, and for each part, once more from its inputs,
// those of the weights (Gao et al. 2021).
func (e *Engine) parts(c *call) error {
	n := int(c.pairs.Shape[0])
	for side := range sides {
		if err := e.embedParts(c, side, n); err != nil {
			return err
		}
	}
	p, err := e.lossOf(c, n)
	if err != nil {
		return err
	}
	if err := c.lane.run(p, c); err != nil {
		return err
	}
	for side := range sides {
		err := e.eachPart(c, n, func(rows int) error {
			p, err := e.backPart(c, side, rows)
			if err == nil {
				err = c.lane.run(p, c)
			}
			if err == nil {
				e.look(p, c.lane)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachPart calls f with the rows of each part, which the call then begins at.
func (e *Engine) eachPart(c *call, n int, f func(rows int) error) error {
	defer func() { c.first = 0 }()
	for c.first = 0; c.first < n; c.first += e.o.Part {
		if err := f(min(e.o.Part, n-c.first)); err != nil {
			return err
		}
	}
	return nil
}

// embedParts fills c.features and makes room for the seeds.
func (e *Engine) embedParts(c *call, side Side, n int) error {
	return e.eachPart(c, n, func(rows int) error {
		p, err := e.featuresOf(c, side, rows)
		if err != nil {
			return err
		}
		if c.first == 0 {
			c.features[side] = table(&e.work.features[side], n, p.dim)
			c.seeds[side] = table(&e.work.seeds[side], n, p.dim)
		}
		return p.run(c)
	})
}

// table is a tensor in memory that is kept.
func table(memory *[]float32, n, dim int) Tensor {
	if len(*memory) != n*dim {
		*memory = make([]float32, n*dim)
	}
	return Tensor{Shape: []int64{int64(n), int64(dim)}, F32: *memory}
}

// partKey names a program of one side.
func (e *Engine) partKey(what string, c *call, side Side, n int) string {
	return fmt.Sprint(what, c.stream, side, n, e.o.Streams[c.stream].tower(side).shapes(c.data[side]))
}

// featuresOf is the program of the features of a part.
func (e *Engine) featuresOf(c *call, side Side, n int) (*program, error) {
	return e.programs.get(e.partKey("features ", c, side, n), e.o.Sessions, func() (*program, error) {
		return e.build("features", c.stream, func(b *building) {
			parts, at := b.chunks(side, c, n)
			b.features(side, parts, at)
		})
	})
}

// lossOf is the program from the features of a batch to their gradients.
func (e *Engine) lossOf(c *call, n int) (*program, error) {
	return e.programs.get(fmt.Sprint("loss ", c.stream, n), e.o.Sessions, func() (*program, error) {
		return e.build("loss", c.stream, func(b *building) {
			var features [sides]*onnx.Value
			for side := range sides {
				features[side] = b.input(fmt.Sprint(side), onnx.Float, c.features[side].Shape, func(c *call) Tensor { return c.features[side] })
			}
			for side, v := range b.loss(features) {
				b.output(fmt.Sprint("slope/", Side(side)), v, func(c *call) Tensor { return c.seeds[side] })
			}
		})
	})
}

// backPart is the program from a part's inputs and seeds to the weights' gradients.
func (e *Engine) backPart(c *call, side Side, n int) (*program, error) {
	return e.programs.get(e.partKey("backward ", c, side, n), e.o.Sessions, func() (*program, error) {
		return e.build("backward", c.stream, func(b *building) {
			parts, at := b.chunks(side, c, n)
			b.backward(parts, b.seeds(side, parts, at))
		})
	})
}
