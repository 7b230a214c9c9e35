package query

import (
	"container/list"
	"sync"

	"github.com/clipsearch/clipsearch"
)

// vectorCache keeps the vectors of the texts asked last: people page, sort and
// refine, and most of a query is the query before it. Its zero value is ready,
// and it may be used by several goroutines at once.
type vectorCache struct {
	mu    sync.Mutex
	order list.List // of cached, last used first
	at    map[cacheKey]*list.Element
}

type cacheKey struct {
	space clipsearch.Space
	text  string
}

type cached struct {
	cacheKey
	vector clipsearch.Vector
}

const cacheSize = 256 // texts; at 512 numbers each, half a megabyte

func (c *vectorCache) get(key cacheKey) (clipsearch.Vector, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.at[key]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(cached).vector, true
}

func (c *vectorCache) put(key cacheKey, v clipsearch.Vector) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == nil {
		c.at = map[cacheKey]*list.Element{}
	}
	if e, ok := c.at[key]; ok {
		c.order.MoveToFront(e)
		return
	}
	c.at[key] = c.order.PushFront(cached{key, v})
	if c.order.Len() > cacheSize {
		last := c.order.Remove(c.order.Back()).(cached)
		delete(c.at, last.cacheKey)
	}
}
