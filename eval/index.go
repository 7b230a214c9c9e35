package eval

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Finder is an index of vectors that is measured.
type Finder interface {
	// Build makes n vectors of unit length searchable, row i being vector(i), which
	// is called from several goroutines and does not change.
	Build(ctx context.Context, n int, vector func(i int) []float32) error
	// Find appends the rows of the k vectors nearest to q to rows, best first. Ef is
	// ef_search of a walk through the graph; 0 compares q with every vector.
	Find(rows []int64, q []float32, k, ef int) []int64
	// Bytes returns what the index takes of memory, and of mapped files.
	Bytes() (memory, mapped int64)
	// ScanBytes returns how much is read to compare a query with every vector.
	ScanBytes() int64
}

// foundRows is the k of recall@k.
const foundRows = 10

// IndexOptions say how [MeasureIndex] measures.
type IndexOptions struct {
	Ef       []int                 // a point for each ef_search; 0 is the exact scan
	Threads  int                   // that compute the truth, and that an exact scan uses; as many as there are cores if zero
	Least    time.Duration         // for how long a point is measured, in whole rounds of all queries; half a second if zero
	Progress func(done, total int) // after each point; may be nil
}

// IndexReport is what a measurement of an index says.
type IndexReport struct {
	N              int        `json:"n"`
	Dim            int        `json:"dim"`
	Queries        int        `json:"queries"`
	BuildSeconds   float64    `json:"build_seconds"`           // from vectors in memory to an index that can be searched
	TruthSeconds   float64    `json:"truth_seconds"`           // to compare every query with every vector, for recall
	BytesPerVector float64    `json:"bytes_per_vector"`        // of memory, mapped files apart
	MappedBytes    float64    `json:"mapped_bytes_per_vector"` // of mapped files
	Points         []Point    `json:"points"`
	Bandwidth      *Bandwidth `json:"bandwidth,omitempty"` // of the exact scan, if there is a point for it

	Rows [][]int64 `json:"-"` // by point: ten rows for each query, best first; -1 where there are fewer vectors
}

// Point is how well and how quickly an index answers with one ef_search.
type Point struct {
	Ef     int     `json:"ef"`
	Recall float64 `json:"recall@10"` // share of the true ten nearest that were found; what is as near as the tenth counts
	QPS    float64 `json:"qps"`       // one query after the other
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
}

// MeasureIndex fills x, which is empty, with vectors and asks it queries, one at a
// time. Rows are brought to length one in place. It is an error wrapping
// [clipsearch.ErrInvalid] if shapes do not fit or a row is zero or NaN.
func MeasureIndex(ctx context.Context, x Finder, vectors, queries Matrix, o IndexOptions) (IndexReport, error) {
	o.Threads = cmp.Or(max(o.Threads, 0), runtime.GOMAXPROCS(0))
	if err := fit(vectors, queries); err != nil {
		return IndexReport{}, err
	}
	r := IndexReport{N: vectors.Rows(), Dim: vectors.Dim, Queries: queries.Rows()}
	start := time.Now()
	if err := x.Build(ctx, r.N, vectors.Row); err != nil {
		return IndexReport{}, fmt.Errorf("build an index of %d vectors: %w", r.N, err)
	}
	r.BuildSeconds = time.Since(start).Seconds()
	memory, mapped := x.Bytes()
	r.BytesPerVector, r.MappedBytes = float64(memory)/float64(r.N), float64(mapped)/float64(r.N)

	start = time.Now()
	truth, err := exactTop(ctx, vectors, queries, foundRows, o.Threads)
	if err != nil {
		return IndexReport{}, err
	}
	r.TruthSeconds = time.Since(start).Seconds()
	for i, ef := range o.Ef {
		p, rows, err := o.ask(ctx, x, queries, ef)
		if err != nil {
			return IndexReport{}, err
		}
		if p.Recall, err = truth.recall(vectors, queries, rows); err != nil {
			return IndexReport{}, fmt.Errorf("ef_search %d: %w", ef, err)
		}
		if ef == 0 {
			r.Bandwidth = o.bandwidth(x, p)
		}
		r.Points, r.Rows = append(r.Points, p), append(r.Rows, rows)
		if o.Progress != nil {
			o.Progress(i+1, len(o.Ef))
		}
	}
	return r, nil
}

// fit reports whether queries can be asked of vectors, and normalizes both.
func fit(vectors, queries Matrix) error {
	switch {
	case vectors.Rows() == 0 || queries.Rows() == 0:
		return invalid("%d vectors and %d queries: nothing to measure", vectors.Rows(), queries.Rows())
	case vectors.Dim != queries.Dim:
		return invalid("vectors have %d dimensions and queries %d: they are not of one model", vectors.Dim, queries.Dim)
	case len(vectors.Data)%vectors.Dim != 0 || len(queries.Data)%queries.Dim != 0:
		return invalid("vectors of %d dimensions do not fill their last row", vectors.Dim)
	}
	if err := vectors.normalize("vector"); err != nil {
		return err
	}
	return queries.normalize("query")
}

// ask asks all queries once for their rows, which also fetches into the caches what
// they need, and then round after round until the time is over.
func (o IndexOptions) ask(ctx context.Context, x Finder, queries Matrix, ef int) (Point, []int64, error) {
	rows, err := answers(ctx, x, queries, ef)
	if err != nil {
		return Point{}, nil, err
	}
	var (
		took  []time.Duration
		all   time.Duration
		found = make([]int64, 0, foundRows)
		least = cmp.Or(o.Least, time.Second/2)
	)
	for all < least {
		for i := range queries.Rows() {
			start := time.Now()
			found = x.Find(found[:0], queries.Row(i), foundRows, ef)
			d := time.Since(start)
			took, all = append(took, d), all+d
			if err := ctx.Err(); err != nil {
				return Point{}, nil, err
			}
		}
	}
	slices.Sort(took)
	return Point{Ef: ef, QPS: float64(len(took)) / all.Seconds(), P50: percentile(took, 50), P99: percentile(took, 99)}, rows, nil
}

// answers returns ten rows for each query, -1 where x finds fewer.
func answers(ctx context.Context, x Finder, queries Matrix, ef int) ([]int64, error) {
	rows := make([]int64, 0, foundRows*queries.Rows())
	for i := range queries.Rows() {
		rows = x.Find(rows, queries.Row(i), foundRows, ef)
		for len(rows) < foundRows*(i+1) {
			rows = append(rows, -1)
		}
		if len(rows) > foundRows*(i+1) {
			return nil, fmt.Errorf("the index answered query %d with more than %d rows", i, foundRows)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// percentile returns the p-th percentile of sorted durations, in milliseconds.
func percentile(sorted []time.Duration, p int) float64 {
	at := (len(sorted)*p + 99) / 100 // the nearest rank, from 1
	return float64(sorted[max(at, 1)-1]) / float64(time.Millisecond)
}
