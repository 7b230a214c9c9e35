package index

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index/indextest"
)

func suiteOptions() Options {
	return Options{Space: indextest.Space, Model: "suite", Dim: indextest.Dim, Create: true}
}

func TestSuite(t *testing.T) {
	indextest.Run(t, func(t *testing.T) indextest.Store {
		x, err := Open(filepath.Join(t.TempDir(), "index"), suiteOptions())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := x.Close(); err != nil {
				t.Error(err)
			}
		})
		return x
	})
}

// reopening is a store that is closed and opened again every now and then.
type reopening struct {
	*Index
	t testing.TB
	r *rand.Rand
}

func (s *reopening) Has(ctx context.Context, ids []clipsearch.ID) ([]bool, error) {
	if s.r.IntN(60) == 0 {
		dir := s.dir
		closeIndex(s.t, s.Index)
		x, err := Open(dir, suiteOptions())
		if err != nil {
			s.t.Fatal(err)
		}
		s.Index = x
	}
	return s.Index.Has(ctx, ids)
}

// FuzzModel compares the store, closed and opened in between, with a map.
func FuzzModel(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		x, err := Open(filepath.Join(t.TempDir(), "index"), suiteOptions())
		if err != nil {
			t.Fatal(err)
		}
		s := &reopening{Index: x, t: t, r: rand.New(rand.NewPCG(seed, 2))}
		defer func() { closeIndex(t, s.Index) }()
		indextest.Model(t, s, seed, 40)
		mustBeClean(t, s.Index)
	})
}
