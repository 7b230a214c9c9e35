package engine

import (
	"errors"
	"fmt"
)

// Inputs is a batch of a stream: what its towers' inputs are given, by their names. The
// first dimension of each is the batch.
type Inputs struct {
	Image, Text map[string]Tensor
	// Pairs [batch, batch] tells by numbers above zero which texts (columns) belong to
	// which images (rows), by how much being for InfoNCE and InfoLOOB; nil where each
	// belongs to its own alone.
	Pairs []float32
}

func (in Inputs) side(s Side) map[string]Tensor {
	if s == Image {
		return in.Image
	}
	return in.Text
}

// buffers are kept from step to step.
type buffers struct {
	pairs    map[int][]float32 // identities, by their rows
	loss     []float32
	features [sides][]float32
	seeds    [sides][]float32
}

// Step computes the loss of a batch of every stream, weighted and added up, and its
// gradients, G. The dropout masks are those of the step's number.
func (e *Engine) Step(step int, in []Inputs) (loss float64, err error) {
	if len(in) != len(e.o.Streams) {
		return 0, fmt.Errorf("%d batches for %d streams", len(in), len(e.o.Streams))
	}
	for i := range e.lanes {
		e.lanes[i].written = nil
	}
	for i, batch := range in {
		c, err := e.call(step, i, batch)
		if err == nil && e.o.GradCache {
			err = e.parts(c)
		} else if err == nil {
			err = e.whole(c)
		}
		if err != nil {
			return 0, fmt.Errorf("step %d, stream %d: %w", step, i, err)
		}
		e.Losses[i] = float64(c.loss[0])
		loss += e.Losses[i] * e.weight(i)
	}
	e.sum()
	return loss, nil
}

// call checks a batch.
func (e *Engine) call(step, stream int, in Inputs) (*call, error) {
	c := &call{e: e, step: uint64(step), stream: stream, lane: &e.lanes[0], loss: e.work.loss}
	s := e.o.Streams[stream]
	n := s.Batch
	for side := range sides {
		var err error
		if n, err = s.tower(side).accepts(in.side(side), n); err != nil {
			return nil, fmt.Errorf("%v tower: %w", side, err)
		}
		c.data[side] = in.side(side)
	}
	if n < 2 {
		return nil, errors.New("a contrast needs two pairs")
	}
	pairs, err := e.pairs(in.Pairs, n)
	c.pairs = Tensor{Shape: []int64{int64(n), int64(n)}, F32: pairs}
	return c, err
}

// accepts checks the tensors for a tower, and that they have n rows, if n is not zero.
func (t tower) accepts(data map[string]Tensor, n int) (int, error) {
	for _, p := range t.inputs() {
		d, given := data[p.Name]
		if !given || len(d.Shape) == 0 || len(d.Shape) != len(p.Shape) && p.Shape != nil {
			return 0, fmt.Errorf("the input %s %v is given a tensor of %v", p.Name, p.Shape, d.Shape)
		}
		if n == 0 {
			n = int(d.Shape[0])
		}
		size := 1
		for i, want := range d.Shape {
			size *= int(want)
			if i > 0 && p.Shape != nil {
				if known, ok := p.Shape[i].Known(); ok && known != want {
					return 0, fmt.Errorf("the input %s %v is given a tensor of %v", p.Name, p.Shape, d.Shape)
				}
			}
		}
		if int(d.Shape[0]) != n || n < 1 {
			return 0, fmt.Errorf("the input %s has %d rows in a batch of %d", p.Name, d.Shape[0], n)
		}
		if len(d.F32)+len(d.I64)+len(d.I32)+len(d.U8) != size {
			return 0, fmt.Errorf("the input %s is given another number of elements than %v", p.Name, d.Shape)
		}
	}
	return n, nil
}

// pairs checks the relation of a batch of n, or makes the usual one.
func (e *Engine) pairs(given []float32, n int) ([]float32, error) {
	if given == nil {
		if e.work.pairs[n] == nil {
			eye := make([]float32, n*n)
			for i := range n {
				eye[i*n+i] = 1
			}
			e.work.pairs = map[int][]float32{n: eye}
		}
		return e.work.pairs[n], nil
	}
	if len(given) != n*n {
		return nil, fmt.Errorf("%d numbers tell the pairs of a batch of %d", len(given), n)
	}
	rows, columns := make([]int, n), make([]int, n)
	for i, v := range given {
		if v > 0 {
			rows[i/n]++
			columns[i%n]++
		} else if v != 0 {
			return nil, fmt.Errorf("image %d and text %d belong together by %v", i/n, i%n, v)
		}
	}
	for i := range n {
		if few := min(rows[i], columns[i]); few == 0 {
			return nil, fmt.Errorf("image or text %d of the batch belongs to nothing", i)
		}
		if many := max(rows[i], columns[i]); many == n && e.o.Loss == InfoLOOB {
			return nil, fmt.Errorf("image or text %d of the batch belongs to all: InfoLOOB contrasts with others", i)
		}
	}
	return given, nil
}
