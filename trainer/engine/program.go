package engine

import (
	"errors"
	"fmt"

	"github.com/clipsearch/clipsearch/internal/ort"
	"github.com/clipsearch/clipsearch/onnx"
	"github.com/clipsearch/clipsearch/trainer/optim"
)

// program is a graph that is ready to run, and where its tensors come from and go to.
type program struct {
	session *ort.Session
	next    *program // the backward pass of a half
	in, out []port
	// params are those whose gradients it computes, as ranges of G.
	params []span
	dim    int // of the features, if it computes them
	// lookups are gradients of rows that are to be added to G.
	lookups []lookup
	kept    int // how many numbers the backward pass needs of it
}

// lookup is the gradients of the rows of a parameter that ids name, one or more times,
// in each lane.
type lookup struct {
	param Param
	ids   [lanes][]int64
	rows  [lanes][]float32
}

// add adds those of a lane to the parameter's gradient. Each thread takes a part of the columns,
// so that the order of additions is that of the ids.
func (l lookup) add(g []float32, lane, threads int) {
	g = l.param.of(g)
	ids, rows := l.ids[lane], l.rows[lane]
	width := int(l.param.Dims[1])
	optim.Each(threads, func(k int) {
		from, to := k*width/threads, (k+1)*width/threads
		for i, id := range ids {
			if id < 0 { // from the end, as ONNX counts
				id += l.param.Dims[0]
			}
			sum := g[int(id)*width+from : int(id)*width+to]
			for j, v := range rows[i*width+from : i*width+to] {
				sum[j] += v
			}
		}
	})
}

// port is an input or output and the memory that a call has for it.
type port struct {
	name  string
	of    func(*call) Tensor
	grads bool // it is one of gradients of weights
}

// span is a range of W and G.
type span struct{ from, to int }

// call is what one run of a program works on.
type call struct {
	e      *Engine
	step   uint64
	stream int
	first  int // row of the batch that the program's first is

	data     [sides]map[string]Tensor // of the whole batch
	features [sides]Tensor            // of the whole batch
	seeds    [sides]Tensor            // their gradients
	pairs    Tensor
	lane     *lane
	kept     []float32 // of the lane and side
	loss     []float32
	grads    []float32 // as G
}

func (p *program) run(c *call) error {
	if p.session == nil {
		return nil // nothing to compute
	}
	in, out := make([]Tensor, len(p.in)), make([]Tensor, len(p.out))
	for i, port := range p.in {
		in[i] = port.of(c)
	}
	for i, port := range p.out {
		out[i] = port.of(c)
	}
	return p.session.RunInto(out, in...)
}

// names lists ports as a session wants them.
func names(ports []port) []string {
	list := make([]string, len(ports))
	for i, p := range ports {
		list[i] = p.name
	}
	return list
}

// open loads the graph of a program.
func (e *Engine) open(p *program, m *onnx.Model, threads int) error {
	m.Info = nil
	graph, err := m.Marshal()
	if err == nil {
		p.session, err = ort.Open(graph, names(p.in), names(p.out), ort.Options{Threads: threads, Training: true, Provider: e.o.Provider})
	}
	if err != nil {
		return fmt.Errorf("graph %s: %w", m.Name, err)
	}
	return nil
}

func (p *program) close() (err error) {
	if p.session != nil {
		err = p.session.Close()
	}
	if p.next != nil {
		err = errors.Join(err, p.next.close())
	}
	return err
}

// cache keeps the programs that were used last.
type cache struct {
	list []cached // the last used is the last
}

type cached struct {
	key string
	p   *program
}

// get returns the program of a key, which make builds when it is not there; at most
// so many are kept.
func (c *cache) get(key string, most int, make func() (*program, error)) (*program, error) {
	for i, one := range c.list {
		if one.key == key {
			c.list = append(append(c.list[:i:i], c.list[i+1:]...), one)
			return one.p, nil
		}
	}
	for len(c.list) >= most {
		err := c.list[0].p.close()
		c.list = c.list[1:]
		if err != nil {
			return nil, err
		}
	}
	p, err := make()
	if err != nil {
		return nil, err
	}
	c.list = append(c.list, cached{key, p})
	return p, nil
}

func (c *cache) close() (err error) {
	for _, one := range c.list {
		err = errors.Join(err, one.p.close())
	}
	c.list = nil
	return err
}

// rows returns n rows of a tensor.
func rows(t Tensor, at, n int) Tensor {
	each := 1
	for _, d := range t.Shape[1:] {
		each *= int(d)
	}
	from, to := at*each, (at+n)*each
	part := Tensor{Shape: append([]int64{int64(n)}, t.Shape[1:]...)}
	switch {
	case t.F32 != nil:
		part.F32 = t.F32[from:to]
	case t.I64 != nil:
		part.I64 = t.I64[from:to]
	case t.I32 != nil:
		part.I32 = t.I32[from:to]
	case t.U8 != nil:
		part.U8 = t.U8[from:to]
	}
	return part
}

// kind is the type of a tensor's elements.
func kind(t Tensor) onnx.Type {
	switch {
	case t.F32 != nil:
		return onnx.Float
	case t.I64 != nil:
		return onnx.Int64
	case t.I32 != nil:
		return onnx.Int32
	}
	return onnx.Uint8
}

// shapes describes the tensors of a batch but for their rows, in the order of the
// tower's inputs: what a graph is built for.
func (t tower) shapes(data map[string]Tensor) string {
	s := ""
	for _, p := range t.inputs() {
		s += fmt.Sprint(" ", p.Name, kind(data[p.Name]), data[p.Name].Shape[1:])
	}
	return s
}
