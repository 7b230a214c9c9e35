package onnx

import "slices"

// Halve cuts a training graph in two: first computes all that needs no input of the
// later names, and second, which takes those, the rest. The values that cross are kept
// in between: outputs of first and inputs of second, kept tells which. They are floats:
// what comes of integers, or costs nothing, second makes again. Both share m's nodes; m
// is not changed.
func (m *Model) Halve(later ...string) (first, second *Model, kept []Port) {
	h := halves{made: map[string]*Node{}, late: map[string]bool{}, second: map[*Node]bool{}, crosses: map[string]bool{}, types: map[string]Type{}}
	for _, p := range m.Info {
		h.types[p.Name] = p.Type
	}
	for _, name := range later {
		h.late[name] = true
	}
	for _, n := range m.Nodes {
		h.place(n)
	}
	for _, n := range m.Nodes {
		if h.second[n] {
			h.need(n)
		}
	}
	a, b := *m, *m
	a.Outputs, b.Outputs, a.Info, b.Info = nil, nil, nil, nil
	for _, p := range m.Outputs {
		if h.late[p.Name] {
			b.Outputs = append(b.Outputs, p)
		} else if !h.crosses[p.Name] { // else it is among those that are kept
			a.Outputs = append(a.Outputs, p)
		}
	}
	for _, p := range m.Info {
		if h.crosses[p.Name] {
			kept = append(kept, p)
		}
	}
	a.Outputs, b.Inputs = slices.Concat(a.Outputs, kept), slices.Concat(b.Inputs, kept)
	b.Nodes = slices.DeleteFunc(slices.Clone(m.Nodes), func(n *Node) bool { return !h.second[n] })
	a.Nodes = a.live()
	a.prune()
	b.prune()
	return &a, &b, kept
}

// halves sorts the nodes of a graph.
type halves struct {
	made    map[string]*Node // of the first half, by their results
	late    map[string]bool  // values that need a later input
	second  map[*Node]bool   // what makes those, and what is made again
	crosses map[string]bool
	types   map[string]Type
}

func (h *halves) place(n *Node) {
	late := slices.ContainsFunc(n.Inputs, func(in string) bool { return h.late[in] })
	if late {
		h.second[n] = true
	}
	for _, out := range n.Outputs {
		if late {
			h.late[out] = true
		} else {
			h.made[out] = n
		}
	}
}

// need has the second half get what a node of it reads.
func (h *halves) need(n *Node) {
	for _, in := range n.Inputs {
		maker := h.made[in]
		switch {
		case maker == nil || h.second[maker]:
		case maker.Op == "Reshape" || maker.Op == "Identity" || !h.types[in].real():
			h.second[maker] = true
			h.need(maker)
		default:
			h.crosses[in] = true
		}
	}
}
