package onnx

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Producer is what files of this program are signed with.
const Producer = "clipsearch"

// The operator sets that graphs are written in. ONNX Runtime's own domain has
// attention and the fused activations.
const (
	opset     = 20
	irVersion = 9
	microsoft = "com.microsoft"
)

// Graph is a graph that is being built: see [Build].
type Graph struct {
	m      Model
	values map[string]*Value
	shared map[string]*Value // small constants and shapes, by what they are
	scope  string
	count  int
	opset  int64 // of ONNX's own operators
	masks  []DropoutMask

	tables   map[*Value]bool  // see KeepRows
	lookups  map[*Value]gives // of each of them
	reuse    int              // see Reuse
	training bool             // static shapes, operators that have gradients: see BuildTraining
}

// Value is a value in a graph under construction.
type Value struct {
	g     *Graph
	name  string
	typ   Type
	shape Shape
	size  *Value // one-dimensional int64: the shape when it runs; nil until asked for

	training
	source *Value  // what it is a Reshape of, or nil
	tensor *Tensor // that it is a constant of, or nil
}

// Type returns the type of the value's elements.
func (v *Value) Type() Type { return v.typ }

// Shape returns the value's shape, which must not be changed.
func (v *Value) Shape() Shape { return v.shape }

// Name returns the value's name in the graph.
func (v *Value) Name() string { return v.name }

func (v *Value) String() string { return fmt.Sprintf("%s %v%v", v.name, v.typ, v.shape) }

// misfit is what an operator panics with, and Build returns.
type misfit struct{ error }

// Build calls f to describe a graph and returns it. What f and the operators find
// wrong is returned as an error ([Graph.Fail]).
func Build(name string, f func(g *Graph)) (*Model, error) { return build(name, false, f) }

func build(name string, training bool, f func(g *Graph)) (m *Model, err error) {
	g := &Graph{values: map[string]*Value{}, shared: map[string]*Value{}, tables: map[*Value]bool{}, lookups: map[*Value]gives{}, opset: opset, training: training}
	g.m = Model{IR: irVersion, Producer: Producer, Opsets: []Opset{{"", opset}, {microsoft, 1}}, Name: name}
	defer func() {
		if r := recover(); r != nil {
			wrong, ok := r.(misfit)
			if !ok {
				panic(r)
			}
			m, err = nil, fmt.Errorf("build graph %s: %w", name, wrong.error)
		}
	}()
	f(g)
	if len(g.m.Outputs) == 0 {
		return nil, fmt.Errorf("build graph %s: %w", name, errors.New("it has no output"))
	}
	if training {
		g.m.Nodes = g.m.live()
		g.inform()
	}
	g.m.sweep()
	return &g.m, nil
}

// inform notes the types and shapes of inner values.
func (g *Graph) inform() {
	for _, n := range g.m.Nodes {
		for _, out := range n.Outputs {
			if v := g.values[out]; v != nil {
				g.m.Info = append(g.m.Info, Port{v.name, v.typ, v.shape})
			}
		}
	}
}

// Fail ends the Build under way with an error.
func (g *Graph) Fail(err error) {
	if g.scope != "" {
		err = fmt.Errorf("%s: %w", strings.TrimSuffix(g.scope, "/"), err)
	}
	panic(misfit{err})
}

func (g *Graph) failf(format string, args ...any) { g.Fail(fmt.Errorf(format, args...)) }

// In calls f with name put before the names of all that f adds: "visual/3/attn".
func (g *Graph) In(name string, f func()) {
	outer := g.scope
	g.scope += name + "/"
	f()
	g.scope = outer
}

// Input adds an input.
func (g *Graph) Input(name string, t Type, shape ...Dim) *Value {
	if _, known := Shape(shape).Size().Known(); g.training && !known {
		g.failf("input %s of shape %v: a training graph needs every dimension as a number", name, Shape(shape))
	}
	g.m.Inputs = append(g.m.Inputs, Port{name, t, shape})
	return g.value(name, t, shape)
}

// Output makes v an output of that name.
func (g *Graph) Output(name string, v *Value) {
	if _, taken := g.values[name]; !taken && g.rename(v, name) {
		v.name = name
	} else {
		v = g.add(&Node{Op: "Identity", Inputs: []string{v.name}}, name, v.typ, v.shape)
	}
	g.m.Outputs = append(g.m.Outputs, Port{v.name, v.typ, v.shape})
}

// rename gives a node's result another name, unless it is an input, a constant or
// an output already.
func (g *Graph) rename(v *Value, name string) bool {
	made := false
	if slices.ContainsFunc(g.m.Outputs, func(p Port) bool { return p.Name == v.name }) {
		return false
	}
	for _, n := range g.m.Nodes {
		if i := slices.Index(n.Outputs, v.name); i >= 0 {
			n.Outputs[i], made = name, true
		}
	}
	if !made {
		return false
	}
	for _, n := range g.m.Nodes {
		for i, in := range n.Inputs {
			if in == v.name {
				n.Inputs[i] = name
			}
		}
	}
	delete(g.values, v.name)
	g.values[name] = v
	return true
}

// Const adds a constant. Tensors without a name get one.
func (g *Graph) Const(t *Tensor) *Value {
	n, err := t.Len()
	if err != nil {
		g.Fail(err)
	}
	if t.External == nil && int64(len(t.Raw)) != n*t.Type.Size() {
		g.failf("constant %s of %v%v has %d bytes", t.Name, t.Type, t.Dims, len(t.Raw))
	}
	if t.External != nil && t.External.Length != n*t.Type.Size() {
		g.failf("constant %s of %v%v has %d bytes", t.Name, t.Type, t.Dims, t.External.Length)
	}
	if t.Name == "" {
		t.Name = g.fresh("const")
	} else if _, taken := g.values[t.Name]; taken {
		t.Name = g.fresh(t.Name)
	}
	g.m.Initializers = append(g.m.Initializers, t)
	v := g.value(t.Name, t.Type, Of(t.Dims...))
	v.tensor = t
	return v
}

// Scalar adds a float32 constant without dimensions.
func (g *Graph) Scalar(v float32) *Value { return g.Const(Floats("", []float32{v})) }

// Int64s adds a one-dimensional int64 constant.
func (g *Graph) Int64s(v ...int64) *Value {
	return g.once(fmt.Sprint("int64s", v), func() *Value { return g.Const(Ints("", v, int64(len(v)))) })
}

// once returns what f made when it was called with that key first.
func (g *Graph) once(key string, f func() *Value) *Value {
	if v, ok := g.shared[key]; ok {
		return v
	}
	v := f()
	g.shared[key] = v
	return v
}

func (g *Graph) fresh(what string) string {
	for {
		g.count++
		name := fmt.Sprintf("%s%s_%d", g.scope, what, g.count)
		if _, taken := g.values[name]; !taken {
			return name
		}
	}
}

func (g *Graph) value(name string, t Type, shape Shape) *Value {
	v := &Value{g: g, name: name, typ: t, shape: shape}
	if _, taken := g.values[name]; taken {
		g.failf("two values are called %s", name)
	}
	g.values[name] = v
	return v
}

// node adds an operation of one result.
func (g *Graph) node(op string, t Type, shape Shape, inputs []*Value, attrs ...Attr) *Value {
	return g.domainNode("", op, t, shape, inputs, attrs...)
}

func (g *Graph) domainNode(domain, op string, t Type, shape Shape, inputs []*Value, attrs ...Attr) *Value {
	if g.training && slices.Contains(views, op) {
		return g.once(fmt.Sprint(op, names(inputs), t, shape, attrs), func() *Value {
			return g.add(&Node{Op: op, Domain: domain, Inputs: names(inputs), Attrs: attrs}, g.fresh(op), t, shape)
		})
	}
	return g.add(&Node{Op: op, Domain: domain, Inputs: names(inputs), Attrs: attrs}, g.fresh(op), t, shape)
}

func (g *Graph) add(n *Node, out string, t Type, shape Shape) *Value {
	n.Name, n.Outputs = out, []string{out}
	g.m.Nodes = append(g.m.Nodes, n)
	return g.value(out, t, shape)
}

// names returns the names of values; nil is an input that is left out.
func names(values []*Value) []string {
	list := make([]string, len(values))
	for i, v := range values {
		if v != nil {
			list[i] = v.name
		}
	}
	for len(list) > 0 && list[len(list)-1] == "" {
		list = list[:len(list)-1]
	}
	return list
}
