package clip

import (
	"errors"
	"fmt"
	"slices"

	"github.com/clipsearch/clipsearch/onnx"
)

// batch is the free dimension of every tower; length that of a text tower's ids.
var (
	batch  = onnx.Sym("batch")
	length = onnx.Sym("length")
)

// params puts a checkpoint's tensors into a graph. Each method ends the build with
// an error if a tensor is missing or has another shape.
type params struct {
	g       *onnx.Graph
	w       *Weights
	int8    bool
	shapes  bool // only shapes matter: no tensor is read
	apart   bool // nothing that is trained is folded with another: see TrainingGraph
	outside bool // float32 tensors stay in their files
	used    map[string]bool
	made    map[string]*onnx.Value
	rowwise map[*onnx.Value]onnx.Int8Rows // values by rows
	depth   map[*onnx.Value]float64       // values that go no further below zero
	parts   []Parameter                   // that were put into the graph, where they stay apart
	last    struct {                      // the tensor that was read last
		name    string
		numbers []float32
	}
}

func newParams(g *onnx.Graph, w *Weights, precision string, outside bool) *params {
	return &params{
		g: g, w: w, int8: precision == "int8", shapes: precision == "shapes", outside: outside,
		used: map[string]bool{}, made: map[string]*onnx.Value{}, rowwise: map[*onnx.Value]onnx.Int8Rows{}, depth: map[*onnx.Value]float64{},
	}
}

// anyDim stands for a dimension that may be what it is.
const anyDim = -1

func (p *params) has(name string) bool {
	_, ok := p.w.Tensor(name)
	return ok
}

// find returns the tensor of that name, which must have the given dimensions.
func (p *params) find(name string, dims ...int) Tensor {
	t, ok := p.w.Tensor(name)
	if !ok {
		p.g.Fail(fmt.Errorf("there is no tensor %s", name))
	}
	if elements(t.Shape) == 0 {
		p.g.Fail(fmt.Errorf("tensor %s has the shape %v: nothing is in it", name, t.Shape))
	}
	fits := len(dims) == 0 || len(dims) == len(t.Shape)
	for i, d := range dims {
		fits = fits && (d == anyDim || d == t.Shape[i])
	}
	if !fits {
		p.g.Fail(fmt.Errorf("tensor %s has the shape %v, not %v", name, t.Shape, dims))
	}
	p.used[name] = true
	return t
}

// dim returns one dimension of a tensor, which must have rank of them.
func (p *params) dim(name string, rank, i int) int {
	t := p.find(name)
	if len(t.Shape) != rank {
		p.g.Fail(fmt.Errorf("tensor %s has the shape %v, not one of %d dimensions", name, t.Shape, rank))
	}
	return t.Shape[i]
}

// value returns a tensor as a constant of the graph, float32.
func (p *params) value(name string, dims ...int) *onnx.Value {
	t := p.find(name, dims...)
	return p.part(t, 0, elements(t.Shape), t.Shape...)
}

// reshaped returns a tensor as a constant of another shape.
func (p *params) reshaped(name string, dims ...int) *onnx.Value {
	t := p.find(name)
	if elements(dims) != elements(t.Shape) {
		p.g.Fail(fmt.Errorf("tensor %s has the shape %v, not one of %v", name, t.Shape, dims))
	}
	return p.part(t, 0, elements(t.Shape), dims...)
}

// rows returns rows [from,to) of a tensor: those of q, k or v in one that joins them.
func (p *params) rows(name string, from, to int) *onnx.Value {
	t := p.find(name)
	if len(t.Shape) == 0 || to > t.Shape[0] || from >= to {
		p.g.Fail(fmt.Errorf("tensor %s has the shape %v, not rows %d to %d", name, t.Shape, from, to))
	}
	row := elements(t.Shape[1:])
	return p.part(t, from*row, to*row, append([]int{to - from}, t.Shape[1:]...)...)
}

// part returns the elements [from,to) of t as a constant of the given shape.
func (p *params) part(t Tensor, from, to int, dims ...int) *onnx.Value {
	key := fmt.Sprint(t.Name, from, to, dims)
	if p.apart {
		key = fmt.Sprint(t.Name, from, to)
	}
	if v, ok := p.made[key]; ok {
		return p.shaped(v, dims)
	}
	shape := make([]int64, len(dims))
	for i, d := range dims {
		shape[i] = int64(d)
	}
	c := &onnx.Tensor{Name: t.Name, Type: onnx.Float, Dims: shape}
	if from > 0 || to < elements(t.Shape) {
		c.Name = fmt.Sprintf("%s[%d:%d]", t.Name, from, to)
	}
	switch {
	case p.shapes || p.stays(t):
		c.External = &onnx.External{Location: t.File, Offset: t.Offset + 4*int64(from), Length: 4 * int64(to-from)}
	default:
		c = onnx.Floats(c.Name, p.read(t)[from:to], shape...)
	}
	v := p.g.Const(c)
	p.made[key] = v
	p.parts = append(p.parts, Parameter{Name: v.Name(), Tensor: t.Name, From: from, To: to})
	return v
}

// shaped is a constant that was made before, in the shape that it is needed in now.
func (p *params) shaped(v *onnx.Value, dims []int) *onnx.Value {
	shape := make(onnx.Shape, len(dims))
	for i, d := range dims {
		shape[i] = onnx.N(d)
	}
	if slices.Equal(v.Shape(), shape) {
		return v
	}
	return p.g.Reshape(v, shape...)
}

// stays reports whether a tensor need not be read, for the graph can say where it lies.
func (p *params) stays(t Tensor) bool { return p.outside && t.Type == "F32" && t.of != nil }

// floats returns a copy of the elements of a tensor; zeros if only shapes matter.
func (p *params) floats(name string, dims ...int) []float32 {
	return slices.Clone(p.read(p.find(name, dims...)))
}

// read returns the elements of a tensor, which must not be changed.
func (p *params) read(t Tensor) []float32 {
	if p.shapes {
		return make([]float32, elements(t.Shape))
	}
	if p.last.name == t.Name {
		return p.last.numbers
	}
	x, err := p.w.Float32s(t)
	if err != nil {
		p.g.Fail(err)
	}
	p.last.name, p.last.numbers = t.Name, x
	return x
}

// constant puts numbers that were computed here into the graph.
func (p *params) constant(name string, x []float32, dims ...int) *onnx.Value {
	shape := make([]int64, len(dims))
	for i, d := range dims {
		shape[i] = int64(d)
	}
	return p.g.Const(onnx.Floats(name, x, shape...))
}

// linear is a linear layer over rows: x [R,in] gives [R,out]. name+".weight" is
// [out,in], name+".bias", if there is one, [out].
func (p *params) linear(x *onnx.Value, name string) *onnx.Value {
	var bias *onnx.Value
	if p.has(name + ".bias") {
		bias = p.value(name + ".bias")
	}
	return p.gemm(x, p.find(name+".weight", anyDim, width(x)), bias)
}

// linearExact is linear in float32, whatever the model's precision.
func (p *params) linearExact(x *onnx.Value, name string) *onnx.Value {
	return p.exactly(func() *onnx.Value { return p.linear(x, name) })
}

// exactly has f build what it builds in float32, whatever the model's precision.
func (p *params) exactly(f func() *onnx.Value) *onnx.Value {
	defer func(was bool) { p.int8 = was }(p.int8)
	p.int8 = false
	return f()
}

// linearRows is linear with rows [from,to) of the weight and the bias: q, k or v of
// a layer that joins them.
func (p *params) linearRows(x *onnx.Value, weight, bias string, from, to int) *onnx.Value {
	var b *onnx.Value
	if p.has(bias) {
		b = p.rows(bias, from, to)
	}
	t := p.find(weight, anyDim, width(x))
	if to > t.Shape[0] {
		p.g.Fail(fmt.Errorf("tensor %s has the shape %v, not rows %d to %d", weight, t.Shape, from, to))
	}
	return p.gemmRows(x, t, from, to, b)
}

// project is x·w, where w [in,out] is kept as it is multiplied.
func (p *params) project(x *onnx.Value, name string) *onnx.Value {
	return p.g.Gemm(x, p.value(name, width(x), anyDim), nil, false)
}

// gemm multiplies rows by the transpose of a weight [out,in].
func (p *params) gemm(x *onnx.Value, t Tensor, bias *onnx.Value) *onnx.Value {
	return p.gemmRows(x, t, 0, t.Shape[0], bias)
}

func (p *params) gemmRows(x *onnx.Value, t Tensor, from, to int, bias *onnx.Value) *onnx.Value {
	in := t.Shape[1]
	if p.int8 && (to-from)*in >= smallestInt8 {
		return p.gemmInt8(x, t, from, to, bias)
	}
	return p.g.Gemm(x, p.part(t, from*in, to*in, to-from, in), bias, true)
}

// linear1x1 is linear where the weight may also be that of a convolution of one
// place, [out,in,1,1].
func (p *params) linear1x1(x *onnx.Value, name string) *onnx.Value {
	t := p.find(name + ".weight")
	if len(t.Shape) != 4 {
		return p.linear(x, name)
	}
	if t.Shape[1] != width(x) || t.Shape[2] != 1 || t.Shape[3] != 1 {
		p.g.Fail(fmt.Errorf("tensor %s.weight has the shape %v, not [out,%d,1,1]", name, t.Shape, width(x)))
	}
	t.Shape = t.Shape[:2]
	var bias *onnx.Value
	if p.has(name + ".bias") {
		bias = p.value(name + ".bias")
	}
	return p.gemm(x, t, bias)
}

// norm is a layer normalization.
func (p *params) norm(x *onnx.Value, name string, epsilon float64) *onnx.Value {
	d := width(x)
	var bias *onnx.Value
	if p.has(name + ".bias") {
		bias = p.value(name+".bias", d)
	}
	return p.g.LayerNorm(x, p.value(name+".weight", d), bias, epsilon)
}

// activation is the non-linearity of that name in a config.json.
func (p *params) activation(x *onnx.Value, name string) *onnx.Value {
	depth := geluDepth
	switch name {
	case "quick_gelu":
		x = p.g.QuickGelu(x)
	case "gelu":
		x = p.g.Gelu(x)
	case "gelu_pytorch_tanh", "gelu_new", "gelu_fast":
		x = p.g.GeluTanh(x)
	case "relu":
		x, depth = p.g.Relu(x), 0
	case "tanh":
		return p.g.Tanh(x)
	default:
		p.g.Fail(fmt.Errorf("activation %q is not known here", name))
	}
	p.depth[x] = depth
	return x
}

// count returns how many of name(0), name(1), … there are.
func (p *params) count(name func(int) string) int {
	n := 0
	for p.has(name(n)) {
		n++
	}
	if n == 0 {
		p.g.Fail(fmt.Errorf("there is no tensor %s", name(0)))
	}
	return n
}

// width is the last dimension of a value.
func width(x *onnx.Value) int {
	s := x.Shape()
	n, _ := s[len(s)-1].Known()
	return int(n)
}

func elements(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// square returns the root of n.
func (p *params) square(n int, what string) int {
	for r := 0; r*r <= n; r++ {
		if r*r == n {
			return r
		}
	}
	p.g.Fail(fmt.Errorf("%s: %d is no square", what, n))
	return 0
}

// errNoHeads is what a configuration that leaves them out ends with.
var errNoHeads = errors.New("the configuration does not say how many heads attention has")

func (p *params) heads(n, d int) int {
	if n < 1 || d%n != 0 {
		p.g.Fail(fmt.Errorf("%w: %d for a width of %d", errNoHeads, n, d))
	}
	return n
}
