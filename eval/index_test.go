package eval_test

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/eval"
)

// finder is an index that sorts all rows, and then answers what it is told to.
type finder struct {
	rows   [][]float32
	build  error                                  // of Build
	answer func(query int, right []int64) []int64 // of all rows, the nearest first; the first ten if nil
	ask    func(k, ef int)                        // before each answer; may be nil
	asked  int                                    // how often
}

func (f *finder) Build(_ context.Context, n int, vector func(int) []float32) error {
	for i := range n {
		f.rows = append(f.rows, slices.Clone(vector(i)))
	}
	return f.build
}

// Find knows which query it is asked by counting: MeasureIndex asks all in order.
func (f *finder) Find(rows []int64, q []float32, k, ef int) []int64 {
	if f.ask != nil {
		f.ask(k, ef)
	}
	right := make([]int64, len(f.rows))
	scores := make([]float64, len(f.rows))
	for i, row := range f.rows {
		right[i] = int64(i)
		for j, x := range row {
			scores[i] += float64(x) * float64(q[j])
		}
	}
	slices.SortFunc(right, func(a, b int64) int { return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b)) })
	f.asked++
	if f.answer == nil {
		return append(rows, right[:min(k, len(right))]...)
	}
	return append(rows, f.answer(f.asked-1, right)...)
}

func (f *finder) Bytes() (memory, mapped int64) {
	return int64(len(f.rows)) * 100, int64(len(f.rows)) * 7
}

func (f *finder) ScanBytes() int64 { return 1000 }

// matrix makes n random rows; their length is not one.
func matrix(seed uint64, n, dim int) eval.Matrix {
	r := rand.New(rand.NewPCG(seed, 0))
	return eval.Matrix{Dim: dim, Data: some(n*dim, func() float32 { return float32(r.NormFloat64()) })}
}

// once has each point asked as few times as can be.
func once(ef ...int) eval.IndexOptions { return eval.IndexOptions{Ef: ef, Threads: 2, Least: 1} }

// The recall of an index that is wrong on purpose is what it was wrong by.
func TestMeasureIndexRecall(t *testing.T) {
	type answer = func(query int, right []int64) []int64
	reversed := func(list []int64) []int64 { list = slices.Clone(list); slices.Reverse(list); return list }
	tests := []struct {
		what   string
		n      int
		answer answer
		want   float64
	}{
		{"right", 50, nil, 1},
		{"worst first", 50, func(_ int, right []int64) []int64 { return reversed(right[:10]) }, 1},
		{"seven of ten", 50, func(_ int, right []int64) []int64 { return slices.Concat(right[:7], right[10:13]) }, .7},
		{"seven of ten, last", 50, func(_ int, right []int64) []int64 { return slices.Concat(right[20:23], right[3:10]) }, .7},
		{"all but the nearest", 50, func(_ int, right []int64) []int64 { return right[1:11] }, .9},
		{"the farthest", 50, func(_ int, right []int64) []int64 { return right[40:] }, 0},
		{"five and no more", 50, func(_ int, right []int64) []int64 { return right[:5] }, .5},
		{"nothing", 50, func(int, []int64) []int64 { return nil }, 0},
		{"-1 is no row", 50, func(_ int, right []int64) []int64 { return slices.Concat(right[:4], []int64{-1, -1}, right[4:8]) }, .8},
		{"every other query", 50, func(query int, right []int64) []int64 { return right[query%2*10:][:10] }, .5},
		{"a query of four", 50, func(query int, right []int64) []int64 { return right[:max(0, 10-query*10)] }, .25},
		{"ten vectors", 10, func(_ int, right []int64) []int64 { return right[:9] }, .9},
		{"three vectors", 3, nil, 1},
		{"two of three vectors", 3, func(_ int, right []int64) []int64 { return right[1:] }, 2. / 3},
		{"one vector", 1, nil, 1},
	}
	for _, tt := range tests {
		r, err := eval.MeasureIndex(context.Background(), &finder{answer: tt.answer}, matrix(1, tt.n, 6), matrix(2, 4, 6), once(7))
		if err != nil || len(r.Points) != 1 {
			t.Errorf("%s: %d points and error %v", tt.what, len(r.Points), err)
			continue
		}
		if got := r.Points[0].Recall; math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%s: recall %v, want %v", tt.what, got, tt.want)
		}
	}
}

// circle has a row at each angle, in degrees; the query is at 0.
func circle(angles ...float64) eval.Matrix {
	m := eval.Matrix{Dim: 2}
	for _, a := range angles {
		m.Data = append(m.Data, float32(math.Cos(a*math.Pi/180)), float32(math.Sin(a*math.Pi/180)))
	}
	return m
}

// Of what is as near as the tenth any will do.
func TestMeasureIndexTies(t *testing.T) {
	angles := slices.Concat(slices.Repeat([]float64{10}, 6), slices.Repeat([]float64{30}, 20), slices.Repeat([]float64{31}, 14))
	rows := func(from, to int64) (list []int64) {
		for i := from; i < to; i++ {
			list = append(list, i)
		}
		return list
	}
	tests := []struct {
		what   string
		answer []int64
		want   float64
	}{
		{"the first of the ties", rows(0, 10), 1},
		{"the last of the ties", slices.Concat(rows(0, 6), rows(22, 26)), 1},
		{"ties alone", rows(10, 20), 1}, // as ann-benchmarks counts too
		{"one of the ties and farther ones", slices.Concat(rows(0, 7), rows(26, 29)), .7},
		{"farther ones", rows(26, 36), 0},
	}
	for _, tt := range tests {
		x := &finder{answer: func(int, []int64) []int64 { return tt.answer }}
		r, err := eval.MeasureIndex(context.Background(), x, circle(angles...), circle(0), once(7))
		if err != nil || r.Points[0].Recall != tt.want {
			t.Errorf("%s: %+v and error %v, want recall %v", tt.what, r.Points, err, tt.want)
		}
	}
}

// No index may answer so: it is an error, and not the caller's.
func TestMeasureIndexImpossibleAnswers(t *testing.T) {
	tests := []struct {
		what   string
		answer func(query int, right []int64) []int64
		says   string
	}{
		{"a row twice", func(_ int, right []int64) []int64 { return append(right[:9:9], right[0]) }, "query 0 with row"},
		{"a row twice, later", func(query int, right []int64) []int64 { return append(right[:9:9], right[max(0, 9*(2-query))]) }, "query 2 with row"},
		{"a row too far", func(_ int, right []int64) []int64 { return append(right[:9:9], 50) }, "row 50"},
		{"a row below -1", func(_ int, right []int64) []int64 { return append(right[:9:9], -2) }, "row -2"},
		{"eleven rows", func(_ int, right []int64) []int64 { return right[:11] }, "query 0 with more than 10"},
		{"eleven rows, later", func(query int, right []int64) []int64 { return right[:10+query/3] }, "query 3 with more than 10"},
	}
	for _, tt := range tests {
		_, err := eval.MeasureIndex(context.Background(), &finder{answer: tt.answer}, matrix(1, 50, 6), matrix(2, 4, 6), once(7))
		if err == nil || errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error %v, want one with %q, and not ErrInvalid", tt.what, err, tt.says)
		}
	}
}

// What the report says beside recall: one point for each ef, in order, with the rows.
func TestMeasureIndexReport(t *testing.T) {
	var efs []int
	var steps [][2]int
	x := &finder{ask: func(k, ef int) {
		if k != 10 {
			t.Fatalf("asked for %d rows, want 10", k)
		}
		efs = append(efs, ef)
	}}
	o := once(16, 0, 200)
	o.Progress = func(done, total int) { steps = append(steps, [2]int{done, total}) }
	r, err := eval.MeasureIndex(context.Background(), x, matrix(1, 8, 6), matrix(2, 4, 6), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Compact(efs); !slices.Equal(got, o.Ef) {
		t.Errorf("asked with ef %v, want %v", got, o.Ef)
	}
	if want := [][2]int{{1, 3}, {2, 3}, {3, 3}}; !slices.Equal(steps, want) {
		t.Errorf("progress %v, want %v", steps, want)
	}
	if r.N != 8 || r.Dim != 6 || r.Queries != 4 || r.BytesPerVector != 100 || r.MappedBytes != 7 || len(r.Points) != 3 || len(r.Rows) != 3 {
		t.Errorf("report %+v", r)
	}
	for i, p := range r.Points {
		if p.Ef != o.Ef[i] || p.QPS <= 0 || p.P50 <= 0 || p.P99 < p.P50 {
			t.Errorf("point %d: %+v", i, p)
		}
	}
	if b := r.Bandwidth; b == nil || b.Bytes != 1000 || b.Reached != 1000*r.Points[1].QPS || b.Machine <= 0 {
		t.Errorf("bandwidth %+v", b)
	}
	var want []int64 // the best first, then -1: there are eight vectors
	for i := range 4 {
		want = append(want, (&finder{rows: x.rows}).Find(nil, matrix(2, 4, 6).Row(i), 10, 0)...)
		want = append(want, -1, -1)
	}
	for i, rows := range r.Rows {
		if diff := gocmp.Diff(want, rows); diff != "" {
			t.Errorf("rows of point %d (-want +got):\n%s", i, diff)
		}
	}
}

// Rows need not have length one: the index gets them with it, and a scan's bandwidth
// is measured only if there is one.
func TestMeasureIndexNormalizes(t *testing.T) {
	vectors, queries := matrix(1, 60, 6), matrix(2, 5, 6)
	for i := range vectors.Row(7) {
		vectors.Row(7)[i] *= 1e30 // its square is no float32
	}
	x := new(finder)
	r, err := eval.MeasureIndex(context.Background(), x, vectors, queries, once(7))
	if err != nil || r.Points[0].Recall != 1 || r.Bandwidth != nil {
		t.Fatalf("%+v and error %v", r, err)
	}
	for i, row := range slices.Concat(x.rows, [][]float32{queries.Row(0), queries.Row(4)}) {
		if got := length(row); math.Abs(got-1) > 1e-6 {
			t.Errorf("row %d has length %v", i, got)
		}
	}
}

func length(row []float32) float64 {
	var squares float64
	for _, x := range row {
		squares += float64(x) * float64(x)
	}
	return math.Sqrt(squares)
}

func TestMeasureIndexRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for what, spoil := range map[string]func(vectors, queries *eval.Matrix){
		"no vectors":           func(v, _ *eval.Matrix) { v.Data = nil },
		"no queries":           func(_, q *eval.Matrix) { q.Data = nil },
		"no dimensions":        func(v, q *eval.Matrix) { v.Dim, q.Dim = 0, 0 },
		"other dimensions":     func(_, q *eval.Matrix) { *q = matrix(2, 4, 5) },
		"half a vector":        func(v, _ *eval.Matrix) { v.Data = v.Data[:len(v.Data)-1] },
		"half a query":         func(_, q *eval.Matrix) { q.Data = q.Data[:len(q.Data)-1] },
		"a zero vector":        func(v, _ *eval.Matrix) { clear(v.Row(3)) },
		"a zero query":         func(_, q *eval.Matrix) { clear(q.Row(3)) },
		"NaN in a vector":      func(v, _ *eval.Matrix) { v.Data[5] = nan },
		"NaN in a query":       func(_, q *eval.Matrix) { q.Data[5] = nan },
		"infinity in a vector": func(v, _ *eval.Matrix) { v.Data[5] = inf },
		"-infinity in a query": func(_, q *eval.Matrix) { q.Data[5] = -inf },
	} {
		vectors, queries := matrix(1, 50, 6), matrix(2, 4, 6)
		spoil(&vectors, &queries)
		x := new(finder)
		_, err := eval.MeasureIndex(context.Background(), x, vectors, queries, once(7))
		if !errors.Is(err, clipsearch.ErrInvalid) || strings.Contains(err.Error(), "\n") || x.rows != nil {
			t.Errorf("%s: error %v, want one line that is ErrInvalid before anything is built", what, err)
		}
	}
}

func TestMeasureIndexBuildFails(t *testing.T) {
	full := errors.New("no room")
	x := &finder{build: full}
	if _, err := eval.MeasureIndex(context.Background(), x, matrix(1, 50, 6), matrix(2, 4, 6), once(7)); !errors.Is(err, full) || x.asked > 0 {
		t.Errorf("error %v after %d questions, want %v after none", err, x.asked, full)
	}
}

// A measurement that is cancelled ends, whenever that is: before a round of queries
// is over, too, which may take minutes.
func TestMeasureIndexIsCancelled(t *testing.T) {
	const queries = 100
	for _, after := range []int{0, 1, 3, queries, queries + 3, 3 * queries} {
		ctx, cancel := context.WithCancel(context.Background())
		if after == 0 {
			cancel()
		}
		x := new(finder)
		x.ask = func(int, int) {
			if x.asked+1 == after {
				cancel()
			}
		}
		o := once(7)
		o.Least = 1e18 // for ever
		_, err := eval.MeasureIndex(ctx, x, matrix(1, 20, 4), matrix(2, queries, 4), o)
		if !errors.Is(err, context.Canceled) || x.asked != after {
			t.Errorf("cancelled by question %d: error %v after %d", after, err, x.asked)
		}
		cancel()
	}
}
