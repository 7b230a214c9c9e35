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
	at    map[string]*list.Element
}

type cached struct {
	text   string
	vector clipsearch.Vector
}

const cacheSize = 256 // texts; at 512 numbers each, half a megabyte

func (c *vectorCache) get(text string) (clipsearch.Vector, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.at[text]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(cached).vector, true
}

func (c *vectorCache) put(text string, v clipsearch.Vector) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == nil {
		c.at = map[string]*list.Element{}
	}
	if e, ok := c.at[text]; ok {
		c.order.MoveToFront(e)
		return
	}
	c.at[text] = c.order.PushFront(cached{text, v})
	if c.order.Len() > cacheSize {
		last := c.order.Remove(c.order.Back()).(cached)
		delete(c.at, last.text)
	}
}
