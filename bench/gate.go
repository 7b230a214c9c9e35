package main

import (
	"context"
	"fmt"

	"github.com/clipsearch/clipsearch/eval"
	"github.com/clipsearch/clipsearch/index/ann"
)

// contender is one line of the recall gate.
type contender struct {
	name   string
	finder eval.Finder
	ef     int
	like   string  // of the queries
	least  float64 // recall@10 that it is to reach; 0: it is only measured
}

// contenders are who is measured over vectors of dim dimensions.
func contenders(dim int) []contender {
	graph := ann.Options{Dim: dim, GraphFrom: 1}
	list := []contender{
		{"exact scan", &own{options: ann.Options{Dim: dim, GraphFrom: 1 << 30}}, 0, "text", .999},
		{"graph, default ef", &own{options: graph}, byDefault, "text", .95},
		{"graph, default ef", &own{options: graph}, byDefault, "image", .95},
		{"as planned", &own{options: graph, planned: true}, byDefault, "noise", .999},
	}
	for _, ef := range []int{20, 200, 1000} {
		list = append(list, contender{fmt.Sprintf("coder/hnsw %s, EfSearch %d", coderVersion(), ef), &coder{}, ef, "text", 0})
	}
	return append(list, contender{fmt.Sprintf("coder/hnsw %s, EfSearch 200", coderVersion()), &coder{}, 200, "image", 0})
}

// measure asks one contender.
func (c contender) measure(ctx context.Context, n, dim, queries int, seed uint64) (eval.IndexReport, error) {
	vectors, asked, err := eval.Generate(eval.GenerateOptions{N: n, Dim: dim, Queries: queries, Like: c.like, Seed: seed})
	if err != nil {
		return eval.IndexReport{}, err
	}
	return eval.MeasureIndex(ctx, c.finder, vectors, asked, eval.IndexOptions{Ef: []int{c.ef}, Threads: 1})
}

func runGate(ctx context.Context, args []string) error {
	f, n, seed := flags("gate", 20_000)
	dim, queries := f.Int("dim", 512, "dimensions"), f.Int("queries", 500, "queries")
	vectors, asked := f.String("vectors", "", "take the vectors from this `F.npy`"), f.String("query-vectors", "", "and the queries from this one")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *vectors != "" {
		return gateFiles(ctx, *vectors, *asked)
	}
	fmt.Printf("recall gate: %d generated vectors of %d dimensions\n", *n, *dim)
	for _, c := range contenders(*dim) {
		r, err := c.measure(ctx, *n, *dim, *queries, *seed)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		p := r.Points[0]
		c.print(fmt.Sprintf("%s, %s queries (%.0f QPS)", c.name, c.like, p.QPS), p.Recall)
	}
	fmt.Println("  A release of coder/hnsw that finds what the graph finds is a reason to read ADR 11 again.")
	return nil
}

func (c contender) print(what string, recall float64) {
	if c.least > 0 {
		bar(what, recall, "≥", c.least)
		return
	}
	note(what+", measured only", recall)
}

// gateFiles measures the graph at its default ef_search over vectors of files, as
// those of real pictures and captions.
func gateFiles(ctx context.Context, vectors, queries string) error {
	m, err := readMatrix(vectors)
	if err != nil {
		return err
	}
	q, err := readMatrix(queries)
	if err != nil {
		return err
	}
	fmt.Printf("recall gate: %d vectors of %s, %d queries\n", m.Rows(), vectors, q.Rows())
	for _, c := range []contender{
		{"exact scan", &own{options: ann.Options{Dim: m.Dim, GraphFrom: 1 << 30}}, 0, "", .999},
		{"graph, default ef", &own{options: ann.Options{Dim: m.Dim, GraphFrom: 1}}, byDefault, "", .99},
		{"coder/hnsw " + coderVersion() + ", EfSearch 200", &coder{}, 200, "", 0},
	} {
		r, err := eval.MeasureIndex(ctx, c.finder, m, q, eval.IndexOptions{Ef: []int{c.ef}, Threads: 1})
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		c.print(fmt.Sprintf("%s (%.0f QPS)", c.name, r.Points[0].QPS), r.Points[0].Recall)
	}
	return nil
}
