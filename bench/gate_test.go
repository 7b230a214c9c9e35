package main

import (
	"context"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch/index/ann"
)

// TestGate is the recall gate, small: whoever has a bar reaches it; the peer's
// recall is in the log.
func TestGate(t *testing.T) {
	const n, dim, queries = 5000, 128, 100
	for _, c := range contenders(dim) {
		r, err := c.measure(context.Background(), n, dim, queries, 1)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		recall := r.Points[0].Recall
		t.Logf("%s, %s queries: recall@10 %.4f", c.name, c.like, recall)
		if recall < c.least {
			t.Errorf("%s, %s queries: recall@10 %.4f, want %v", c.name, c.like, recall, c.least)
		}
	}
}

// TestDeletes deletes half: the index neither brings that back nor answers with fewer.
// What the peer does is in the log, since that is why it is not in the product path.
func TestDeletes(t *testing.T) {
	w, err := newWorld(2000, 50, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := &coder{}
	if err := c.Build(context.Background(), w.vectors.Rows(), w.vectors.Row); err != nil {
		t.Fatal(err)
	}
	x, err := fresh(context.Background(), w.vectors, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		c.graph.Delete(i * 2)
		x.Remove(uint32(i * 2))
	}
	deleted := 0
	for q := range w.queries.Rows() {
		found := x.Search(w.queries.Row(q), ann.Search{K: 10, Graph: true})
		if len(found) != 10 || slices.ContainsFunc(found, func(n ann.Neighbor) bool { return n.Doc%2 == 0 }) {
			t.Errorf("after half was deleted a search finds %v", found)
		}
		for _, row := range c.Find(nil, w.queries.Row(q), 10, 200) {
			if row%2 == 0 {
				deleted++
			}
		}
	}
	t.Logf("coder/hnsw %s, half deleted: %d of %d searches panic, %d deleted rows are found", coderVersion(), c.panics, w.queries.Rows(), deleted)
	if c.panics == 0 && deleted == 0 {
		t.Log("coder/hnsw survives deletes by now: read ADR 11 again")
	}
}
