package ann

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func unitVectors(n, dim int, seed uint64) [][]float32 {
	r := rand.New(rand.NewPCG(seed, 2))
	list := make([][]float32, n)
	for i := range list {
		v := make([]float32, dim)
		for j := range v {
			v[j] = float32(r.NormFloat64()) + 1
		}
		s := float32(1 / math.Sqrt(float64(dot(v, v))))
		for j := range v {
			v[j] *= s
		}
		list[i] = v
	}
	return list
}

// kept is a Keeper in memory.
type kept struct {
	parts map[Part][]byte
	Kept
	manifest []byte
}

func (k *kept) save(t *testing.T, x *Index) (written int) {
	t.Helper()
	name := func(doc uint32) (n Name) {
		binary.BigEndian.PutUint32(n[:], doc+1)
		return n
	}
	now, manifest, err := x.Save(context.Background(), k.Kept, Keeper{
		At: func(freeze func()) { freeze() }, Name: name,
		Put: func(p Part, b []byte) error { k.parts[p] = slices.Clone(b); written++; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	k.Kept, k.manifest = now, manifest
	return written
}

func (k *kept) load(o Options) (*Index, error) {
	return Load(context.Background(), o, k.manifest, func(n Name) uint32 { return binary.BigEndian.Uint32(n[:]) - 1 },
		func(p Part) ([]byte, error) {
			if b, ok := k.parts[p]; ok {
				return b, nil
			}
			return nil, errShort
		})
}

func TestSaveAndLoad(t *testing.T) {
	vectors := unitVectors(9000, 96, 1)
	o := Options{Dim: 96, GraphFrom: 4000, Dir: t.TempDir(), Workers: 2}
	x, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	add := func(from, to int) {
		for i := from; i < to; i++ {
			if err := x.Add(uint32(i%8500), vectors[i]); err != nil { // some have two
				t.Fatal(err)
			}
		}
	}
	answers := func(x *Index, graph bool) (list [][]Neighbor) {
		for _, q := range vectors[:50] {
			list = append(list, x.Search(q, Search{K: 20, Graph: graph, Exact: !graph}))
		}
		return list
	}
	add(0, 8000)
	for i := range 500 {
		x.Remove(uint32(7 * i))
	}
	if err := x.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	k := &kept{parts: map[Part][]byte{}}
	k.save(t, x)
	if n := k.save(t, x); n > 1 {
		t.Errorf("saving again what has not changed wrote %d parts", n)
	}
	y, err := k.load(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, graph := range []bool{true, false} {
		if diff := cmp.Diff(answers(x, graph), answers(y, graph)); diff != "" {
			t.Errorf("answers, graph %v, after it was saved and loaded (-before +after):\n%s", graph, diff)
		}
	}
	x.Remove(8)
	add(8000, 9000)
	k.save(t, x)
	if y, err = k.load(o); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(answers(x, false), answers(y, false)); diff != "" {
		t.Errorf("exact answers with rows that are not linked (-before +after):\n%s", diff)
	}
	if err := y.Work(t.Context()); err != nil || y.Behind() {
		t.Errorf("the worker leaves something undone: %v", err)
	}
	delete(k.parts, Part{Links: true, Gen: k.Graph[0], N: 0})
	if y, err = k.load(o); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(answers(x, false), answers(y, false)); diff != "" || !y.Behind() {
		t.Errorf("without a part of the graph (-before +after):\n%s", diff)
	}
	delete(k.parts, Part{Epoch: k.Epoch, N: 3})
	if _, err = k.load(o); err == nil {
		t.Error("an index that lacks rows was loaded")
	}
}
