package onnx

import "slices"

// reads returns the names of all values that a node reads, those of an outer graph
// that graphs in its attributes read among them.
func (n *Node) reads() []string {
	names := slices.DeleteFunc(slices.Clone(n.Inputs), func(s string) bool { return s == "" })
	for _, a := range n.Attrs {
		if raw, ok := a.Value.(rawAttr); ok {
			names = append(names, raw.reads()...)
		}
	}
	return names
}

// reads returns what the nodes of graphs in an attribute read, and with it names of
// their own: nobody makes those outside.
func (raw rawAttr) reads() (names []string) {
	graph := func(body []byte) {
		m := &Model{}
		if m.readGraph(body) != nil {
			return
		}
		for _, n := range m.Nodes {
			names = append(names, n.reads()...)
		}
		for _, p := range m.Outputs { // which a graph may hand through
			names = append(names, p.Name)
		}
	}
	_ = each(raw, func(f field) error {
		if f.number == 6 || f.number == 11 { // g, graphs
			graph(f.body)
		}
		return nil
	})
	return names
}

// sweep drops the initializers that nothing reads: what was folded leaves them.
func (m *Model) sweep() {
	read := map[string]bool{}
	for _, n := range m.Nodes {
		for _, in := range n.Inputs {
			read[in] = true
		}
	}
	for _, p := range m.Outputs {
		read[p.Name] = true
	}
	m.Initializers = slices.DeleteFunc(m.Initializers, func(t *Tensor) bool { return !read[t.Name] })
}
