package main

import (
	"context"
	"testing"
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

// TestCoderDeletes shows why the peer is not in the product path: after deletes its
// searches panic, or bring back what was deleted.
func TestCoderDeletes(t *testing.T) {
	w, err := newWorld(2000, 50, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := &coder{}
	if err := c.Build(context.Background(), w.vectors.Rows(), w.vectors.Row); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		c.graph.Delete(i * 2)
	}
	deleted := 0
	for q := range w.queries.Rows() {
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
