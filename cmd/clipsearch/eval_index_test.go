package main

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch/eval"
	"github.com/clipsearch/clipsearch/internal/npy"
)

// The rows of --results are those of --vectors, best first, as sorting finds them: of
// a scan, and of a walk through the graph that sees all of it. Those of the file need
// not have length one.
func TestEvalIndexResults(t *testing.T) {
	const n, queries, dim, k = 300, 7, 24, 10
	vectors, asked, err := eval.Generate(eval.GenerateOptions{N: n, Dim: dim, Queries: queries, Like: "image", Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	want := sortedRows(vectors, asked, k)
	dir := t.TempDir()
	for i := range vectors.Data {
		vectors.Data[i] *= float32(1 + i/dim) // each row its own length
	}
	writeRows(t, filepath.Join(dir, "v.npy"), vectors)
	writeRows(t, filepath.Join(dir, "q.npy"), asked)
	for _, flags := range []string{"--exact", "--exact --threads 3", "--ef-search 300", "--ef-search 300 --vectors-in disk", "--ef-search 300 --m 64"} {
		out := filepath.Join(dir, "rows.npy")
		args := append(strings.Fields("eval index --json "+flags), "--vectors", filepath.Join(dir, "v.npy"), "--query-vectors", filepath.Join(dir, "q.npy"), "--results", out)
		var stdout, stderr bytes.Buffer
		w := world{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getenv: func(string) string { return "" }}
		if code := run(context.Background(), args, w); code != exitDone || stderr.Len() > 0 || !strings.Contains(stdout.String(), `"recall@10":1,`) {
			t.Errorf("%s: exit %d, %s%s", flags, code, stdout.String(), stderr.String())
			continue
		}
		got, err := readNPY(out, npy.ReadInt64)
		if diff := gocmp.Diff(npy.Array[int64]{Shape: []int{1, queries, k}, Data: want}, got); err != nil || diff != "" {
			t.Errorf("%s: error %v, rows (-want +got):\n%s", flags, err, diff)
		}
	}
}

// sortedRows returns the k rows nearest to each query, best first.
func sortedRows(vectors, queries eval.Matrix, k int) (rows []int64) {
	for i := range queries.Rows() {
		scores := make([]float64, vectors.Rows())
		order := make([]int64, vectors.Rows())
		for j := range scores {
			order[j] = int64(j)
			for x, v := range vectors.Row(j) {
				scores[j] += float64(v) * float64(queries.Row(i)[x])
			}
		}
		slices.SortFunc(order, func(a, b int64) int { return cmp.Compare(scores[b], scores[a]) })
		rows = append(rows, order[:k]...)
	}
	return rows
}

func writeRows(t *testing.T, name string, m eval.Matrix) {
	t.Helper()
	var b bytes.Buffer
	if err := npy.Write(&b, npy.Array[float32]{Shape: []int{m.Rows(), m.Dim}, Data: m.Data}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
