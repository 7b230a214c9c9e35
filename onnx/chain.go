package onnx

import (
	"fmt"
	"slices"
)

// Then returns a model in which next goes on from the value of that name, which may be
// an inner one: the value is what next, a graph of one input, is given, and next's
// outputs are those of the whole. What m makes for its own outputs alone is left out.
// The two keep the names of their values, which must differ, and their tensors;
// neither is changed.
func (m *Model) Then(value string, next *Model) (*Model, error) {
	given := next.given()
	if len(given) != 1 {
		return nil, fmt.Errorf("%s goes on from one value, and takes %d", next.Name, len(given))
	}
	front, err := m.Cut(value)
	if err != nil {
		return nil, err
	}
	all := *front
	all.Name = m.Name
	taken := front.names()
	renamed := map[string]string{given[0].Name: value}
	all.Nodes = slices.Clone(front.Nodes)
	for _, n := range next.Nodes {
		own := *n
		own.Inputs = renamedIn(n.Inputs, renamed)
		for _, out := range own.Outputs {
			if out != "" && taken[out] {
				return nil, fmt.Errorf("%s and %s both have a value %s", m.Name, next.Name, out)
			}
		}
		all.Nodes = append(all.Nodes, &own)
	}
	all.Initializers = slices.Clone(front.Initializers)
	for _, t := range next.Initializers {
		if taken[t.Name] {
			return nil, fmt.Errorf("%s and %s both have a value %s", m.Name, next.Name, t.Name)
		}
		all.Initializers = append(all.Initializers, t)
	}
	all.Outputs, all.Info = slices.Clone(next.Outputs), nil
	all.Opsets = slices.Clone(front.Opsets)
	for _, o := range next.Opsets {
		if !slices.ContainsFunc(all.Opsets, func(p Opset) bool { return p.Domain == o.Domain }) {
			all.Opsets = append(all.Opsets, o)
		}
	}
	return &all, nil
}

// From returns the part of the model that goes on from the value of that name, which
// becomes its only input.
func (m *Model) From(value string) (*Model, error) {
	shapes, err := m.infer()
	if err != nil {
		return nil, fmt.Errorf("go on from %s of %s: %w", value, m.Name, err)
	}
	port, err := shapes.port(value)
	if err != nil {
		return nil, fmt.Errorf("go on from %s of %s: %w", value, m.Name, err)
	}
	part := *m
	part.Inputs, part.Info = []Port{port}, nil
	part.Nodes = slices.DeleteFunc(slices.Clone(m.Nodes), func(n *Node) bool { return slices.Contains(n.Outputs, value) })
	part.Nodes = part.live()
	part.prune()
	made := part.names()
	for _, n := range part.Nodes {
		for _, in := range n.reads() {
			if !made[in] {
				return nil, fmt.Errorf("go on from %s of %s: %s %s needs %s, too", value, m.Name, n.Op, n.Name, in)
			}
		}
	}
	if len(part.Inputs) == 0 {
		return nil, fmt.Errorf("go on from %s of %s: no output comes of it", value, m.Name)
	}
	return &part, nil
}

// names are those of all values of the model.
func (m *Model) names() map[string]bool {
	names := map[string]bool{}
	for _, p := range m.Inputs {
		names[p.Name] = true
	}
	for _, t := range m.Initializers {
		names[t.Name] = true
	}
	for _, n := range m.Nodes {
		for _, out := range n.Outputs {
			if out != "" {
				names[out] = true
			}
		}
	}
	return names
}

func renamedIn(names []string, by map[string]string) []string {
	out := slices.Clone(names)
	for i, name := range out {
		if to, ok := by[name]; ok {
			out[i] = to
		}
	}
	return out
}

// Renamed returns the model with another name for one of its values. m is not changed.
func (m *Model) Renamed(value, to string) (*Model, error) {
	if m.names()[to] {
		return nil, fmt.Errorf("%s has a value %s already", m.Name, to)
	}
	by := map[string]string{value: to}
	own := *m
	own.Nodes = make([]*Node, len(m.Nodes))
	for i, n := range m.Nodes {
		node := *n
		node.Inputs, node.Outputs = renamedIn(n.Inputs, by), renamedIn(n.Outputs, by)
		own.Nodes[i] = &node
	}
	ports := func(list []Port) []Port {
		list = slices.Clone(list)
		for i, p := range list {
			if p.Name == value {
				list[i].Name = to
			}
		}
		return list
	}
	own.Inputs, own.Outputs, own.Info = ports(m.Inputs), ports(m.Outputs), ports(m.Info)
	return &own, nil
}
