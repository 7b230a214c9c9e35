package main

import (
	"context"
	"math"
	"os"

	"github.com/clipsearch/clipsearch/index/ann"
)

// measured is the index's core as eval measures it: rows are docs.
type measured struct {
	options ann.Options
	dir     string // of its own, for what lies on disk; empty if nothing does
	index   *ann.Index
	graph   bool
	threads int // of an exact scan
	n       int
}

func newMeasured(o indexOptions, dim, threads int) (*measured, error) {
	x := &measured{graph: !o.exact, threads: threads, options: ann.Options{
		Dim: dim, M: o.m, EfConstruction: o.efConstruction, Seed: o.generate.Seed, Workers: threads, GraphFrom: 1,
	}}
	if o.exact {
		x.options.GraphFrom = math.MaxInt
	}
	if o.place == "disk" {
		dir, err := os.MkdirTemp("", "clipsearch-eval-")
		if err != nil {
			return nil, err
		}
		x.dir, x.options.Dir = dir, dir
	}
	return x, nil
}

func (x *measured) Build(ctx context.Context, n int, vector func(i int) []float32) (err error) {
	if x.index, err = ann.New(x.options); err != nil {
		return err
	}
	x.n = n
	return x.index.Build(ctx, n, vector)
}

func (x *measured) Find(rows []int64, q []float32, k, ef int) []int64 {
	for _, n := range x.index.Search(q, ann.Search{K: k, Ef: ef, Exact: !x.graph, Graph: x.graph, Threads: x.threads}) {
		rows = append(rows, int64(n.Doc))
	}
	return rows
}

func (x *measured) Bytes() (memory, mapped int64) { return x.index.Bytes() }

func (x *measured) ScanBytes() int64 { return x.index.ScanBytes() }

func (x *measured) Close() error {
	if x.dir == "" {
		return nil
	}
	return os.RemoveAll(x.dir)
}
