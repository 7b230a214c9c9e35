package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/clipsearch/clipsearch/eval"
	"github.com/clipsearch/clipsearch/index"
	"github.com/clipsearch/clipsearch/internal/npy"
)

type indexOptions struct {
	generate          eval.GenerateOptions
	vectors, queries  string // .npy files
	ef, place         string
	exact             bool
	results           string
	m, efConstruction int

	given map[string]bool // the flags that were
}

func newEvalIndexCommand(a *app) *cobra.Command {
	var o indexOptions
	cmd := &cobra.Command{
		Use:   "index",
		Short: "Recall and speed of the vector index, and what it takes to build",
		Long: `index builds an index of vectors, generated ones or those of a file, asks it one
query after the other, and compares the answers with the exact ones. The vectors of
a file are brought to length one.`,
		Example: `  clipsearch eval index --n 100000
  clipsearch eval index --vectors x.npy --query-vectors q.npy --ef-search 64,128 --results rows.npy
  clipsearch eval index --exact --threads 1`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.given = map[string]bool{}
			cmd.Flags().Visit(func(f *pflag.Flag) { o.given[f.Name] = true })
			return runEvalIndex(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.generate.N, "n", 100_000, "generate `N` vectors; of a file take the first N")
	f.IntVar(&o.generate.Dim, "dim", 512, "of `D` dimensions")
	f.IntVar(&o.generate.Queries, "queries", 1000, "and `N` queries; of a file take the first N")
	f.StringVar(&o.generate.Like, "like", "text", "generate queries like a model's `text|image`, or noise without any structure")
	f.Uint64Var(&o.generate.Seed, "seed", 1, "of what is generated, and of the graph")
	f.StringVar(&o.vectors, "vectors", "", "take the vectors from `F.npy`, one a row")
	f.StringVar(&o.queries, "query-vectors", "", "and the queries from `F.npy`")
	f.StringVar(&o.ef, "ef-search", "10,16,24,32,48,64,96,128,192,256,384,512,768,1024", "measure with each of `LIST`")
	f.StringVar(&o.place, "vectors-in", "", "keep what rescoring reads in `memory|disk` (default: as an index does, on disk from 200,000 vectors on)")
	f.BoolVar(&o.exact, "exact", false, "compare with every vector instead of going through the graph")
	f.StringVar(&o.results, "results", "", "write the rows found to `F.npy`: int64 [points, queries, 10]")
	f.IntVar(&o.m, "m", 16, "links of a node on the upper levels; half of those on level 0")
	f.IntVar(&o.efConstruction, "ef-construction", 200, "candidates for the links of a node")
	return cmd
}

func runEvalIndex(ctx context.Context, a *app, o indexOptions) error {
	ef, err := o.points()
	if err != nil {
		return err
	}
	if err := o.valid(); err != nil {
		return err
	}
	vectors, queries, err := o.matrices(a)
	if err != nil {
		return err
	}
	if o.place == "" {
		o.place = "memory"
		if vectors.Rows() > index.InMemory {
			o.place = "disk"
		}
	}
	x, err := newMeasured(o, vectors.Dim, a.options.threads)
	if err != nil {
		return err
	}
	defer x.Close()
	r, err := eval.MeasureIndex(ctx, x, vectors, queries, eval.IndexOptions{Ef: ef, Threads: a.options.threads, Progress: a.countTo("measure")})
	if err != nil {
		return err
	}
	if err := o.writeResults(a, r); err != nil {
		return err
	}
	if a.options.json {
		return a.printJSON(indexReport{r, o.m, o.efConstruction, a.options.threads, o.place})
	}
	return o.print(a.stdout, r, a.options.threads)
}

// indexReport is a report with what it was measured with.
type indexReport struct {
	eval.IndexReport
	M              int    `json:"m"`
	EfConstruction int    `json:"ef_construction"`
	Threads        int    `json:"threads"`
	VectorsIn      string `json:"vectors_in"`
}

// points reads the list of ef_search; 0 alone is the exact scan.
func (o indexOptions) points() ([]int, error) {
	const most = 1_000_000
	if o.exact {
		return []int{0}, nil
	}
	var list []int
	for s := range strings.SplitSeq(o.ef, ",") {
		ef, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || ef < 1 || ef > most {
			return nil, mistake("--ef-search %q: %q is no number from 1 to %d", o.ef, s, most)
		}
		list = append(list, ef)
	}
	return list, nil
}

func (o indexOptions) valid() error {
	switch {
	case (o.vectors == "") != (o.queries == ""):
		return mistake("--vectors and --query-vectors belong together")
	case o.vectors != "" && (o.given["like"]):
		return mistake("--like is of generated vectors: leave it out, or --vectors and --query-vectors")
	case !slices.Contains([]string{"", "memory", "disk"}, o.place):
		return mistake("--vectors-in %q is neither memory nor disk", o.place)
	case o.m < 2 || o.m > 64:
		return mistake("--m %d is not between 2 and 64", o.m)
	case o.efConstruction < 1 || o.efConstruction > 100_000:
		return mistake("--ef-construction %d is not between 1 and 100000", o.efConstruction)
	}
	for name, n := range map[string]int{"n": o.generate.N, "dim": o.generate.Dim, "queries": o.generate.Queries} {
		if n < 1 {
			return mistake("--%s %d is not 1 or more", name, n)
		}
	}
	return o.validResults()
}

// validResults tells before a measurement, which may take an hour, that its rows
// have nowhere to go.
func (o indexOptions) validResults() error {
	switch {
	case o.results == "":
		return nil
	case o.results == "-":
		return mistake("--results -: the report goes to stdout: name a file")
	}
	if st, err := os.Stat(o.results); err == nil && st.IsDir() {
		return mistake("--results %s: it is a folder: name a file", o.results)
	}
	if st, err := os.Stat(filepath.Dir(o.results)); err != nil || !st.IsDir() {
		return mistake("--results %s: there is no folder %s", o.results, filepath.Dir(o.results))
	}
	return nil
}

// matrices reads or generates what is measured.
func (o indexOptions) matrices(a *app) (vectors, queries eval.Matrix, err error) {
	if o.vectors == "" {
		o.generate.Threads = a.options.threads
		return eval.Generate(o.generate)
	}
	if vectors, err = readMatrix(o.vectors); err != nil {
		return vectors, queries, err
	}
	if queries, err = readMatrix(o.queries); err != nil {
		return vectors, queries, err
	}
	if o.given["dim"] && vectors.Dim != o.generate.Dim {
		return vectors, queries, mistake("--dim %d: the vectors of %s have %d", o.generate.Dim, o.vectors, vectors.Dim)
	}
	if vectors, err = o.first("n", o.generate.N, o.vectors, vectors); err != nil {
		return vectors, queries, err
	}
	queries, err = o.first("queries", o.generate.Queries, o.queries, queries)
	return vectors, queries, err
}

// first returns the first n rows of m if the flag that says so was given.
func (o indexOptions) first(flag string, n int, file string, m eval.Matrix) (eval.Matrix, error) {
	if !o.given[flag] {
		return m, nil
	}
	if n > m.Rows() {
		return m, mistake("--%s %d: %s has %d rows", flag, n, file, m.Rows())
	}
	m.Data = m.Data[:n*m.Dim]
	return m, nil
}

func (o indexOptions) writeResults(a *app, r eval.IndexReport) error {
	if o.results == "" {
		return nil
	}
	rows := npy.Array[int64]{Shape: []int{len(r.Points), r.Queries, 10}}
	for _, p := range r.Rows {
		rows.Data = append(rows.Data, p...)
	}
	return a.writeOut(o.results, func(w io.Writer) error { return npy.Write(w, rows) })
}

func (o indexOptions) print(w io.Writer, r eval.IndexReport, threads int) error {
	where := map[string]string{"memory": "in memory", "disk": "on disk"}[o.place]
	fmt.Fprintf(w, "%s vectors of %d dimensions %s, built in %.1f s by %d threads", humanize.Comma(int64(r.N)), r.Dim, where, r.BuildSeconds, threads)
	if !o.exact {
		fmt.Fprintf(w, " with M %d and ef_construction %d", o.m, o.efConstruction)
	}
	fmt.Fprintf(w, "\n%.0f bytes of memory a vector", r.BytesPerVector)
	if r.MappedBytes > 0 {
		fmt.Fprintf(w, ", and %.0f of a mapped file", r.MappedBytes)
	}
	fmt.Fprintf(w, "\n%s queries, one after the other\n", humanize.Comma(int64(r.Queries)))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "ef\trecall@10\tQPS\tp50 ms\tp99 ms\t\n")
	for _, p := range r.Points {
		ef := strconv.Itoa(p.Ef)
		if p.Ef == 0 {
			ef = "exact"
		}
		fmt.Fprintf(t, "%s\t%.4f\t%.0f\t%.3f\t%.3f\t\n", ef, p.Recall, p.QPS, p.P50, p.P99)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if b := r.Bandwidth; b != nil {
		fmt.Fprintf(w, "the scan reads %.1f GB/s; this machine can read %.1f\n", b.Reached/1e9, b.Machine/1e9)
	}
	return nil
}
