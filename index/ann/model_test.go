package ann

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
)

// cloud draws vectors of unit length around some centres, as pictures lie.
type cloud struct {
	r       *rand.Rand
	centres [][]float32
}

func newCloud(seed uint64, dim, centres int) *cloud {
	c := &cloud{r: rand.New(rand.NewPCG(seed, 1))}
	for range centres {
		c.centres = append(c.centres, c.anywhere(dim))
	}
	return c
}

func (c *cloud) anywhere(dim int) []float32 {
	v := make([]float32, dim)
	for i := range v {
		v[i] = float32(c.r.NormFloat64())
	}
	return unit(v)
}

func (c *cloud) draw() []float32 {
	centre := c.centres[c.r.IntN(len(c.centres))]
	v := make([]float32, len(centre))
	for i := range v {
		v[i] = centre[i] + .8*float32(c.r.NormFloat64()/math.Sqrt(float64(len(v))))
	}
	return unit(v)
}

func (c *cloud) many(n int) [][]float32 {
	list := make([][]float32, n)
	for i := range list {
		list[i] = c.draw()
	}
	return list
}

func unit(v []float32) []float32 {
	var sq float64
	for _, x := range v {
		sq += float64(x) * float64(x)
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(sq))
	}
	return v
}

// model is what an index is to do, done simply.
type model map[uint32][][]float32

// search returns the k best of the docs that admit holds, all if nil.
func (m model) search(q []float32, k int, admit *roaring.Bitmap) []Neighbor {
	var list []Neighbor
	for doc := range m {
		if admit == nil || admit.Contains(doc) {
			list = append(list, Neighbor{doc, m.score(q, doc)})
		}
	}
	slices.SortFunc(list, func(a, b Neighbor) int {
		if a.Score != b.Score {
			return int(math.Copysign(1, float64(b.Score-a.Score)))
		}
		return int(a.Doc) - int(b.Doc)
	})
	return list[:max(0, min(k, len(list)))]
}

// score returns the score of a doc: that of its best vector.
func (m model) score(q []float32, doc uint32) float32 {
	best := math.Inf(-1)
	for _, v := range m[doc] {
		best = max(best, product(q, v))
	}
	return float32(best)
}

func product(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// near is what scores may differ by.
const near = 2e-6

// wrong says what is wrong with an answer, whether or not it has the best docs.
func (m model) wrong(q []float32, got []Neighbor, n int, admit *roaring.Bitmap) string {
	if len(got) != n {
		return fmt.Sprintf("%d docs, want %d", len(got), n)
	}
	seen := map[uint32]bool{}
	for i, nb := range got {
		score := m.score(q, nb.Doc)
		switch {
		case seen[nb.Doc]:
			return fmt.Sprintf("doc %d twice", nb.Doc)
		case len(m[nb.Doc]) == 0 || admit != nil && !admit.Contains(nb.Doc):
			return fmt.Sprintf("doc %d, which is not there or not admitted", nb.Doc)
		case !slices.ContainsFunc(m[nb.Doc], func(v []float32) bool { return math.Abs(product(q, v)-float64(nb.Score)) < near }):
			return fmt.Sprintf("doc %d with %v, want %v", nb.Doc, nb.Score, score)
		case i > 0 && nb.Score > got[i-1].Score:
			return fmt.Sprintf("doc %d in place %d with %v, after %v", nb.Doc, i, nb.Score, got[i-1])
		}
		seen[nb.Doc] = true
	}
	return ""
}

// found returns how many docs of an answer belong there, those as good as the last
// included.
func found(got, want []Neighbor) (n int) {
	for _, nb := range got {
		if nb.Score >= want[len(want)-1].Score-near {
			n++
		}
	}
	return n
}

// sound fails the test for what Check reports.
func sound(t *testing.T, x *Index) {
	t.Helper()
	failed := 0
	err := x.Check(context.Background(), func(doc uint32, what string) {
		if failed++; failed < 5 {
			t.Errorf("Check: doc %d: %s", doc, what)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func newIndex(t testing.TB, o Options) *Index {
	t.Helper()
	x, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// operations are random ones, done to an index and to a model.
type operations struct {
	*cloud
	t     *testing.T
	x     *Index
	m     model
	given [][]float32 // vectors that may come again
	docs  uint32

	hits, all int // of searches through the graph
}

func (o *operations) vector() []float32 {
	if len(o.given) > 0 && o.r.IntN(4) == 0 {
		return o.given[o.r.IntN(len(o.given))]
	}
	v := o.draw()
	o.given = append(o.given, v)
	return v
}

func (o *operations) add() {
	doc := o.r.Uint32N(o.docs)
	for range 1 + o.r.IntN(3)/2 {
		v := o.vector()
		if err := o.x.Add(doc, v); err != nil {
			o.t.Fatal(err)
		}
		o.m[doc] = append(o.m[doc], v)
	}
}

func (o *operations) remove() {
	doc := o.r.Uint32N(o.docs)
	if had, want := o.x.Remove(doc), len(o.m[doc]) > 0; had != want {
		o.t.Fatalf("Remove(%d) = %v, want %v", doc, had, want)
	}
	delete(o.m, doc)
}

// forget removes a good part of all docs.
func (o *operations) forget() {
	for _, doc := range slices.Sorted(maps.Keys(o.m)) {
		if o.r.IntN(3) > 0 {
			o.x.Remove(doc)
			delete(o.m, doc)
		}
	}
}

func (o *operations) work() {
	if err := o.x.Work(context.Background()); err != nil {
		o.t.Fatal(err)
	}
	if o.x.Behind() {
		o.t.Fatal("Behind() after Work()")
	}
}

func (o *operations) search() {
	var admit *roaring.Bitmap
	if o.r.IntN(2) == 0 {
		admit = roaring.New()
		part := o.r.Float64()
		for doc := range o.docs {
			if o.r.Float64() < part*part {
				admit.Add(doc)
			}
		}
	}
	q, s := o.vector(), Search{K: []int{1, 10, 40, 2000}[o.r.IntN(4)], Exact: true, Admit: admit, Threads: o.r.IntN(3)}
	want := o.m.search(q, s.K, admit)
	got := o.x.Search(q, s)
	if wrong := o.m.wrong(q, got, len(want), admit); wrong != "" {
		o.t.Fatalf("exact search of %d among %d docs: %s", s.K, len(o.m), wrong)
	}
	for i := range got {
		if math.Abs(float64(got[i].Score-want[i].Score)) > near {
			o.t.Fatalf("exact search of %d among %d docs: %v in place %d, want %v", s.K, len(o.m), got[i], i, want[i])
		}
	}
	s.Exact, s.Graph, s.Ef = false, true, 100
	if admit != nil {
		s.by = []way{byPlan, byWalk, byHops}[o.r.IntN(3)]
	}
	got = o.x.Search(q, s)
	if wrong := o.m.wrong(q, got, len(want), admit); wrong != "" {
		o.t.Fatalf("search of %d among %d docs through the graph: %s", s.K, len(o.m), wrong)
	}
	o.hits, o.all = o.hits+found(got, want), o.all+len(want)
}

func TestModel(t *testing.T) {
	for _, c := range []struct {
		dim, centres, steps int
		disk                bool
	}{{dim: 48, centres: 20, steps: 3000}, {dim: 48, centres: 20, steps: 3000, disk: true}, {dim: 5, centres: 3, steps: 2000}} {
		t.Run(fmt.Sprintf("%d dimensions, on disk: %v", c.dim, c.disk), func(t *testing.T) {
			options := Options{Dim: c.dim, Seed: 7, Workers: 2, GraphFrom: 300}
			if c.disk {
				options.Dir = t.TempDir()
			}
			o := &operations{cloud: newCloud(3, c.dim, c.centres), t: t, x: newIndex(t, options), m: model{}, docs: 700}
			for step := range c.steps {
				switch dice := o.r.IntN(100); {
				case dice < 60:
					o.add()
				case dice < 80:
					o.remove()
				case dice < 84:
					o.work()
				case step%1000 == 999:
					o.forget()
				default:
					o.search()
				}
			}
			if recall := float64(o.hits) / float64(o.all); recall < .99 {
				t.Errorf("recall through the graph %.4f", recall)
			}
			rows := 0
			for _, vectors := range o.m {
				rows += len(vectors)
			}
			if o.x.Len() != rows {
				t.Errorf("Len() = %d, want %d", o.x.Len(), rows)
			}
			o.work()
			sound(t, o.x)
		})
	}
}
