package onnx

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Replay adds the nodes of m to the graph with the shapes that inputs have, all of
// which must be known, and returns m's outputs by their names. Every input of m is
// named in inputs.
//
// weight is asked once for each float32 initializer that an output needs, in the
// order of the nodes, and returns the value that stands for it: a constant, or an
// input of the same shape where it is trained. Without weight all are constants. It
// is not asked for what no network trains: bounds, exponents, ratios of dropout. But
// it is for other single numbers, such as the factor before a softmax.
// What else can be computed while the graph is built is a constant too: shapes,
// ranges, masks that depend on no input, numbers in Constant nodes.
//
// The nodes go through the builder's methods, so that [BuildTraining] writes them in
// differentiable pieces; products with a matrix become Gemm. An operator that is not
// known here ends the build: a network may hold it only in its frozen part
// ([Model.Split]). m is not changed.
func (g *Graph) Replay(m *Model, inputs map[string]*Value, weight func(*Tensor) *Value) map[string]*Value {
	r := g.newReplay(m, weight)
	r.bind(inputs)
	for _, n := range m.live() {
		r.run(n)
	}
	out := map[string]*Value{}
	for _, p := range m.Outputs {
		out[p.Name] = r.value(r.operand(p.Name))
	}
	return out
}

// What is folded at most, in elements: of one array, of a weight whose numbers are
// looked at, and of all arrays of a replay. Beyond it operations go into the graph.
const (
	foldOne    = 1 << 18
	foldWeight = 1 << 14
	foldAll    = 1 << 23
)

// replay is a model that is being added to a graph.
type replay struct {
	g      *Graph
	m      *Model
	opset  int64 // of ONNX's own operators
	weight func(*Tensor) *Value
	consts map[string]*Tensor
	made   map[string]*operand
	uses   map[string]int // how many nodes and outputs read a value
	left   int64          // elements that may still be folded
}

// operand is a value of the model: its numbers, or what stands for it in the graph.
// What is lazy is added to the graph when its value is asked for.
type operand struct {
	typ   Type
	dims  []int64
	known *array
	value *Value
	lazy  func() *Value

	flip   *operand // the matrix that this is the transpose of
	linear *linear  // the product that this is, to which a bias may be added
}

func (g *Graph) newReplay(m *Model, weight func(*Tensor) *Value) *replay {
	r := &replay{g: g, m: m, weight: weight, consts: map[string]*Tensor{}, made: map[string]*operand{}, uses: map[string]int{}, left: foldAll}
	for _, o := range m.Opsets {
		if o.Domain == "" || o.Domain == "ai.onnx" {
			r.opset = o.Version
		}
	}
	for _, t := range m.Initializers {
		r.consts[t.Name] = t
	}
	for _, n := range m.live() {
		for _, in := range n.Inputs {
			r.uses[in]++
		}
	}
	for _, p := range m.Outputs {
		r.uses[p.Name]++
	}
	return r
}

// bind takes the inputs, which must be those of the model.
func (r *replay) bind(inputs map[string]*Value) {
	symbols := map[string]int64{}
	for _, p := range r.m.Inputs {
		v, given := inputs[p.Name]
		if _, constant := r.consts[p.Name]; constant && !given {
			continue // older files list initializers among the inputs
		}
		if !given || v == nil {
			r.g.failf("the input %s of %s is not given: it has the inputs %v", p.Name, r.m.Name, r.m.inputNames())
		}
		if !p.fits(v, symbols) {
			r.g.failf("the input %s of %s is %v%v, and is given %v", p.Name, r.m.Name, p.Type, p.Shape, v)
		}
		o := r.from(v)
		if v.typ != p.Type {
			o = r.cast(o, p.Type)
		}
		r.made[p.Name] = o
	}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		if r.made[name] == nil {
			r.g.failf("%s has no input %s: it has %v", r.m.Name, name, r.m.inputNames())
		}
	}
}

// fits reports whether v may be given as the port; symbols collects what the names of
// dimensions stand for. Integers of another size are converted.
func (p Port) fits(v *Value, symbols map[string]int64) bool {
	integer := func(t Type) bool { return t == Int64 || t == Int32 }
	if v.typ != p.Type && !(integer(v.typ) && integer(p.Type)) {
		return false
	}
	if p.Shape == nil {
		return true // a file need not tell it
	}
	if len(v.shape) != len(p.Shape) {
		return false
	}
	for i, d := range p.Shape {
		n, known := v.shape[i].Known()
		switch {
		case !known:
			return true // and refused for it
		case d.syms == "?" || strings.Contains(d.syms, "·"):
			continue
		case d.syms == "" && d.n != n, d.n < 1 && d.syms != "", d.syms != "" && n%d.n != 0:
			return false
		case d.syms == "":
			continue
		}
		if size, met := symbols[d.syms]; met && size != n/d.n {
			return false
		}
		symbols[d.syms] = n / d.n
	}
	return true
}

func (m *Model) inputNames() []string {
	var names []string
	for _, p := range m.Inputs {
		names = append(names, p.Name)
	}
	return names
}

// live returns the nodes that an output needs, in their order.
func (m *Model) live() []*Node {
	wanted := map[string]bool{}
	for _, p := range m.Outputs {
		wanted[p.Name] = true
	}
	var list []*Node
	for _, n := range slices.Backward(m.Nodes) {
		if slices.ContainsFunc(n.Outputs, func(s string) bool { return s != "" && wanted[s] }) {
			list = append(list, n)
			for _, in := range n.reads() {
				wanted[in] = true
			}
		}
	}
	slices.Reverse(list)
	return list
}

// run adds one node.
func (r *replay) run(n *Node) {
	label := n.Name
	if label == "" && len(n.Outputs) > 0 {
		label = n.Outputs[0]
	}
	domain := n.Domain
	if domain == "ai.onnx" {
		domain = ""
	}
	r.g.In(strings.TrimPrefix(label, "/"), func() {
		op := strings.TrimPrefix(domain+"."+n.Op, ".")
		f := replayed[op]
		if f == nil {
			r.g.failf("the operator %s is not known here: it can only lie in the frozen part of a network, before everything that is trained", op)
		}
		c := &call{replay: r, n: n}
		for i, in := range n.Inputs {
			t := r.consts[in]
			switch fixed := i > 0 && slices.Contains(numbered, op); {
			case in == "":
				c.in = append(c.in, nil)
			case fixed && t != nil && r.made[in] == nil:
				c.in = append(c.in, r.fixed(t))
			default:
				c.in = append(c.in, r.operand(in))
			}
		}
		for i, o := range f(c) {
			if i >= len(n.Outputs) || n.Outputs[i] == "" || o == nil { // what is not made here has no reader, or it is missed there
				continue
			}
			if r.made[n.Outputs[i]] != nil {
				r.g.failf("two values are called %s", n.Outputs[i])
			}
			r.made[n.Outputs[i]] = o
		}
	})
}

// numbered are the operators whose operands after the first are numbers, not weights.
var numbered = []string{"Clip", "Dropout", "Pow", "Pad", "Range"}

// operand finds a value by its name in the model.
func (r *replay) operand(name string) *operand {
	if o := r.made[name]; o != nil {
		return o
	}
	t := r.consts[name]
	if t == nil {
		r.g.failf("nothing before it makes the value %q", name)
	}
	o := r.initializer(t)
	r.made[name] = o
	return o
}

// initializer asks what stands for a constant of the model.
func (r *replay) initializer(t *Tensor) *operand {
	if t.Type != Float || r.weight == nil {
		return r.fixed(t)
	}
	v := r.weight(t)
	if v == nil || v.g != r.g || v.typ != Float || !slices.Equal(v.shape, Of(t.Dims...)) {
		r.g.failf("the weight %s of %v is given %v", t.Name, t.Dims, v)
	}
	o := r.from(v)
	if v.tensor != nil {
		o.known = r.numbers(v.tensor)
	}
	return o
}

// fixed is an initializer that is not trained.
func (r *replay) fixed(t *Tensor) *operand {
	if _, ok := elementsOf(t.Dims); !ok {
		r.g.failf("the constant %s has the shape %v", t.Name, t.Dims)
	}
	return r.constant(t)
}

// constant is a tensor whose numbers are looked at where they are few.
func (r *replay) constant(t *Tensor) *operand {
	if a := r.numbers(t); a != nil {
		return r.folded(a)
	}
	own := *t // Const may give it another name
	own.Dims = slices.Clone(t.Dims)
	return &operand{typ: t.Type, dims: t.Dims, lazy: func() *Value { return r.g.Const(&own) }}
}

// numbers reads a constant that is worth it.
func (r *replay) numbers(t *Tensor) *array {
	n, err := t.Len()
	most := int64(foldOne)
	if t.Type == Float || t.Type == Double {
		most = foldWeight
	}
	if err != nil || n > most || n > r.left {
		return nil
	}
	a := arrayOf(t)
	if a != nil {
		r.left -= n
	}
	return a
}

// from is a value of the graph as an operand.
func (r *replay) from(v *Value) *operand {
	o := &operand{typ: v.typ, value: v, dims: make([]int64, len(v.shape))}
	for i, d := range v.shape {
		n, known := d.Known()
		if !known {
			r.g.failf("%v has a dimension that is not known: a graph is replayed with numbers for all", v)
		}
		o.dims[i] = n
	}
	if _, ok := elementsOf(o.dims); !ok {
		r.g.failf("%v is too large", v)
	}
	return o
}

// folded is an array as an operand.
func (r *replay) folded(a *array) *operand {
	return &operand{typ: a.typ, dims: a.dims, known: a}
}

// value adds the operand to the graph, if it is not there yet.
func (r *replay) value(o *operand) *Value {
	switch {
	case o.value != nil:
	case o.lazy != nil:
		o.value = o.lazy()
	case o.known.len() <= 64:
		a := o.known
		o.value = r.g.once(fmt.Sprint("array", a.typ, a.dims, a.ints, a.floats), func() *Value { return r.g.Const(a.tensor()) })
	default:
		o.value = r.g.Const(o.known.tensor())
	}
	return o.value
}

// affords reports whether an array of such dimensions may be folded, and counts it.
func (r *replay) affords(dims []int64) bool {
	n, ok := elementsOf(dims)
	if !ok || n > foldOne || n > r.left {
		return false
	}
	r.left -= n
	return true
}
