package ann

import "slices"

// best keeps the k best docs of those it is offered, each once.
type best struct {
	x    *Index
	k    int
	many bool       // a doc may come again, with another vector
	list []Neighbor // sorted, best first, as far as sorted
	full bool       // k docs were there; least is no better than the worst of those
	last Neighbor
}

// few docs are kept sorted all the time; more are sorted now and then.
const few = 128

func (b *best) reset(x *Index, k int, many bool) {
	*b = best{x: x, k: k, many: many, list: b.list[:0]}
}

// beats reports whether the best are all better than any with a score below this.
func (b *best) beats(score float32) bool { return b.full && score < b.last.Score }

func (b *best) offer(nb Neighbor) {
	if b.full && !b.x.before(nb, b.last) {
		return
	}
	if b.k > few {
		if b.list = append(b.list, nb); len(b.list) >= 2*b.k {
			b.sort()
		}
		return
	}
	if b.many {
		if had := slices.IndexFunc(b.list, func(o Neighbor) bool { return o.Doc == nb.Doc }); had >= 0 {
			if !b.x.before(nb, b.list[had]) {
				return
			}
			b.list = slices.Delete(b.list, had, had+1)
		}
	}
	at := len(b.list)
	for at > 0 && b.x.before(nb, b.list[at-1]) {
		at--
	}
	b.list = slices.Insert(b.list, at, nb)
	b.cut()
}

// sort leaves the k best, sorted.
func (b *best) sort() {
	slices.SortFunc(b.list, func(p, q Neighbor) int {
		switch {
		case b.x.before(p, q):
			return -1
		case b.x.before(q, p):
			return 1
		}
		return 0
	})
	if b.many {
		seen := make(map[uint32]bool, len(b.list))
		b.list = slices.DeleteFunc(b.list, func(nb Neighbor) bool {
			had := seen[nb.Doc]
			seen[nb.Doc] = true
			return had
		})
	}
	b.cut()
}

func (b *best) cut() {
	b.list = b.list[:min(len(b.list), b.k)]
	if b.full = b.full || len(b.list) == b.k; b.full && len(b.list) > 0 {
		b.last = b.list[len(b.list)-1]
	}
}

// sorted returns the best so far.
func (b *best) sorted() []Neighbor {
	if b.k > few {
		b.sort()
	}
	return b.list
}
