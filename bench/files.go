package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/clipsearch/clipsearch/eval"
	"github.com/clipsearch/clipsearch/internal/npy"
)

// readMatrix reads a .npy file of vectors, one a row.
func readMatrix(path string) (eval.Matrix, error) {
	f, err := os.Open(path)
	if err != nil {
		return eval.Matrix{}, err
	}
	defer f.Close()
	a, err := npy.ReadFloat32(f)
	if err != nil {
		return eval.Matrix{}, fmt.Errorf("read %s: %w", path, err)
	}
	if len(a.Shape) != 2 {
		return eval.Matrix{}, fmt.Errorf("read %s: an array of %d dimensions, not of vectors", path, len(a.Shape))
	}
	return eval.Matrix{Dim: a.Shape[1], Data: a.Data}, nil
}

// runPeer measures coder/hnsw over files and prints what `clipsearch eval index`
// would: peers.py counts recall from the rows that it writes.
func runPeer(ctx context.Context, args []string) error {
	f, _, _ := flags("peer", 0)
	vectors, queries := f.String("vectors", "", "`F.npy`"), f.String("query-vectors", "", "`F.npy`")
	results := f.String("results", "", "write the rows found to `F.npy`")
	if err := f.Parse(args); err != nil {
		return err
	}
	m, err := readMatrix(*vectors)
	if err != nil {
		return err
	}
	q, err := readMatrix(*queries)
	if err != nil {
		return err
	}
	r, err := eval.MeasureIndex(ctx, &coder{}, m, q, eval.IndexOptions{Ef: []int{20, 200, 1000}})
	if err != nil {
		return err
	}
	rows := npy.Array[int64]{Shape: []int{len(r.Points), r.Queries, 10}}
	for _, p := range r.Rows {
		rows.Data = append(rows.Data, p...)
	}
	out, err := os.Create(*results)
	if err != nil {
		return err
	}
	if err := npy.Write(out, rows); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"version": coderVersion(), "report": r})
}
