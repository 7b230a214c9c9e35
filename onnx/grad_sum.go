package onnx

import (
	"cmp"
	"slices"
)

// sum is the gradient of one value while it is being added up.
type sum struct {
	total *Value  // nil before the first
	parts []part  // of slices of the value
	rows  []gives // of looked-up rows of a table
}

// part is the gradient of what was cut out of a value, from on along axis.
type part struct {
	axis       int
	from, size int64
	grad       *Value
}

// gives is the gradient of rows that were looked up: ids [N], grad [N,...].
type gives struct{ ids, grad *Value }

func (b *backward) of(x *Value) *sum {
	s := b.sums[x]
	if s == nil {
		s = &sum{}
		b.sums[x] = s
	}
	return s
}

// add adds v, of the shape of x, to the gradient of x.
func (b *backward) add(x, v *Value) {
	if !slices.Equal(x.shape, v.shape) {
		b.g.failf("a gradient of %v for %v", v, x) // our own mistake
	}
	s := b.of(x)
	if s.total != nil {
		v = b.g.Add(s.total, v)
	}
	s.total = v
}

// addSummed adds v, which broadcasting made larger than x, or is x's size.
func (b *backward) addSummed(x, v *Value) { b.addShare(x, v, 1) }

// addShare adds factor times v as addSummed does.
func (b *backward) addShare(x, v *Value, factor float32) {
	if r := b.rowSum(x, v, factor); r != nil {
		b.of(x).total = r
		return
	}
	v = b.shrink(v, x.shape)
	if factor != 1 {
		v = b.g.Mul(v, b.g.number(v.typ, float64(factor)))
	}
	b.add(x, v)
}

// rowSum adds up v over all its rows and what has arrived at x, [N], by a product with
// ones: ReduceSum takes twice as long. It is nil where v has another form.
func (b *backward) rowSum(x, v *Value, factor float32) *Value {
	if len(x.shape) != 1 || len(v.shape) < 2 || v.shape[len(v.shape)-1] != x.shape[0] || v.typ != Float {
		return nil
	}
	rows := b.rows(v)
	n, _ := rows.shape[0].Known()
	if n < 2 {
		return nil
	}
	y := b.g.GemmOf(b.g.ones(1, n), rows, b.of(x).total, GemmOptions{Alpha: factor})
	return b.g.Reshape(y, x.shape...)
}

// rows views v as rows of its last dimension.
func (b *backward) rows(v *Value) *Value {
	last := v.shape[len(v.shape)-1]
	return b.g.view(v, v.shape[:len(v.shape)-1].Size(), last)
}

// shrink adds up v over what broadcasting repeated of shape.
func (b *backward) shrink(v *Value, shape Shape) *Value {
	if slices.Equal(v.shape, shape) {
		return v
	}
	lead := len(v.shape) - len(shape)
	var axes []int
	for i, d := range v.shape {
		if i < lead || d != shape[i-lead] {
			axes = append(axes, i)
		}
	}
	return b.g.view(b.g.ReduceSum(v, true, axes...), shape...)
}

// addProduct adds alpha·p·q, of the rows and columns of x, to the gradient of x. What
// has arrived before goes into the same Gemm.
func (b *backward) addProduct(x, p, q *Value, tp, tq bool, alpha float32) {
	s := b.of(x)
	s.total = b.g.GemmOf(p, q, s.total, GemmOptions{TransA: tp, TransB: tq, Alpha: alpha})
}

// addPart adds v to the gradient of the part of x that lies from on along axis.
func (b *backward) addPart(x *Value, axis int, from int64, v *Value) {
	size, _ := v.shape[axis].Known()
	s := b.of(x)
	s.parts = append(s.parts, part{axis, from, size, v})
}

// addRows adds v [N,...] to the rows of x that ids [N] name.
func (b *backward) addRows(x, ids, v *Value) {
	s := b.of(x)
	s.rows = append(s.rows, gives{ids, v})
}

// total returns the gradient of x, nil if none has arrived.
func (b *backward) total(x *Value) *Value {
	s := b.sums[x]
	if s == nil {
		return nil
	}
	if len(s.parts) > 0 {
		parts := s.parts
		s.parts = nil
		b.join(x, parts)
	}
	if len(s.rows) > 0 {
		ids, grads := b.g.gathered(s.rows)
		s.rows = nil
		if b.g.tables[x] {
			b.g.lookups[x] = gives{ids, grads}
		} else {
			b.scatter(x, ids, grads)
		}
	}
	return s.total
}

// join adds the gradients of the slices of x. Those that lie one behind the other are
// written once, together.
func (b *backward) join(x *Value, parts []part) {
	slices.SortStableFunc(parts, func(p, q part) int {
		return cmp.Or(cmp.Compare(p.axis, q.axis), cmp.Compare(p.from, q.from))
	})
	for len(parts) > 0 {
		run, rest := parts[:1:1], []part(nil)
		end := parts[0].from + parts[0].size
		for _, p := range parts[1:] {
			if p.axis == run[0].axis && p.from == end {
				run, end = append(run, p), end+p.size
			} else {
				rest = append(rest, p)
			}
		}
		values := make([]*Value, len(run))
		for i, p := range run {
			values[i] = p.grad
		}
		axis := run[0].axis
		v := values[0]
		if len(values) > 1 {
			v = b.g.Concat(axis, values...)
		}
		b.add(x, b.between(x, axis, run[0].from, v))
		parts = rest
	}
}

// between puts zeros before and behind v so that it fills x's dimension.
func (b *backward) between(x *Value, axis int, from int64, v *Value) *Value {
	n, _ := x.shape[axis].Known()
	size, _ := v.shape[axis].Known()
	if size == n {
		return v
	}
	before, after := make([]int64, len(x.shape)), make([]int64, len(x.shape))
	before[axis], after[axis] = from, n-from-size
	return b.g.Pad(v, before, after, 0)
}

// KeepRows has [Graph.Backward] leave the gradients of the rows that are looked up in
// the tables, which are among its xs, as they are ([Graph.Lookups]). Those of a
// vocabulary are few beside the table.
func (g *Graph) KeepRows(tables ...*Value) {
	for _, t := range tables {
		g.tables[t] = true
	}
}

// Lookups returns what a table's gradient lacks after [Graph.KeepRows]: grads [N,...] is
// to be added to its rows ids [N], which may name one twice. Both are nil where nothing
// is looked up.
func (g *Graph) Lookups(table *Value) (ids, grads *Value) {
	l := g.lookups[table]
	return l.ids, l.grad
}

// gathered joins the gradients of rows.
func (g *Graph) gathered(rows []gives) (id, grad *Value) {
	if len(rows) == 1 {
		return rows[0].ids, rows[0].grad
	}
	var ids, grads []*Value
	for _, r := range rows {
		ids, grads = append(ids, r.ids), append(grads, r.grad)
	}
	return g.Concat(0, ids...), g.Concat(0, grads...)
}

// scatter adds the gradients of rows to the table x they were read from. ONNX Runtime
// runs ScatterND on several threads, which lose sums where an id comes twice, and
// ScatterElements on one.
func (b *backward) scatter(x, id, grad *Value) {
	at := b.g.view(b.g.Cast(id, Int32), append(Shape{id.shape[0]}, slices.Repeat(Shape{N(1)}, len(x.shape)-1)...)...)
	s := b.sums[x]
	if s.total == nil {
		s.total = b.g.ExpandTo(b.g.number(x.typ, 0), x.shape...)
	}
	s.total = b.g.node("ScatterElements", x.typ, x.shape, []*Value{s.total, b.g.ExpandTo(at, grad.shape...), grad},
		Attr{"axis", int64(0)}, Attr{"reduction", "add"})
}
