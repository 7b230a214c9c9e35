package onnx

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The sizes that a dimension is given to learn which others depend on it, and how.
const (
	trySize   = 2
	otherSize = 3
	trySymbol = 8 // names of dimensions at most
)

// inferred is what is known of a model's values.
type inferred struct {
	ports map[string]Port
	wrong map[string]error // why nothing is known of a value; of what depends on it, the same
}

// port returns the type and shape of a value.
func (in inferred) port(name string) (Port, error) {
	if p, ok := in.ports[name]; ok {
		return p, nil
	}
	err := in.wrong[name]
	if err == nil {
		err = errors.New("nothing makes it")
	}
	return Port{}, fmt.Errorf("the shape of %s is not known: %w", name, err)
}

// infer learns the types and shapes of all values. The model is replayed with one set
// of sizes for the names in its inputs' shapes, and then with another size for each of
// them: a dimension that grows with a name is a multiple of it. Where that leads
// nowhere, what the file says holds.
func (m *Model) infer() (inferred, error) {
	names := m.symbols()
	if len(names) > trySymbol {
		return inferred{}, fmt.Errorf("the inputs of %s have %d dimensions that are not known, such as %s: give them numbers in Inputs", m.Name, len(names), names[0])
	}
	same := map[string]string{}
	for _, name := range names {
		same[name] = name
	}
	out, alone := m.vary(same)
	if !alone { // some files name each input's batch otherwise
		first := ""
		for _, p := range m.given() {
			if len(p.Shape) > 0 {
				for _, name := range p.Shape[0].symbols(p, 0) {
					first = cmp.Or(first, name)
					same[name] = first
				}
			}
		}
		out, _ = m.vary(same)
	}
	for _, p := range slices.Concat(m.Info, m.Outputs) {
		if _, known := out.ports[p.Name]; !known && p.Shape != nil {
			out.ports[p.Name] = p
		}
	}
	return out, nil
}

// vary gives names other sizes, one after the other, together with those that same
// says are but other names for it. It reports whether no more is wrong than with one
// size for all.
func (m *Model) vary(same map[string]string) (out inferred, alone bool) {
	base, wrong := m.sized(same, "")
	names := slices.Compact(slices.Sorted(maps.Values(same)))
	varied := map[string]map[string]Port{}
	alone = true
	for _, name := range names {
		ports, worse := m.sized(same, name)
		varied[name] = ports
		for value, err := range worse {
			if wrong[value] == nil {
				wrong[value], alone = fmt.Errorf("with another %s: %w", name, err), false
			}
		}
	}
	out = inferred{map[string]Port{}, wrong}
	for name, p := range base {
		if wrong[name] == nil {
			out.ports[name] = p.general(names, varied)
		}
	}
	return out, alone
}

// general puts names for what depends on them into a shape that was found with numbers.
func (p Port) general(names []string, varied map[string]map[string]Port) Port {
	shape := make(Shape, len(p.Shape))
	for i, d := range p.Shape {
		n, _ := d.Known()
		shape[i] = d
		for _, name := range names {
			other := varied[name][p.Name].Shape
			if len(other) != len(p.Shape) {
				shape[i] = Sym(fmt.Sprintf("%s.%d", p.Name, i))
				break
			}
			k, _ := other[i].Known()
			if k == n {
				continue
			}
			if k*trySize != n*otherSize || shape[i].n%trySize != 0 {
				shape[i] = Sym(fmt.Sprintf("%s.%d", p.Name, i)) // it depends in another way
				break
			}
			shape[i] = Dim{shape[i].n / trySize, shape[i].syms}.Times(Sym(name))
		}
	}
	return Port{p.Name, p.Type, shape}
}

// symbols returns the names in the shapes of the inputs; nameless dimensions are named
// after their input.
func (m *Model) symbols() []string {
	found := map[string]bool{}
	for _, p := range m.given() {
		for i, d := range p.Shape {
			for _, s := range d.symbols(p, i) {
				found[s] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func (d Dim) symbols(p Port, axis int) []string {
	switch d.syms {
	case "":
		return nil
	case "?":
		return []string{fmt.Sprintf("%s.%d", p.Name, axis)}
	}
	return strings.Split(d.syms, "·")
}

// given returns the inputs without those that are initializers, which older files list.
func (m *Model) given() []Port {
	constant := map[string]bool{}
	for _, t := range m.Initializers {
		constant[t.Name] = true
	}
	return slices.DeleteFunc(slices.Clone(m.Inputs), func(p Port) bool { return constant[p.Name] })
}

// sized replays the model with numbers for names, a larger one for those that are the
// same as larger, and returns what it finds, and why it does not find the rest.
func (m *Model) sized(same map[string]string, larger string) (map[string]Port, map[string]error) {
	sizes := map[string]int64{}
	for name, as := range same {
		if sizes[name] = trySize; as == larger {
			sizes[name] = otherSize
		}
	}
	ports, wrong := map[string]Port{}, map[string]error{}
	_, err := Build(m.Name, func(g *Graph) {
		r := g.newReplay(m, nil)
		in := map[string]*Value{}
		for _, p := range m.given() {
			shape := make(Shape, len(p.Shape))
			for i, d := range p.Shape {
				shape[i] = N(d.n)
				for _, s := range d.symbols(p, i) {
					shape[i] = shape[i].Times(N(sizes[s]))
				}
			}
			in[p.Name] = g.Input(p.Name, p.Type, shape...)
		}
		r.bind(in)
		for _, n := range m.live() {
			r.try(n, wrong)
		}
		for name, o := range r.made {
			ports[name] = Port{name, o.typ, Of(o.dims...)}
		}
		g.Output("none", g.Scalar(0))
	})
	if err != nil { // before any node
		for _, n := range m.Nodes {
			for _, out := range n.Outputs {
				wrong[out] = err
			}
		}
	}
	return ports, wrong
}

// try adds a node, or notes why it cannot be.
func (r *replay) try(n *Node, wrong map[string]error) {
	scope := r.g.scope
	note := func(err error) {
		r.g.scope = scope
		for _, out := range n.Outputs {
			if wrong[out] = err; r.made[out] != nil {
				delete(r.made, out)
			}
		}
	}
	for _, in := range n.Inputs {
		if wrong[in] != nil {
			note(wrong[in])
			return
		}
	}
	defer func() {
		if p := recover(); p != nil {
			bad, ok := p.(misfit)
			if !ok {
				panic(p)
			}
			note(bad.error)
		}
	}()
	r.run(n)
}
