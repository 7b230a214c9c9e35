package index

import (
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/clipsearch/clipsearch"
)

// keptPredicates is how many predicates' docs are kept; more while more are in use.
// A million pictures need up to 125 kB for each.
const keptPredicates = 64

// kept is what a predicate found.
type kept struct {
	ready chan struct{}   // closed when docs are there
	docs  *roaring.Bitmap // for which it holds; nil until ready. Guarded by columns.mu
	late  map[doc]bool    // what became of docs while others were looked at. Guarded by columns.mu
	users atomic.Int32    // it is not thrown away while there are any
	used  atomic.Int64    // when last, as columns.clock counts
}

// admitted returns the docs that f admits, for the caller to change.
func (c *columns) admitted(f clipsearch.Filter) *roaring.Bitmap {
	var all []*kept
	for _, q := range f {
		k := c.keep(newPredicate(q))
		defer k.users.Add(-1)
		all = append(all, k)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.live == nil {
		return roaring.New()
	}
	var docs []*roaring.Bitmap
	for i, q := range f {
		if !q.Not {
			docs = append(docs, all[i].docs)
		}
	}
	var out *roaring.Bitmap
	switch len(docs) {
	case 0:
		out = c.live.Clone()
	case 1:
		out = docs[0].Clone()
	default:
		out = roaring.FastAnd(docs...)
	}
	for i, q := range f {
		if q.Not {
			out.AndNot(all[i].docs)
		}
	}
	return out
}

// keep returns what p found, with its docs there, for one more user.
func (c *columns) keep(p predicate) *kept {
	k, mine := c.find(p)
	if !mine {
		<-k.ready
		return k
	}
	words := c.scan(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	k.docs = roaring.FromDense(words, true)
	for d, holds := range k.late {
		k.tell(d, holds)
	}
	k.late = nil
	close(k.ready)
	return k
}

// find returns what is kept of p, for one more user. It is the caller's to fill if
// it was not there.
func (c *columns) find(p predicate) (k *kept, mine bool) {
	c.mu.RLock()
	k = c.kept[p]
	if k != nil {
		k.users.Add(1)
		k.used.Store(c.clock.Add(1))
	}
	c.mu.RUnlock()
	if k != nil {
		return k, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, mine = c.kept[p], false; k == nil {
		mine = true
		c.evict()
		k = &kept{ready: make(chan struct{}), late: map[doc]bool{}}
		if c.kept == nil {
			c.kept = map[predicate]*kept{}
		}
		c.kept[p] = k
	}
	k.users.Add(1)
	k.used.Store(c.clock.Add(1))
	return k, mine
}

// evict makes room for one more: what was used least recently goes.
func (c *columns) evict() {
	if len(c.kept) < keptPredicates {
		return
	}
	var oldest predicate
	var found *kept
	for p, k := range c.kept {
		if k.users.Load() == 0 && (found == nil || k.used.Load() < found.used.Load()) {
			oldest, found = p, k
		}
	}
	if found != nil {
		delete(c.kept, oldest)
	}
}

// tell brings what is kept to where the columns are, of which d has changed.
func (c *columns) tell(d doc, holds func(predicate) bool) {
	for p, k := range c.kept {
		if k.docs == nil {
			k.late[d] = holds(p)
		} else {
			k.tell(d, holds(p))
		}
	}
}

func (k *kept) tell(d doc, holds bool) {
	if holds {
		k.docs.Add(uint32(d))
	} else {
		k.docs.Remove(uint32(d))
	}
}

func (k *kept) bytes() int64 {
	n := int64(256 + 16*len(k.late))
	if k.docs != nil {
		n += int64(k.docs.GetSizeInBytes())
	}
	return n
}
