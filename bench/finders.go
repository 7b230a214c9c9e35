package main

import (
	"context"
	"math/rand"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/coder/hnsw"

	"github.com/clipsearch/clipsearch/index/ann"
)

// own is the index's core. Find's ef is ef_search: 0 is the exact scan, byDefault
// the index's own choice.
type own struct {
	options ann.Options
	planned bool // the index decides whether to go through the graph
	x       *ann.Index
}

const byDefault = -1

func (o *own) Build(ctx context.Context, n int, vector func(i int) []float32) (err error) {
	if o.x, err = ann.New(o.options); err != nil {
		return err
	}
	return o.x.Build(ctx, n, vector)
}

func (o *own) Find(rows []int64, q []float32, k, ef int) []int64 {
	s := ann.Search{K: k, Ef: max(ef, 0), Exact: ef == 0, Graph: ef != 0 && !o.planned}
	for _, n := range o.x.Search(q, s) {
		rows = append(rows, int64(n.Doc))
	}
	return rows
}

func (o *own) Bytes() (memory, mapped int64) { return o.x.Bytes() }
func (o *own) ScanBytes() int64              { return o.x.ScanBytes() }

// coder is github.com/coder/hnsw, with its answers sorted, which it leaves undone.
type coder struct {
	graph  *hnsw.Graph[int]
	bytes  int64
	panics int // searches that ended in one; the answer is empty
}

func (c *coder) Build(ctx context.Context, n int, vector func(i int) []float32) error {
	before := heap()
	c.graph = hnsw.NewGraph[int]()
	c.graph.M, c.graph.EfSearch = 16, 200
	c.graph.Rng = rand.New(rand.NewSource(1))
	for i := range n {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.graph.Add(hnsw.MakeNode(i, vector(i)))
	}
	c.bytes = heap() - before + int64(n*len(vector(0))*4) // it keeps the caller's vectors
	return nil
}

func (c *coder) Find(rows []int64, q []float32, k, ef int) []int64 {
	defer func() {
		if recover() != nil {
			c.panics++
		}
	}()
	c.graph.EfSearch = ef
	found := c.graph.Search(q, k)
	slices.SortFunc(found, func(a, b hnsw.Node[int]) int {
		return compare(hnsw.CosineDistance(q, a.Value), hnsw.CosineDistance(q, b.Value))
	})
	for _, n := range found {
		rows = append(rows, int64(n.Key))
	}
	return rows
}

func compare(a, b float32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (c *coder) Bytes() (memory, mapped int64) { return c.bytes, 0 }
func (c *coder) ScanBytes() int64              { return 0 }

// coderVersion is that of the module that this program was built with.
func coderVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/coder/hnsw" {
			return m.Version
		}
	}
	return "unknown"
}

// heap returns how much of the heap is in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
