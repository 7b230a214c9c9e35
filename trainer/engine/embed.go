package engine

import (
	"fmt"
	"math"
	"slices"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
)

// Embed returns what a stream's tower makes of its inputs with the weights as they are:
// rows of length one, with no dropout. There may be any number of rows.
func (e *Engine) Embed(stream int, side Side, in map[string]Tensor) (Tensor, error) {
	if stream < 0 || stream >= len(e.o.Streams) || side < 0 || side >= sides {
		return Tensor{}, fmt.Errorf("stream %d has no %v tower here", stream, side)
	}
	tw := e.o.Streams[stream].tower(side)
	n, err := tw.accepts(in, 0)
	if err != nil {
		return Tensor{}, fmt.Errorf("%v tower: %w", side, err)
	}
	p, err := e.programs.get(fmt.Sprint("embed ", stream, side), e.o.Sessions, func() (*program, error) { return e.inference(tw) })
	if err != nil {
		return Tensor{}, err
	}
	var all Tensor
	size := e.chunk(stream, side, in)
	for at := 0; at < n; at += size {
		c := &call{e: e, first: at}
		c.data[0] = map[string]Tensor{}
		for name, t := range in {
			c.data[0][name] = rows(t, at, min(size, n-at))
		}
		tensors := make([]Tensor, len(p.in))
		for i, port := range p.in {
			tensors[i] = port.of(c)
		}
		out, err := p.session.Run(tensors...)
		if err != nil {
			return Tensor{}, fmt.Errorf("%v tower: %w", side, err)
		}
		all.F32 = append(all.F32, out[0].F32...)
		all.Shape = []int64{int64(n), out[0].Shape[len(out[0].Shape)-1]}
	}
	normalize(all)
	return all, nil
}

// normalize brings rows to length one.
func normalize(t Tensor) {
	for row := range slices.Chunk(t.F32, int(t.Shape[1])) {
		sum := 0.0
		for _, x := range row {
			sum += float64(x) * float64(x)
		}
		if sum == 0 {
			continue
		}
		scale := float32(1 / math.Sqrt(sum))
		for i := range row {
			row[i] *= scale
		}
	}
}

// inference is a tower as it is, with inputs in the place of the weights that are
// trained.
func (e *Engine) inference(tw tower) (*program, error) {
	p, m := &program{}, *tw.model
	m.Inputs, m.Initializers, m.Nodes = nil, nil, slices.Clone(m.Nodes)
	for _, in := range tw.inputs() {
		m.Inputs = append(m.Inputs, in)
		p.in = append(p.in, port{name: in.Name, of: func(c *call) Tensor { return c.data[0][in.Name] }})
	}
	for _, t := range tw.model.Initializers {
		i, trained := e.byName[t.Name]
		if !trained {
			own, err := tw.loaded(t)
			if err != nil {
				return nil, err
			}
			m.Initializers = append(m.Initializers, own)
			continue
		}
		param, name := e.Params[i], t.Name
		if len(param.Dims) == 0 {
			name += " [1]"
			m.Nodes = append([]*onnx.Node{{Name: name, Op: "Reshape", Inputs: []string{name, "no dimensions"}, Outputs: []string{t.Name}}}, m.Nodes...)
		}
		m.Inputs = append(m.Inputs, onnx.Port{Name: name, Type: onnx.Float, Shape: onnx.Of(param.shape()...)})
		p.in = append(p.in, port{name: name, of: func(*call) Tensor { return param.tensor(e.W) }})
	}
	m.Initializers = append(m.Initializers, onnx.Ints("no dimensions", nil, 0))
	p.out = []port{{name: m.Outputs[0].Name}}
	graph, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	p.session, err = ort.Open(graph, names(p.in), names(p.out), ort.Options{Threads: e.o.Threads, Varying: true, Provider: e.o.Provider})
	return p, err
}
