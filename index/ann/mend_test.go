package ann

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
)

// linksOf returns the rows that row n links to on level 0.
func (g *graph) linksOf(n uint32) (rows []uint32) {
	list := g.list(n, 0)
	for i := range list {
		if list[i] != 0 {
			rows = append(rows, leads(list[i]))
		}
	}
	return rows
}

// unlink takes the links to row to out of the list of row from.
func (g *graph) unlink(from, to uint32) {
	list := g.list(from, 0)
	rest := slices.DeleteFunc(slices.Clone(list), func(link uint32) bool { return link == 0 || leads(link) == to })
	clear(list)
	copy(list, rest)
}

func built(t *testing.T, n int) *Index {
	t.Helper()
	vectors := newCloud(8, 32, 10).many(n)
	x := newIndex(t, Options{Dim: 32, GraphFrom: 1, Workers: 1})
	if err := x.Build(context.Background(), n, func(i int) []float32 { return vectors[i] }); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestMendIslands cuts pairs of rows off, each of which links to its partner: a link
// to the one leads on to the other.
func TestMendIslands(t *testing.T) {
	x := built(t, 600)
	g, r := x.state.Load().graph, x.state.Load().rows
	top, _, _ := g.top()
	for n := uint32(10); n < 600; n += 37 {
		partner := g.linksOf(n)[0]
		if n == top || partner == top {
			continue
		}
		for from := range g.linked.Load() {
			if from != n && from != partner {
				g.unlink(from, n)
				g.unlink(from, partner)
			}
		}
	}
	if len(g.lost()) < 10 {
		t.Fatalf("%d rows are cut off, want some", len(g.lost()))
	}
	g.mend(r)
	sound(t, x)
}

// TestLinkedWhileLinking has another row link to one that is being linked, and has
// come by a level above.
func TestLinkedWhileLinking(t *testing.T) {
	x := built(t, 600)
	st := x.state.Load()
	l := newLinker(st.graph, st.rows)
	for n := uint32(5); n < 600; n += 50 {
		l.foldRow(&l.query, n)
		l.search(n, 0)
		l.upper[0] = append(l.upper[0][:0], l.near...)
		list := st.graph.list(n, 0)
		clear(list)
		early := []uint32{l.near[0].row, l.near[len(l.near)-1].row}
		for i, row := range early {
			atomic.StoreUint32(&list[i], row+1|unknown)
		}
		l.link(n, 0)
		got := st.graph.linksOf(n)
		for _, row := range early {
			if !slices.Contains(got, row) {
				t.Errorf("row %d links to %v: the link to row %d is gone", n, got, row)
			}
		}
		if slices.Sort(got); len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("row %d links to a row twice: %v", n, got)
		}
	}
}
