package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/clipsearch/clipsearch/onnx"
)

// building is a program whose graph is being written. What one chunk asked for, the
// next gets again.
type building struct {
	e       *Engine
	g       *onnx.Graph
	p       *program
	stream  int
	frozen  map[*onnx.Tensor]*onnx.Value
	trained map[int]*onnx.Value // by the parameter's place: what towers are given
	inputs  map[int]*onnx.Value // and the inputs that it is made of
	dropped int                 // masks that have an input
}

// errNothing ends the build of a graph without results: a tower that is frozen has
// no gradients.
var errNothing = errors.New("nothing to compute")

// build writes a graph and loads it. A program without results has no session.
func (e *Engine) build(name string, stream int, f func(b *building)) (*program, error) {
	m, p, err := e.write(name, stream, f)
	if errors.Is(err, errNothing) {
		return &program{}, nil
	}
	if err == nil {
		err = e.open(p, m, e.o.Threads)
	}
	return p, err
}

// write writes a graph.
func (e *Engine) write(name string, stream int, f func(b *building)) (*onnx.Model, *program, error) {
	p := &program{}
	m, err := onnx.BuildTraining(name, func(g *onnx.Graph) {
		f(&building{e: e, g: g, p: p, stream: stream, frozen: map[*onnx.Tensor]*onnx.Value{}, trained: map[int]*onnx.Value{}, inputs: map[int]*onnx.Value{}})
		if len(p.out) == 0 {
			g.Fail(errNothing)
		}
	})
	return m, p, err
}

func (b *building) input(name string, t onnx.Type, dims []int64, of func(*call) Tensor) *onnx.Value {
	b.p.in = append(b.p.in, port{name: name, of: of})
	return b.g.Input(name, t, onnx.Of(dims...)...)
}

func (b *building) output(name string, v *onnx.Value, of func(*call) Tensor) {
	b.p.out = append(b.p.out, port{name: name, of: of})
	b.g.Output(name, v)
}

// weight stands for an initializer of a tower.
func (b *building) weight(t *onnx.Tensor, tw tower) *onnx.Value {
	if i, ok := b.e.byName[t.Name]; ok {
		return b.param(i)
	}
	if v := b.frozen[t]; v != nil {
		return v
	}
	loaded, err := tw.loaded(t)
	if err != nil {
		b.g.Fail(err)
	}
	own := *loaded // the graph may give it another name
	v := b.g.Const(&own)
	b.frozen[t] = v
	return v
}

// param is a parameter as an input.
func (b *building) param(i int) *onnx.Value {
	if v := b.trained[i]; v != nil {
		return v
	}
	p := b.e.Params[i]
	in := b.input("w/"+p.Name, onnx.Float, p.shape(), func(c *call) Tensor { return p.tensor(c.e.W) })
	b.inputs[i], b.trained[i] = in, b.g.Reshape(in, onnx.Of(p.Dims...)...)
	return b.trained[i]
}

// tower replays the rows of a chunk, which begins at a row of the program's first.
func (b *building) tower(side Side, c *call, at, n int) *onnx.Value {
	tw := b.e.o.Streams[b.stream].tower(side)
	given := map[string]*onnx.Value{}
	for _, in := range tw.inputs() {
		t := c.data[side][in.Name]
		given[in.Name] = b.input(fmt.Sprintf("%v/%d/%s", side, at, in.Name), kind(t), append([]int64{int64(n)}, t.Shape[1:]...),
			func(c *call) Tensor { return rows(c.data[side][in.Name], c.first+at, n) })
	}
	var v *onnx.Value
	b.g.In(fmt.Sprintf("%v/%d", side, at), func() {
		v = b.g.Replay(tw.model, given, func(t *onnx.Tensor) *onnx.Value { return b.weight(t, tw) })[tw.model.Outputs[0].Name]
	})
	if s := v.Shape(); len(s) != 2 || s[0] != onnx.N(n) {
		b.g.Fail(fmt.Errorf("the %v tower gives %v for %d rows, and features are [rows, numbers]", side, v, n))
	}
	b.masks(side, at, n)
	return v
}

// chunks replays n rows of a side, chunk by chunk.
func (b *building) chunks(side Side, c *call, n int) (features []*onnx.Value, at []int) {
	size := min(b.e.chunk(b.stream, side, c.data[side]), n)
	size = (n + (n+size-1)/size - 1) / ((n + size - 1) / size) // the same number of chunks, as even as can be
	if b.e.o.Chunk > 0 {
		size = b.e.o.Chunk
	}
	b.g.Reuse((n + size - 1) / size)
	for i := 0; i < n; i += size {
		features, at = append(features, b.tower(side, c, i, min(size, n-i))), append(at, i)
	}
	return features, at
}

// chunk is how many rows of a batch one chunk has.
func (e *Engine) chunk(stream int, side Side, data map[string]Tensor) int {
	if e.o.Chunk > 0 {
		return e.o.Chunk
	}
	const products = 520 // rows; fewer make products too small, more leave the caches
	tw := e.o.Streams[stream].tower(side)
	t := data[tw.inputs()[0].Name]
	each := int64(1)
	switch {
	case tw.model.Rows > 1:
		each = tw.model.Rows
	case len(t.Shape) == 4:
		each = products / 8
	}
	if len(t.Shape) == 3 || len(t.Shape) == 2 && t.F32 == nil {
		each *= t.Shape[1]
	}
	return int(max(1, products/each))
}

// features makes those of the chunks outputs.
func (b *building) features(side Side, parts []*onnx.Value, at []int) {
	dim, _ := parts[0].Shape()[1].Known()
	b.p.dim = int(dim)
	for i, v := range parts {
		n, _ := v.Shape()[0].Known()
		// A name of its own: a tower's last value may be kept for its backward pass, too.
		b.output(fmt.Sprint("features/", i), b.g.Identity(v), func(c *call) Tensor { return rows(c.features[side], c.first+at[i], int(n)) })
	}
}

// seeds are the gradients of the chunks' features.
func (b *building) seeds(side Side, parts []*onnx.Value, at []int) (list []*onnx.Value) {
	for i, v := range parts {
		n, _ := v.Shape()[0].Known()
		dim, _ := v.Shape()[1].Known()
		list = append(list, b.input(fmt.Sprint("slope/", i), onnx.Float, []int64{n, dim}, func(c *call) Tensor { return rows(c.seeds[side], c.first+at[i], int(n)) }))
	}
	return list
}

// backward adds the gradients of the parameters that the towers used.
func (b *building) backward(features, seeds []*onnx.Value) {
	var used []int
	for i := range b.inputs {
		used = append(used, i)
	}
	slices.Sort(used)
	xs := make([]*onnx.Value, len(used))
	for k, i := range used {
		xs[k] = b.inputs[i]
	}
	b.g.KeepRows(b.tables(xs)...)
	for k, d := range b.g.Backward(features, seeds, xs) {
		if d != nil {
			b.gradient(used[k], d)
		}
		if ids, rows := b.g.Lookups(xs[k]); ids != nil {
			b.lookup(used[k], ids, rows)
		}
	}
}

// tables are the parameters that are large: a graph would fill them with zeros for a
// few rows, and to add those is quicker here.
func (b *building) tables(xs []*onnx.Value) (list []*onnx.Value) {
	for _, x := range xs {
		if n, _ := x.Shape().Size().Known(); n >= b.e.large && len(x.Shape()) == 2 {
			list = append(list, x)
		}
	}
	return list
}

// lookup has the gradients of rows of a parameter be added to it after a run.
func (b *building) lookup(i int, ids, rows *onnx.Value) {
	p := b.e.Params[i]
	n, _ := ids.Shape()[0].Known()
	l := lookup{param: p}
	for i := range lanes {
		l.ids[i], l.rows[i] = make([]int64, n), make([]float32, n*p.Dims[1])
	}
	b.output("ids/"+p.Name, b.g.Cast(ids, onnx.Int64), func(c *call) Tensor { return Tensor{Shape: []int64{n}, I64: l.ids[c.lane.i]} })
	b.output("rows/"+p.Name, b.g.Reshape(rows, onnx.N(n), onnx.N(p.Dims[1])), func(c *call) Tensor { return Tensor{Shape: []int64{n, p.Dims[1]}, F32: l.rows[c.lane.i]} })
	b.p.out[len(b.p.out)-1].grads = true
	b.p.lookups = append(b.p.lookups, l)
}

// gradient makes d that of a parameter.
func (b *building) gradient(i int, d *onnx.Value) {
	p := b.e.Params[i]
	b.output("g/"+p.Name, d, func(c *call) Tensor { return p.tensor(c.grads) })
	b.p.out[len(b.p.out)-1].grads = true
	b.p.params = append(b.p.params, span{p.Offset, p.Offset + p.Len})
}

// loss adds the loss of features and returns their gradients.
func (b *building) loss(features [sides]*onnx.Value) [sides]*onnx.Value {
	n, _ := features[Image].Shape()[0].Known()
	if features[Image].Shape()[1] != features[Text].Shape()[1] {
		b.g.Fail(fmt.Errorf("the towers' features %v and %v have different dimensions", features[Image], features[Text]))
	}
	scale, bias := len(b.e.Params)-2, len(b.e.Params)-1
	c := contrast{features: features, scale: b.param(scale), weight: b.e.weight(b.stream)}
	if b.e.o.Loss == SigLIP {
		c.bias = b.param(bias)
	}
	c.pairs = b.input("pairs", onnx.Float, []int64{n, n}, func(c *call) Tensor { return c.pairs })
	d := c.compute(b.g, b.e.o.Loss)
	delete(b.inputs, scale) // not the towers'
	delete(b.inputs, bias)
	b.output("loss", d.loss, func(c *call) Tensor { return Tensor{Shape: []int64{1}, F32: c.loss} })
	b.gradient(scale, d.scale)
	if d.bias != nil {
		b.gradient(bias, d.bias)
	}
	return d.features
}

func (e *Engine) weight(stream int) float64 { return cmp.Or(e.o.Streams[stream].Weight, 1) }
