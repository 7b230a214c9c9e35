package onnx

import (
	"slices"
)

// call is a node that is being replayed: its operands and attributes. An operand that
// is left out is nil.
type call struct {
	*replay
	n  *Node
	in []*operand
}

// arg returns operand i, which must be there.
func (c *call) arg(i int) *operand {
	if o := c.opt(i); o != nil {
		return o
	}
	c.g.failf("%s lacks its input %d", c.n.Op, i)
	return nil
}

// opt returns operand i, or nil.
func (c *call) opt(i int) *operand {
	if i < len(c.in) {
		return c.in[i]
	}
	return nil
}

func (c *call) int(name string, otherwise int64) int64 {
	switch v := c.n.Attr(name).(type) {
	case nil:
		return otherwise
	case int64:
		return v
	}
	c.g.failf("the attribute %s of %s is no integer", name, c.n.Op)
	return 0
}

func (c *call) float(name string, otherwise float64) float64 {
	switch v := c.n.Attr(name).(type) {
	case nil:
		return otherwise
	case float32:
		return float64(v)
	}
	c.g.failf("the attribute %s of %s is no number", name, c.n.Op)
	return 0
}

func (c *call) text(name, otherwise string) string {
	if v, ok := c.n.Attr(name).(string); ok && v != "" {
		return v
	}
	return otherwise
}

// ints returns a list of integers, nil if it is not given.
func (c *call) ints(name string) []int64 {
	switch v := c.n.Attr(name).(type) {
	case nil:
		return nil
	case []int64:
		return v
	}
	c.g.failf("the attribute %s of %s is no list of integers", name, c.n.Op)
	return nil
}

// none ends the build where an attribute has another value than the one known here.
func (c *call) only(name string, want int64) {
	if got := c.int(name, want); got != want {
		c.g.failf("%s with %s = %d is not known here: only %d is", c.n.Op, name, got, want)
	}
}

// numbers returns the integers of operand i, which must be known: a graph has no
// shapes that depend on what it is given.
func (c *call) known(i int) []int64 {
	o := c.arg(i)
	if o.known == nil || o.known.isFloat() {
		c.g.failf("the input %s of %s must be known when the graph is built, and depends on what it is given", c.n.Inputs[i], c.n.Op)
	}
	return o.known.ints
}

// listed returns integers that newer operator sets have as operand i and older ones as
// an attribute; nil if neither is there.
func (c *call) listed(i int, name string) []int64 {
	if c.opt(i) != nil {
		return c.known(i)
	}
	return c.ints(name)
}

// scalar returns the only number of an operand, if it is known.
func (o *operand) scalar() (float64, bool) {
	if o == nil || o.known == nil || o.known.len() != 1 {
		return 0, false
	}
	if o.known.isFloat() {
		return o.known.floats[0], true
	}
	return float64(o.known.ints[0]), true
}

// axis resolves a dimension of a value with so many, counted from the end where negative.
func (r *replay) axis(a int64, rank int) int {
	if a < 0 {
		a += int64(rank)
	}
	if a < 0 || a >= int64(rank) {
		r.g.failf("there is no dimension %d of %d", a, rank)
	}
	return int(a)
}

// axes resolves several, each of which may stand there once, in order.
func (r *replay) axes(list []int64, rank int) []int {
	var out []int
	for _, a := range list {
		out = append(out, r.axis(a, rank))
	}
	slices.Sort(out)
	if len(slices.Compact(slices.Clone(out))) != len(out) {
		r.g.failf("the dimensions %v name one twice", list)
	}
	return out
}

func one(o *operand) []*operand { return []*operand{o} }
