package onnx

import (
	"fmt"
	"slices"
)

// BuildTraining is [Build] for a graph that computes gradients. Every dimension is a
// number, and operators of several steps are written in steps that have gradients:
// attention is products of matrices around a softmax.
func BuildTraining(name string, f func(g *Graph)) (*Model, error) { return build(name, true, f) }

// views are the operators that change no number and cost nothing to share: a training
// graph asks for each view of a value once, so that what its users send back meets at
// one value, where products are added up within the product (backward.addProduct).
var views = []string{"Reshape", "Transpose", "Unsqueeze", "Squeeze", "Slice", "Cast"}

// vjp adds the product of a node's results' gradients and its Jacobian to the
// gradients of those of its inputs that are wanted (backward.wants).
type vjp func(b *backward, n *Node)

// vjps holds one for every operator that has a gradient.
var vjps map[string]vjp

func init() { // not where it is declared: the rules call what reads it
	vjps = map[string]vjp{}
	for _, rules := range []map[string]vjp{elementRules, activationRules, productRules, reductionRules, shapeRules, pickRules, convRules} {
		for op, rule := range rules {
			vjps[op] = rule
		}
	}
}

// backward is one sweep over a graph, from its end to its beginning.
type backward struct {
	g     *Graph
	reach map[*Value]bool // what depends on one of the xs, and so passes gradients on
	sums  map[*Value]*sum
}

// Backward adds the nodes that compute the gradient of Σ outs·seeds by each of xs, and
// returns those gradients, each of the shape of its x; nil for an x that no out depends
// on. A seed has the shape of its out; nil stands for ones. xs may be inputs, constants
// or values within the graph. What only other values need is not computed.
//
// An operator without a known gradient between xs and outs ends the build with an error
// that names it. The gradients of integers and conditions are none: nothing passes
// ArgMax, Equal or a cast to integers. Where a function has no derivative: at the ties
// of Max and Min the first argument gets the gradient, Relu and Clip pass none on at
// their bounds, equal maxima share it.
func (g *Graph) Backward(outs, seeds, xs []*Value) []*Value {
	if !g.training {
		g.failf("gradients in a graph that Build makes: call BuildTraining")
	}
	if len(outs) != len(seeds) {
		g.failf("gradients of %d values with %d seeds", len(outs), len(seeds))
	}
	b := &backward{g: g, sums: map[*Value]*sum{}}
	nodes := slices.Clone(g.m.Nodes)
	b.follow(nodes, xs)
	for i, out := range outs {
		b.seed(out, seeds[i])
	}
	outer := g.scope
	for _, n := range slices.Backward(nodes) {
		g.scope = "grad/" + n.Name + "/"
		b.visit(n)
	}
	gradients := make([]*Value, len(xs))
	for i, x := range xs {
		g.scope = "grad/" + x.name + "/"
		gradients[i] = b.total(x)
	}
	g.scope = outer
	return gradients
}

// follow finds what depends on xs.
func (b *backward) follow(nodes []*Node, xs []*Value) {
	b.reach = make(map[*Value]bool, len(xs))
	for _, x := range xs {
		if !x.typ.real() {
			b.g.failf("the gradient by %v, which is no float", x)
		}
		b.reach[x] = true
	}
	for _, n := range nodes {
		if !slices.ContainsFunc(n.Inputs, func(name string) bool { return b.reach[b.g.values[name]] }) {
			continue
		}
		for _, out := range n.Outputs {
			if v := b.g.values[out]; v != nil && v.typ.real() {
				b.reach[v] = true
			}
		}
	}
}

// real says whether numbers of the type have derivatives.
func (t Type) real() bool { return t == Float || t == Double || t == Float16 || t == BFloat16 }

func (b *backward) seed(out, seed *Value) {
	switch {
	case !b.wants(out):
		return
	case seed == nil:
		seed = b.g.ExpandTo(b.g.number(out.typ, 1), out.shape...)
	case !slices.Equal(seed.shape, out.shape) || seed.typ != out.typ:
		b.g.failf("the gradient of %v with the seed %v", out, seed)
	}
	b.add(out, seed)
}

// visit passes on what has arrived at the results of n.
func (b *backward) visit(n *Node) {
	arrived := func(name string) bool { return b.sums[b.g.values[name]] != nil }
	if !slices.ContainsFunc(n.Outputs, arrived) || !slices.ContainsFunc(n.Inputs, func(name string) bool { return b.wants(b.g.values[name]) }) {
		return
	}
	rule := b.out(n).rule
	if rule == nil {
		rule = vjps[n.Op]
	}
	if rule == nil {
		b.g.Fail(fmt.Errorf("no gradient is known of %s: freeze what lies before it", n.Op))
	}
	rule(b, n)
}

// wants says whether the gradient of v is of use; v may be nil.
func (b *backward) wants(v *Value) bool { return v != nil && b.reach[v] }

// in returns an input of a node, nil if it is left out.
func (b *backward) in(n *Node, i int) *Value {
	if i >= len(n.Inputs) || n.Inputs[i] == "" {
		return nil
	}
	return b.g.values[n.Inputs[i]]
}

func (b *backward) out(n *Node) *Value { return b.g.values[n.Outputs[0]] }

// grad returns the gradient of a node's first result.
func (b *backward) grad(n *Node) *Value { return b.total(b.out(n)) }

// fixed refuses to treat an input as a constant that is none.
func (b *backward) fixed(n *Node, inputs ...int) {
	for _, i := range inputs {
		if v := b.in(n, i); b.wants(v) {
			b.g.failf("no gradient is known of %s by its input %d, %v: freeze it", n.Op, i, v)
		}
	}
}

// dims returns the shape of v as numbers.
func (b *backward) dims(v *Value) []int64 { return b.g.dims(v) }

func (g *Graph) dims(v *Value) []int64 {
	dims := make([]int64, len(v.shape))
	for i, d := range v.shape {
		n, known := d.Known()
		if !known {
			g.failf("the gradient of %v: every dimension must be a number", v)
		}
		dims[i] = n
	}
	return dims
}

// constant returns the tensor that an input is, or ends the build: the gradient of n
// needs its numbers.
func (b *backward) constant(n *Node, i int) *Tensor {
	v := b.in(n, i)
	if v != nil && v.tensor != nil {
		return v.tensor
	}
	b.g.failf("the gradient of %s: its input %d, %v, must be a constant", n.Op, i, v)
	return nil
}

func (b *backward) int64s(n *Node, i int) []int64 {
	list, err := b.constant(n, i).Int64s()
	if err != nil {
		b.g.Fail(fmt.Errorf("the gradient of %s: %w", n.Op, err))
	}
	return list
}

// extra returns result i of a node, which is asked for from now on.
func (b *backward) extra(n *Node, i int, what string, t Type, shape Shape) *Value {
	for len(n.Outputs) <= i {
		n.Outputs = append(n.Outputs, "")
	}
	if n.Outputs[i] == "" {
		n.Outputs[i] = b.g.fresh(what)
		b.g.value(n.Outputs[i], t, shape)
	}
	return b.g.values[n.Outputs[i]]
}
