package onnx

import "slices"

// pickRules are the gradients of what looks up rows.
var pickRules = map[string]vjp{
	"Gather":   (*backward).gather,
	"GatherND": (*backward).gatherND,
}

// gather treats rows that are known now as slices, and others as rows of a table.
func (b *backward) gather(n *Node) {
	x, ids, dy := b.in(n, 0), b.in(n, 1), b.grad(n)
	a, _ := n.Attr("axis").(int64)
	axis := b.g.axis(x, int(a))
	shape := slices.Concat(x.shape[:axis], Shape{ids.shape.Size()}, x.shape[axis+1:])
	dy = b.g.view(dy, shape...)
	if runs := b.runs(ids, b.dims(x)[axis]); len(runs) > 0 && (axis > 0 || len(runs) <= 4) {
		at := int64(0)
		for _, r := range runs {
			v := dy
			if len(runs) > 1 {
				v = b.g.Slice(dy, axis, at, at+r.size)
			}
			b.addPart(x, axis, r.from, v)
			at += r.size
		}
		return
	}
	if axis != 0 {
		b.g.failf("no gradient is known of rows %v of dimension %d of %v: only of the first dimension, or of rows that are constants", ids, axis, x)
	}
	b.addRows(x, b.g.view(ids, shape[0]), dy)
}

// run is a number of rows one behind the other.
type run struct{ from, size int64 }

// runs cuts ids into runs; none if they are no constant. n rows there are.
func (b *backward) runs(ids *Value, n int64) []run {
	if ids.tensor == nil {
		return nil
	}
	list, err := ids.tensor.Int64s()
	if err != nil {
		return nil
	}
	var runs []run
	for _, id := range list {
		if id < 0 {
			id += n
		}
		if last := len(runs) - 1; last >= 0 && runs[last].from+runs[last].size == id {
			runs[last].size++
		} else {
			runs = append(runs, run{id, 1})
		}
	}
	return runs
}

// gatherND is the rule of [Graph.Pick]: the sequences are a table of all their rows.
func (b *backward) gatherND(n *Node) {
	g, x, ids, dy := b.g, b.in(n, 0), b.in(n, 1), b.grad(n)
	dims := b.dims(x)
	if batches, _ := n.Attr("batch_dims").(int64); batches != 1 || len(dims) != 3 || len(ids.shape) != 2 || ids.shape[1] != N(1) {
		g.failf("no gradient is known of GatherND of %v and %v with the attributes %v", x, ids, n.Attrs)
	}
	first := make([]int64, dims[0])
	for i := range first {
		first[i] = int64(i) * dims[1]
	}
	table := &Value{g: g, typ: x.typ, shape: Of(dims[0]*dims[1], dims[2])}
	at := g.view(ids, x.shape[0])
	at = g.Where(g.Less(at, g.Int64s(0)), g.Add(at, g.Int64s(dims[1])), at) // from the end
	b.addRows(table, g.Add(at, g.Int64s(first...)), dy)
	b.add(x, g.view(b.total(table), x.shape...))
	delete(b.sums, table)
}
