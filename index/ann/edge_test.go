package ann

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
)

func TestDimensions(t *testing.T) {
	for _, dim := range []int{1, 2, 3, 63, 64, 65, 100, 512, 768, 1000} {
		t.Run(fmt.Sprint(dim), func(t *testing.T) {
			c := newCloud(uint64(dim), dim, 5)
			m := model{}
			for doc, v := range c.many(400) {
				m[uint32(doc)] = [][]float32{v}
			}
			x := newIndex(t, Options{Dim: dim, GraphFrom: 300})
			if err := x.Build(t.Context(), len(m), func(i int) []float32 { return m[uint32(i)][0] }); err != nil {
				t.Fatal(err)
			}
			hits := 0
			for range 20 {
				q := c.draw()
				want := m.search(q, 10, nil)
				for _, s := range []Search{{K: 10, Exact: true}, {K: 10, Graph: true, Ef: 200}} {
					got := x.Search(q, s)
					if wrong := m.wrong(q, got, 10, nil); wrong != "" {
						t.Errorf("%+v: %s", s, wrong)
					}
					if hits += found(got, want); s.Exact && found(got, want) < 10 {
						t.Errorf("%+v: %d of the 10 best", s, found(got, want))
					}
				}
			}
			if hits < 390 {
				t.Errorf("%d of the 400 best", hits)
			}
			sound(t, x)
		})
	}
}

func TestRefused(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	x := newIndex(t, Options{Dim: 2})
	for _, c := range []struct {
		name string
		doc  uint32
		v    []float32
		ok   bool
	}{
		{"good", 1, []float32{1, 0}, true},
		{"zero", 2, []float32{0, 0}, true},
		{"last doc", maxDocs - 1, []float32{0, 1}, true},
		{"doc too large", maxDocs, []float32{1, 0}, false},
		{"no doc's number", math.MaxUint32, []float32{1, 0}, false},
		{"short", 3, []float32{1}, false},
		{"long", 3, []float32{1, 0, 0}, false},
		{"nil", 3, nil, false},
		{"not a number", 3, []float32{1, nan}, false},
		{"infinite", 3, []float32{inf, 0}, false},
		{"infinite twice", 3, []float32{inf, -inf}, false},
	} {
		before := x.Len()
		err := x.Add(c.doc, c.v)
		if (err == nil) != c.ok || x.Len() > before != c.ok {
			t.Errorf("%s: Add(%d, %v) = %v, and %d more", c.name, c.doc, c.v, err, x.Len()-before)
		}
		if err := newIndex(t, Options{Dim: 2}).Learn([][]float32{c.v}); (err == nil) != c.ok && c.doc <= 3 {
			t.Errorf("%s: Learn(%v) = %v", c.name, c.v, err)
		}
	}
	if err := x.Learn([][]float32{{1, 0}}); err == nil {
		t.Error("Learn() for an index with vectors: no error")
	}
	if err := x.Build(t.Context(), 1, func(int) []float32 { return []float32{1, 0} }); err == nil {
		t.Error("Build() into an index with vectors: no error")
	}
	y := newIndex(t, Options{Dim: 2})
	if err := y.Build(t.Context(), 2, func(i int) []float32 { return []float32{1, nan}[i:] }); err == nil || y.Len() > 0 {
		t.Errorf("Build() of bad vectors = %v, and %d are there", err, y.Len())
	}
	if err := y.Add(1, []float32{1, 0}); err != nil || len(y.Search([]float32{1, 0}, Search{K: 1})) != 1 {
		t.Errorf("after a build that failed: Add() = %v", err)
	}
	for _, o := range []Options{{}, {Dim: -1}, {Dim: 2, M: 1}, {Dim: 2, M: 65}, {Dim: 2, M: -1}, {Dim: 2, EfConstruction: -1}} {
		if _, err := New(o); err == nil {
			t.Errorf("New(%+v): no error", o)
		}
	}
}

func TestSearchEdges(t *testing.T) {
	nan := float32(math.NaN())
	filled := newIndex(t, Options{Dim: 3})
	for doc, v := range [][]float32{{1, 0, 0}, {0, 1, 0}, {0, 0, 0}, {.6, .8, 0}, {1, 0, 0}} {
		if err := filled.Add(uint32(doc), v); err != nil {
			t.Fatal(err)
		}
	}
	filled.Remove(4)
	filled.Remove(99)
	emptied := newIndex(t, Options{Dim: 3})
	_ = emptied.Add(7, []float32{1, 0, 0})
	emptied.Remove(7)
	e1 := []float32{1, 0, 0}
	for _, c := range []struct {
		name string
		x    *Index
		q    []float32
		s    Search
		want []uint32
	}{
		{"best first", filled, e1, Search{K: 2}, []uint32{0, 3}},
		{"all", filled, e1, Search{K: 4}, []uint32{0, 3, 1, 2}},
		{"more than all", filled, e1, Search{K: math.MaxInt}, []uint32{0, 3, 1, 2}},
		{"any length", filled, []float32{0, 30, 0}, Search{K: 2}, []uint32{1, 3}},
		{"zero query: by number", filled, []float32{0, 0, 0}, Search{K: 2}, []uint32{0, 1}},
		{"none asked for", filled, e1, Search{}, nil},
		{"fewer than none", filled, e1, Search{K: -1}, nil},
		{"short query", filled, []float32{1}, Search{K: 2}, nil},
		{"long query", filled, []float32{1, 0, 0, 0}, Search{K: 2}, nil},
		{"no query", filled, nil, Search{K: 2}, nil},
		{"not a number", filled, []float32{1, nan, 0}, Search{K: 2}, nil},
		{"none admitted", filled, e1, Search{K: 2, Admit: roaring.New()}, nil},
		{"one admitted", filled, e1, Search{K: 2, Admit: roaring.BitmapOf(1)}, []uint32{1}},
		{"others admitted", filled, e1, Search{K: 2, Admit: roaring.BitmapOf(4, 77, 1<<31, math.MaxUint32)}, nil},
		{"all admitted, and more", filled, e1, Search{K: 1, Admit: roaring.BitmapOf(0, 1, 2, 3, 4, 5, 6, math.MaxUint32)}, []uint32{0}},
		{"graph asked for, none there", filled, e1, Search{K: 1, Graph: true, Ef: 5}, []uint32{0}},
		{"many threads", filled, e1, Search{K: 1, Threads: 64}, []uint32{0}},
		{"empty", newIndex(t, Options{Dim: 3}), e1, Search{K: 1}, nil},
		{"emptied", emptied, e1, Search{K: 1}, nil},
	} {
		for _, exact := range []bool{false, true} {
			c.s.Exact = exact
			if got := docs(c.x.Search(c.q, c.s)); !slices.Equal(got, c.want) {
				t.Errorf("%s (exact %v): Search(%v) = %v, want %v", c.name, exact, c.q, got, c.want)
			}
		}
	}
}

func docs(list []Neighbor) (docs []uint32) {
	for _, nb := range list {
		docs = append(docs, nb.Doc)
	}
	return docs
}

// Where scores are equal, Less decides, also about who comes last.
func TestLess(t *testing.T) {
	x := newIndex(t, Options{Dim: 2, Less: func(a, b uint32) bool { return a > b }})
	for doc := range uint32(100) {
		if err := x.Add(doc, []float32{0, 1}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := docs(x.Search([]float32{0, 1}, Search{K: 3})), []uint32{99, 98, 97}; !slices.Equal(got, want) {
		t.Errorf("Search() among equals = %v, want %v", got, want)
	}
}

// TestClipped has vectors that have one large number when they are turned: whole
// numbers do not hold it.
func TestClipped(t *testing.T) {
	const dim = 512
	turn := newRotation(dim)
	m := model{}
	x := newIndex(t, Options{Dim: dim, GraphFrom: 300, Dir: t.TempDir()})
	c := newCloud(1, dim, 20)
	for doc := range uint32(600) {
		v := c.draw()
		if doc%3 == 0 { // a row of the rotation, so that it turns into one number
			for i := range v {
				one := make([]float32, dim)
				one[i] = 1
				turn.turn(one, one)
				v[i] = one[doc/6]
			}
			if doc%2 == 0 {
				v = unit(append(v[:dim-1:dim-1], v[dim-1]+.1)) // nearly its twin
			}
		}
		m[doc] = [][]float32{v}
		if err := x.Add(doc, v); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(x.state.Load().rows.clips()); n < 190 {
		t.Fatalf("%d vectors are clipped, want 200", n)
	}
	for range 2 {
		for doc := range uint32(600) {
			q := m[doc][0]
			want := m.search(q, 3, nil)
			for _, s := range []Search{{K: 3, Exact: true}, {K: 3, Ef: 600, Graph: true}} {
				got := x.Search(q, s)
				if wrong := m.wrong(q, got, 3, nil); wrong != "" || found(got, want) < 3 {
					t.Fatalf("%+v for doc %d: %v, want %v %s", s, doc, got, want, wrong)
				}
			}
		}
		if err := x.Work(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	sound(t, x)
}
