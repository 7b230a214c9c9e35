package ann

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
)

// builtOf makes an index of vectors, at once.
func builtOf(t *testing.T, o Options, vectors [][]float32) *Index {
	t.Helper()
	x := newIndex(t, o)
	if err := x.Build(t.Context(), len(vectors), func(i int) []float32 { return vectors[i] }); err != nil {
		t.Fatal(err)
	}
	return x
}

// around draws n vectors near a centre, with these deviations.
func around(r *rand.Rand, centre []float32, n int, deviation float64) [][]float32 {
	list := make([][]float32, n)
	for i := range list {
		v := slices.Clone(centre)
		for j := range v {
			v[j] += float32(deviation * r.NormFloat64() / math.Sqrt(float64(len(v))))
		}
		list[i] = unit(v)
	}
	return list
}

// exactly returns the share of the k best, compared one by one, that searches find.
func exactly(x *Index, vectors, qs [][]float32, admit *roaring.Bitmap, s Search) float64 {
	m := model{}
	for i, v := range vectors {
		m[uint32(i)] = [][]float32{v}
	}
	hits, all := 0, 0
	for _, q := range qs {
		want := m.search(q, s.K, admit)
		hits, all = hits+found(x.Search(q, s), want), all+len(want)
	}
	return float64(hits) / float64(all)
}

// TestTightClusters has thousands of vectors that coarse codes hardly tell apart, as
// the frames of a film: an exact search finds the best all the same.
func TestTightClusters(t *testing.T) {
	for _, deviation := range []float64{.3, .1, .03} {
		c := newCloud(3, 64, 3)
		var vectors, qs [][]float32
		for _, centre := range c.centres {
			vectors = append(vectors, around(c.r, centre, 2000, deviation)...)
			qs = append(qs, around(c.r, centre, 5, deviation)...)
		}
		x := builtOf(t, Options{Dim: 64, GraphFrom: 1 << 30}, vectors)
		if got := exactly(x, vectors, qs, nil, Search{K: 10, Exact: true}); got < .999 {
			t.Errorf("deviation %v: an exact search finds %.4f", deviation, got)
		}
	}
}

// TestTies has more docs of one vector than a scan brings back: the numbers decide.
func TestTies(t *testing.T) {
	v := unitVectors(1, 64, 1)[0]
	for _, graph := range []int{1 << 30, 500} {
		x := newIndex(t, Options{Dim: 64, GraphFrom: graph})
		for i := range 1000 {
			if err := x.Add(uint32(i*7%1000), v); err != nil {
				t.Fatal(err)
			}
		}
		mustWork(t, x)
		for _, s := range []Search{{K: 3, Exact: true}, {K: 3}, {K: 3, Graph: true}, {K: 300, Exact: true}} {
			want := make([]uint32, s.K)
			for i := range want {
				want[i] = uint32(i)
			}
			if got := docs(x.Search(v, s)); !slices.Equal(got, want) {
				t.Errorf("graph from %d, Search(%+v) = %v", graph, s, got)
			}
		}
	}
}

func TestManyAsked(t *testing.T) {
	const n = 3000
	vectors := newCloud(2, 32, 40).many(n)
	x := newIndex(t, Options{Dim: 32, GraphFrom: 1000, EfConstruction: 40})
	m := model{}
	for i, v := range vectors {
		doc := uint32(i / 2) // two vectors each
		if err := x.Add(doc, v); err != nil {
			t.Fatal(err)
		}
		m[doc] = append(m[doc], v)
	}
	mustWork(t, x)
	for _, k := range []int{few, few + 1, 500, n / 2, n} {
		for _, s := range []Search{{K: k, Exact: true}, {K: k}, {K: k, Graph: true}} {
			want := m.search(vectors[5], k, nil)
			got := x.Search(vectors[5], s)
			if wrong := m.wrong(vectors[5], got, len(want), nil); wrong != "" {
				t.Fatalf("Search(%+v): %s", s, wrong)
			}
			if part := float64(found(got, want)) / float64(len(want)); part < .95 || s.Exact && part < 1 {
				t.Errorf("Search(%+v) finds %.3f", s, part)
			}
		}
	}
}

func TestLengthOfQuery(t *testing.T) {
	vectors := newCloud(3, 64, 20).many(3000)
	x := builtOf(t, Options{Dim: 64, GraphFrom: 1 << 30}, vectors)
	want := x.Search(vectors[77], Search{K: 5})
	for _, length := range []float32{1e-30, 1e-18, 1e-10, .5, 3, 1e15} {
		q := slices.Clone(vectors[77])
		for i := range q {
			q[i] *= length
		}
		got := x.Search(q, Search{K: 5})
		if !slices.Equal(docs(got), docs(want)) || math.Abs(float64(got[1].Score/length-want[1].Score)) > 1e-4 {
			t.Errorf("a query of length %v finds %v, want %v", length, got, want)
		}
	}
}

// TestProbeOfDuplicates: that another of several equal vectors is found says nothing
// against a graph.
func TestProbeOfDuplicates(t *testing.T) {
	base := newCloud(3, 32, 50).many(200)
	var vectors [][]float32
	for range 25 {
		vectors = append(vectors, base...)
	}
	x := builtOf(t, Options{Dim: 32, GraphFrom: 1000, EfConstruction: 60}, vectors)
	if p := x.state.Load().probe; p.poor() {
		t.Errorf("the graph is thought poor: it finds %v", p.found)
	}
}

// TestPlanCountsDocs: a filter is of docs, and they may have many vectors each.
func TestPlanCountsDocs(t *testing.T) {
	vectors := newCloud(3, 32, 50).many(4000)
	x := newIndex(t, Options{Dim: 32, GraphFrom: 1000, EfConstruction: 40})
	for i, v := range vectors {
		if err := x.Add(uint32(i/20), v); err != nil {
			t.Fatal(err)
		}
	}
	mustWork(t, x)
	if got := x.state.Load().rows.owned.Load(); got != 200 {
		t.Fatalf("%d docs have rows, want 200", got)
	}
	x.Remove(3)
	x.Remove(3)
	if err := x.Replace(4, [][]float32{vectors[0]}); err != nil {
		t.Fatal(err)
	}
	if err := x.Replace(250, [][]float32{vectors[1]}); err != nil {
		t.Fatal(err)
	}
	st := x.state.Load()
	if got := st.rows.owned.Load(); got != 200 {
		t.Errorf("%d docs have rows after one has gone and one has come, want 200", got)
	}
	admit := roaring.New()
	admit.AddRange(0, 190)
	w := take(st.rows.quant.width)
	defer w.give()
	a := ask{Search: Search{K: 10, Exact: true, Admit: admit}, st: st, x: x}
	if got := a.plan(w); got != byScan { // a sixth of the rows, were they counted
		t.Errorf("plan() = %v, want a scan of all", got)
	}
}

// TestElsewhere asks for what is near to vectors unlike all of the index.
func TestElsewhere(t *testing.T) {
	c := newCloud(3, 64, 40)
	here := cloud{r: c.r, centres: c.centres[:20]}
	there := cloud{r: c.r, centres: c.centres[20:]}
	vectors := here.many(12_000)
	x := builtOf(t, Options{Dim: 64, GraphFrom: 1000}, vectors)
	s := Search{K: 10, Graph: true}
	usual, odd := exactly(x, vectors, here.many(40), nil, s), exactly(x, vectors, there.many(40), nil, s)
	t.Logf("recall of usual queries %.3f, of others %.3f", usual, odd)
	if usual < .97 || odd < .85 {
		t.Errorf("recall of usual queries %.3f, of others %.3f", usual, odd)
	}
}

// TestIsolated asks where a filter admits nothing.
func TestIsolated(t *testing.T) {
	c := newCloud(3, 64, 20)
	in, out := cloud{r: c.r, centres: c.centres[:7]}, cloud{r: c.r, centres: c.centres[7:]}
	vectors := append(in.many(4000), out.many(8000)...)
	x := builtOf(t, Options{Dim: 64, GraphFrom: 1000}, vectors)
	admit := roaring.New()
	admit.AddRange(0, 4000)
	s := Search{K: 10, Admit: admit, Graph: true, by: byHops}
	near, far := exactly(x, vectors, in.many(40), admit, s), exactly(x, vectors, out.many(40), admit, s)
	t.Logf("recall of queries among the admitted %.3f, elsewhere %.3f", near, far)
	if near < .95 || far < .95 {
		t.Errorf("recall of queries among the admitted %.3f, elsewhere %.3f", near, far)
	}
}

// TestGraphOfNothing has a graph that all rows had gone from before it was built.
func TestGraphOfNothing(t *testing.T) {
	vectors := unitVectors(5300, 32, 1)
	big := builtOf(t, Options{Dim: 32, GraphFrom: 100, EfConstruction: 20}, vectors)
	x := newIndex(t, Options{Dim: 32, GraphFrom: 100})
	if err := x.Learn(vectors[:5000]); err != nil {
		t.Fatal(err)
	}
	addAll(t, x, vectors[:200], 0)
	for i := range uint32(200) {
		x.Remove(i)
	}
	mustWork(t, x)
	if err := x.Add(5000, vectors[5000]); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		big.Search(vectors[i], Search{K: 10, Graph: true}) // leaves its beam behind
		if got := docs(x.Search(vectors[i], Search{K: 10, Graph: true})); !slices.Equal(got, []uint32{5000}) {
			t.Fatalf("Search() = %v, want [5000]", got)
		}
	}
}

// TestRelearned: codes are learned from the rows that live, wherever they lie.
func TestRelearned(t *testing.T) {
	vectors := newCloud(3, 32, 50).many(20_000)
	x := builtOf(t, Options{Dim: 32, GraphFrom: 1 << 30}, vectors)
	for i := range 20_000 {
		if i%2 == 0 && i > 0 {
			x.Remove(uint32(i))
		}
	}
	mustWork(t, x)
	if q := x.state.Load().rows.quant; q.trained < enoughLearned || slices.Max(q.deviation) < .1 {
		t.Errorf("codes are learned from %d vectors, of deviation %v", q.trained, slices.Max(q.deviation))
	}
}

// TestWarmWhileAdding has memory taken for rows by who adds and by who works.
func TestWarmWhileAdding(t *testing.T) {
	vectors := unitVectors(1000, 4, 1)
	x := newIndex(t, Options{Dim: 4, GraphFrom: 1 << 30, Dir: t.TempDir(), DirFrom: 1, InMemory: 5*chunkRows + 100, Workers: 1})
	if err := x.Learn(slices.Concat(vectors, vectors, vectors, vectors, vectors)); err != nil {
		t.Fatal(err)
	}
	stop := make(chan bool)
	var worker sync.WaitGroup
	worker.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := x.Work(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for i := range 5*chunkRows + 200 {
		if err := x.Add(uint32(i), vectors[i%1000]); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	worker.Wait()
}

func TestGrowing(t *testing.T) {
	for _, c := range []struct{ ef, n, want int }{{256, 0, 256}, {256, 200_000, 256}, {256, 800_000, 384}, {128, 3_200_000, 256}} {
		if got := growing(c.ef, c.n); got != c.want {
			t.Errorf("growing(%d, %d) = %d, want %d", c.ef, c.n, got, c.want)
		}
	}
}
