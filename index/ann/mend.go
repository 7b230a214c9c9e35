package ann

import (
	"math/bits"
	"slices"
	"sync/atomic"
)

const (
	// mendRounds is how often a graph is searched for rows that no walk reaches; a
	// link that is laid to one may take the place of the only one to another.
	mendRounds = 8
	// mendPart of a graph may come before it is searched again.
	mendPart = 32
)

// mend lays links to rows that no walk reaches: the heuristic may leave a row
// without any that leads to it.
func (g *graph) mend(r *rows) {
	if _, _, ok := g.top(); !ok {
		return
	}
	l := newLinker(g, r)
	defer l.w.give()
	for range mendRounds {
		lost := g.lost()
		if len(lost) == 0 {
			break
		}
		for _, n := range lost {
			l.foldRow(&l.query, n)
			l.search(n, 0)
			if len(l.near) > 0 {
				g.leadTo(l.near, n)
			}
		}
	}
	g.mended.Store(g.linked.Load())
}

// leadTo lays a link to row n from the nearest of these rows that has room, or else
// from the nearest, in place of its last; none where the link that was laid to
// another row leads on to n.
func (g *graph) leadTo(near []candidate, n uint32) {
	near = near[:min(len(near), 8)]
	if slices.ContainsFunc(near, func(c candidate) bool { return g.hasLink(c.row, n) }) {
		return
	}
	for _, c := range near {
		list := g.list(c.row, 0)
		if last := &list[len(list)-1]; atomic.LoadUint32(last) == 0 {
			for i := range list {
				if atomic.LoadUint32(&list[i]) == 0 {
					atomic.StoreUint32(&list[i], n+1|unknown)
					g.touch(c.row)
					return
				}
			}
		}
	}
	list := g.list(near[0].row, 0)
	atomic.StoreUint32(&list[len(list)-1], n+1|unknown)
	g.touch(near[0].row)
}

// hasLink reports whether row from links to row to on level 0.
func (g *graph) hasLink(from, to uint32) bool {
	list := g.list(from, 0)
	for i := range list {
		link := atomic.LoadUint32(&list[i])
		if link == 0 {
			return false
		}
		if leads(link) == to {
			return true
		}
	}
	return false
}

// lost returns the rows in the graph that no walk on level 0 reaches from the top.
func (g *graph) lost() (lost []uint32) {
	seen, linked := g.reached()
	for i, word := range seen {
		for rest := ^word; rest != 0; rest &= rest - 1 {
			n := uint32(i<<6 + bits.TrailingZeros64(rest))
			if n < linked && g.has(n) {
				lost = append(lost, n)
			}
		}
	}
	return lost
}

// has reports whether row n, below linked, is in the graph itself: neither a twin nor
// dead before it came.
func (g *graph) has(n uint32) bool {
	top, _, ok := g.top()
	return ok && n == top || atomic.LoadUint32(&g.list(n, 0)[0]) != 0
}

// reached returns which of the rows below linked a walk on level 0 reaches from the
// top, a bit each.
func (g *graph) reached() (seen []uint64, linked uint32) {
	entry, _, ok := g.top()
	if !ok {
		return nil, 0
	}
	linked = g.linked.Load()
	seen = make([]uint64, (int(linked)+63)/64)
	seen[entry>>6] |= 1 << (entry & 63)
	for queue := []uint32{entry}; len(queue) > 0; {
		n := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		list := g.list(n, 0)
		for i := range list {
			next := atomic.LoadUint32(&list[i])
			if next == 0 {
				break
			}
			if next = leads(next); next < linked && seen[next>>6]&(1<<(next&63)) == 0 {
				seen[next>>6] |= 1 << (next & 63)
				queue = append(queue, next)
			}
		}
	}
	return seen, linked
}
