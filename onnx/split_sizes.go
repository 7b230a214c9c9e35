package onnx

import (
	"slices"
	"strings"
)

// sizes makes shapes of frozen values in rest, of the dimensions of what crosses: a
// value whose shape alone is read need not.
type sizes struct {
	m      *Model // rest
	s      *split
	prefix string // of the names that are made, which the model has none of
	made   map[Dim]string
}

func newSizes(m *Model, s *split) *sizes {
	z := &sizes{m, s, "size/", map[Dim]string{}}
	taken := func(name string) bool { return strings.HasPrefix(name, z.prefix) }
	for slices.ContainsFunc(m.Initializers, func(t *Tensor) bool { return taken(t.Name) }) ||
		slices.ContainsFunc(s.nodes, func(n *Node) bool { return slices.ContainsFunc(n.Outputs, taken) }) {
		z.prefix = "more " + z.prefix
	}
	return z
}

// dims returns the dimensions that a Shape node asks for.
func (z *sizes) dims(n *Node) (Shape, bool) {
	p, err := z.s.shapes.port(n.Inputs[0])
	if err != nil || n.Op != "Shape" {
		return nil, false
	}
	from, to := n.part(int64(len(p.Shape)))
	return p.Shape[from:to], true
}

// tell reports whether the result of a Shape node is known in rest.
func (z *sizes) tell(n *Node) bool {
	dims, ok := z.dims(n)
	return z.s.there(n.Inputs[0]) || ok && !slices.ContainsFunc(dims, func(d Dim) bool {
		_, known := d.Known()
		_, _, found := z.find(d)
		return !known && !found
	})
}

// find returns the input of rest, and the number of its dimension, that d is a multiple of.
func (z *sizes) find(d Dim) (Port, int, bool) {
	for _, p := range z.m.Inputs {
		for i, e := range p.Shape {
			if e.syms == d.syms && e.n > 0 && d.n%e.n == 0 {
				return p, i, true
			}
		}
	}
	return Port{}, 0, false
}

// write adds nodes that make what the Shape node n does.
func (z *sizes) write(n *Node) {
	dims, _ := z.dims(n)
	if len(dims) == 0 {
		z.m.Initializers = append(z.m.Initializers, Ints(n.Outputs[0], nil, 0))
		return
	}
	var names []string
	for _, d := range dims {
		names = append(names, z.dim(d))
	}
	z.add("Concat", n.Outputs[0], names, Attr{"axis", int64(0)})
}

// dim returns the name of a value int64 [1] that is the dimension.
func (z *sizes) dim(d Dim) string {
	if name, ok := z.made[d]; ok {
		return name
	}
	name := z.prefix + d.String()
	z.made[d] = name
	if n, known := d.Known(); known {
		return z.number(name, n)
	}
	p, i, _ := z.find(d)
	z.add("Shape", name+"/shape", []string{p.Name})
	z.add("Gather", name+"/one", []string{name + "/shape", z.number(name+"/at", int64(i))}, Attr{"axis", int64(0)})
	z.add("Mul", name, []string{name + "/one", z.number(name+"/times", d.n/p.Shape[i].n)})
	return name
}

func (z *sizes) number(name string, n int64) string {
	z.m.Initializers = append(z.m.Initializers, Ints(name, []int64{n}, 1))
	return name
}

func (z *sizes) add(op, out string, in []string, attrs ...Attr) {
	z.m.Nodes = append(z.m.Nodes, &Node{Name: out, Op: op, Inputs: in, Outputs: []string{out}, Attrs: attrs})
}
