package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/clipsearch/clipsearch/eval"
	"github.com/clipsearch/clipsearch/index/ann"
)

// runDeletes measures what deletes cost: of the text-like queries' ten nearest among
// those that are left, how many the graph finds while the deleted are still in it,
// after it was made anew, and when they have come back; beside a graph built of the
// same vectors at once.
func runDeletes(ctx context.Context, args []string) error {
	f, n, seed := flags("deletes", 50_000)
	ef := f.Int("ef-search", 128, "ef_search")
	if err := f.Parse(args); err != nil {
		return err
	}
	vectors, queries, err := eval.Generate(eval.GenerateOptions{N: *n, Dim: 512, Queries: 300, Seed: *seed})
	if err != nil {
		return err
	}
	fmt.Printf("deletes: %d vectors, text-like queries, ef_search %d: points of recall@10 below a fresh build\n", *n, *ef)
	all, err := fresh(ctx, vectors, nil)
	if err != nil {
		return err
	}
	whole := recall(all, queries, *ef)
	for _, percent := range []int{10, 50, 90} {
		gone := func(i int) bool { return i*7919%100 < percent }
		if err := deleted(ctx, vectors, queries, *ef, percent, gone, whole); err != nil {
			return err
		}
	}
	return nil
}

func deleted(ctx context.Context, vectors, queries eval.Matrix, ef, percent int, gone func(i int) bool, whole float64) error {
	rest, err := fresh(ctx, vectors, gone)
	if err != nil {
		return err
	}
	want := recall(rest, queries, ef)
	x, err := fresh(ctx, vectors, nil)
	if err != nil {
		return err
	}
	for i := range vectors.Rows() {
		if gone(i) {
			x.Remove(uint32(i))
		}
	}
	say := func(when string, want float64) {
		bar(fmt.Sprintf("%d %% deleted, %s", percent, when), 100*(want-recall(x, queries, ef)), "≤", 1)
	}
	say("at once", want)
	if err := x.Work(ctx); err != nil {
		return err
	}
	say("after the work behind", want)
	for i := range vectors.Rows() {
		if gone(i) {
			if err := x.Add(uint32(i), vectors.Row(i)); err != nil {
				return err
			}
		}
	}
	if err := x.Work(ctx); err != nil {
		return err
	}
	say("and all back again", whole)
	return nil
}

// fresh builds a graph of the vectors that are not gone.
func fresh(ctx context.Context, vectors eval.Matrix, gone func(i int) bool) (*ann.Index, error) {
	x, err := ann.New(ann.Options{Dim: vectors.Dim, GraphFrom: 1})
	if err != nil {
		return nil, err
	}
	if gone == nil {
		return x, x.Build(ctx, vectors.Rows(), vectors.Row)
	}
	var kept []int
	for i := range vectors.Rows() {
		if !gone(i) {
			kept = append(kept, i)
		}
	}
	return x, x.Build(ctx, len(kept), func(i int) []float32 { return vectors.Row(kept[i]) })
}

// recall is that of searches through the graph, against those that compare all.
func recall(x *ann.Index, queries eval.Matrix, ef int) float64 {
	hits, all := 0, 0
	for i := range queries.Rows() {
		q := queries.Row(i)
		var found []uint32
		for _, nb := range x.Search(q, ann.Search{K: 10, Ef: ef, Graph: true}) {
			found = append(found, nb.Doc)
		}
		for _, nb := range x.Search(q, ann.Search{K: 10, Exact: true}) {
			all++
			if slices.Contains(found, nb.Doc) {
				hits++
			}
		}
	}
	return float64(hits) / float64(max(all, 1))
}
