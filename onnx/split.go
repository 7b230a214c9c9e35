package onnx

import (
	"errors"
	"fmt"
	"slices"
)

// Split cuts the model in two where training begins. frozen makes what depends on no
// initializer that trained reports true for, and its outputs are the values that cross
// to rest, under the names that they have in m. It is nil if nothing of m is frozen.
// rest takes them, makes the outputs of m that depend on trained initializers, and
// keeps those inputs of m that it still reads.
//
// What comes of integer inputs by small steps, such as masks, and what depends on no
// input is made by rest itself, and so are shapes: neither has to be kept with the
// values that cross. frozen runs as m does, with any batch; the shapes of what crosses
// have the names that m's inputs have. Dimensions of pictures should be numbers in
// m.Inputs. Both share m's nodes and tensors; m is not changed.
func (m *Model) Split(trained func(*Tensor) bool) (frozen, rest *Model, err error) {
	s := newSplit(m)
	if !s.follow(trained) {
		return nil, nil, fmt.Errorf("split %s: no output depends on what is trained", m.Name)
	}
	if s.shapes, err = m.infer(); err != nil {
		return nil, nil, fmt.Errorf("split %s: %w", m.Name, err)
	}
	s.choose()
	if rest, err = s.rest(); err != nil {
		return nil, nil, fmt.Errorf("split %s: %w", m.Name, err)
	}
	outs := slices.DeleteFunc(slices.Clone(rest.Inputs), func(p Port) bool { return s.inputs[p.Name] })
	if len(outs) == 0 {
		return nil, rest, nil
	}
	return m.part(outs), rest, nil
}

// Cut returns the part of the model that makes the values of the given names, which
// may be inner ones. It shares m's nodes and tensors.
func (m *Model) Cut(outputs ...string) (*Model, error) {
	if len(outputs) == 0 {
		return nil, fmt.Errorf("cut %s: %w", m.Name, errors.New("it would have no output"))
	}
	shapes, err := m.infer()
	var ports []Port
	for _, name := range outputs {
		p, wrong := shapes.port(name)
		ports, err = append(ports, p), errors.Join(err, wrong)
	}
	if err != nil {
		return nil, fmt.Errorf("cut %s: %w", m.Name, err)
	}
	return m.part(ports), nil
}

// part is the model with other outputs, and without what they do not need.
func (m *Model) part(outputs []Port) *Model {
	p := *m
	p.Outputs, p.Info = outputs, nil
	p.Nodes = p.live()
	p.prune()
	return &p
}

// prune drops the inputs and initializers that neither a node nor an output reads.
func (m *Model) prune() {
	read := map[string]bool{}
	for _, n := range m.Nodes {
		for _, in := range n.reads() {
			read[in] = true
		}
	}
	for _, p := range m.Outputs {
		read[p.Name] = true
	}
	m.Inputs = slices.DeleteFunc(slices.Clone(m.Inputs), func(p Port) bool { return !read[p.Name] })
	m.Initializers = slices.DeleteFunc(slices.Clone(m.Initializers), func(t *Tensor) bool { return !read[t.Name] })
}

// split is a model whose values are told apart.
type split struct {
	m      *Model
	nodes  []*Node // that outputs need
	inputs map[string]bool
	consts map[string]*Tensor
	shapes inferred

	trained map[string]bool // what depends on a trained initializer
	varies  map[string]bool // what depends on an input, otherwise than on its shape
	heavy   map[string]bool // what varies, and is not made anew in rest
	mine    map[*Node]bool  // the nodes of rest
	wanted  map[string]bool // what they read
}

func newSplit(m *Model) *split {
	s := &split{m: m, nodes: m.live(), inputs: map[string]bool{}, consts: map[string]*Tensor{}, trained: map[string]bool{},
		varies: map[string]bool{}, heavy: map[string]bool{}, mine: map[*Node]bool{}, wanted: map[string]bool{}}
	for _, t := range m.Initializers {
		s.consts[t.Name] = t
	}
	for _, p := range m.given() {
		s.inputs[p.Name], s.varies[p.Name] = true, true
		s.heavy[p.Name] = p.Type != Int64 && p.Type != Int32 && p.Type != Bool
	}
	return s
}

// cheap are the operators that rest does again rather than read what they made.
var cheap = []string{"Identity", "Cast", "Add", "Sub", "Mul", "Div", "Neg", "Abs", "Mod", "Max", "Min", "Clip", "Not", "And", "Or", "Equal", "Less",
	"LessOrEqual", "Greater", "GreaterOrEqual", "Where", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat", "Slice", "Split", "Gather",
	"Expand", "Tile", "Range", "ConstantOfShape", "Trilu", "CumSum", "ArgMax", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "Pad", "ScatterND"}

// follow tells the values apart and reports whether an output is trained.
func (s *split) follow(trained func(*Tensor) bool) bool {
	asked := map[string]bool{}
	for _, n := range s.nodes {
		of, varies, heavy := false, false, false
		for _, in := range n.reads() {
			if t := s.consts[in]; t != nil && t.Type == Float && !asked[in] {
				asked[in] = true
				s.trained[in] = trained(t)
			}
			of, varies, heavy = of || s.trained[in], varies || s.varies[in], heavy || s.heavy[in]
		}
		if isShape(n) {
			of, varies, heavy = false, false, false
		}
		lookup := n.Op == "Gather" && len(n.Inputs) > 1 && s.varies[n.Inputs[1]] && s.consts[n.Inputs[0]] != nil && s.consts[n.Inputs[0]].Type == Float
		heavy = varies && (heavy || lookup || n.Domain != "" && n.Domain != "ai.onnx" || !slices.Contains(cheap, n.Op))
		for _, out := range n.Outputs {
			s.trained[out], s.varies[out], s.heavy[out] = of, varies, heavy
		}
	}
	return slices.ContainsFunc(s.m.Outputs, func(p Port) bool { return s.trained[p.Name] })
}

func isShape(n *Node) bool {
	return n.Domain == "" && (n.Op == "Shape" || n.Op == "Size") && len(n.Inputs) == 1 && len(n.Outputs) == 1
}

// choose finds the nodes of rest: those that are trained, and what they read of what is
// cheap. Where only the shape of a frozen value is asked for, it is not read.
func (s *split) choose() {
	for _, p := range s.m.Outputs {
		if s.trained[p.Name] {
			s.wanted[p.Name] = true
		}
	}
	for _, n := range slices.Backward(s.nodes) {
		for _, out := range n.Outputs {
			s.mine[n] = s.mine[n] || out != "" && s.wanted[out] && (s.trained[out] || !s.heavy[out])
		}
		if !s.mine[n] {
			continue
		}
		for _, in := range n.reads() {
			if !isShape(n) || s.trained[in] || n.Op == "Size" {
				s.wanted[in] = true
			}
		}
	}
}

// rest puts the second part together.
func (s *split) rest() (*Model, error) {
	m := *s.m
	m.Nodes, m.Info = nil, nil
	m.Outputs = slices.DeleteFunc(slices.Clone(s.m.Outputs), func(p Port) bool { return !s.trained[p.Name] })
	m.Initializers = slices.Clone(m.Initializers)
	sizes := newSizes(&m, s)
	var err error
	for range 2 {
		if m.Inputs, err = s.cross(); err != nil {
			return nil, err
		}
		for _, n := range s.nodes { // what shapes cannot be told without
			if s.mine[n] && isShape(n) && !sizes.tell(n) {
				s.wanted[n.Inputs[0]] = true
			}
		}
	}
	for _, n := range s.nodes {
		if s.mine[n] && isShape(n) && !s.there(n.Inputs[0]) {
			sizes.write(n)
		} else if s.mine[n] {
			m.Nodes = append(m.Nodes, n)
		}
	}
	m.prune()
	return &m, nil
}

// there reports whether rest has a value.
func (s *split) there(name string) bool {
	return s.wanted[name] || s.consts[name] != nil
}

// cross returns the inputs of rest, which are what it reads and does not make: what is
// frozen, in the order of its making, and inputs of the model.
func (s *split) cross() (list []Port, err error) {
	for _, n := range s.nodes {
		for _, out := range n.Outputs {
			if out == "" || !s.wanted[out] || s.mine[n] {
				continue
			}
			p, err := s.shapes.port(out)
			if err != nil {
				return nil, err
			}
			list = append(list, p)
		}
	}
	for _, p := range s.m.given() {
		if s.wanted[p.Name] {
			list = append(list, p)
		}
	}
	return list, nil
}
