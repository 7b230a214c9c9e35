package indextest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

// model runs random operations and compares the store with a map.
func (s *suite) model() {
	Model(s.T, s.Store, rand.Uint64(), 60)
}

// Model runs so many random operations, which seed decides, on an empty store and
// compares it with a map after each.
func Model(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, store Store, seed uint64, operations int) {
	t.Helper()
	m := model{store: store, r: rand.New(rand.NewPCG(seed, 1)), pictures: map[clipsearch.ID]clipsearch.Image{}}
	for i := range operations {
		what, err := m.step()
		if err == nil {
			err = m.compare()
		}
		if err != nil {
			t.Fatalf("seed %d, operation %d, %s: %v", seed, i, what, err)
		}
	}
}

// model is what a store should hold.
type model struct {
	store    Store
	r        *rand.Rand
	pictures map[clipsearch.ID]clipsearch.Image
}

const (
	modelPictures = 12 // few, so that they meet
	modelPaths    = 15
)

// step does one operation on both, and says which.
func (m *model) step() (string, error) {
	ctx := context.Background()
	switch m.r.IntN(6) {
	case 0:
		n := m.r.IntN(modelPictures)
		delete(m.pictures, ID(n))
		return fmt.Sprintf("delete %d", n), m.store.Delete(ctx, []clipsearch.ID{ID(n)})
	case 1:
		path := File(m.r.IntN(modelPaths)).Path
		gone := m.drop(path, clipsearch.ID{})
		n, err := m.store.Forget(ctx, []string{path})
		if err == nil && (n == 1) != gone {
			err = fmt.Errorf("forget = %d pictures, want one: %v", n, gone)
		}
		return "forget " + path, err
	}
	batch := make([]clipsearch.Entry, 1+m.r.IntN(3))
	what := "put"
	for i := range batch {
		batch[i] = m.entry()
		what += fmt.Sprintf(" %v at %v", batch[i].ID, batch[i].Paths())
	}
	for _, e := range batch {
		m.put(e)
	}
	for id, p := range m.pictures {
		if len(p.Files) == 0 {
			delete(m.pictures, id)
		}
	}
	return what, m.store.Put(ctx, batch)
}

// entry is a random picture at a random path, with its captions or without.
func (m *model) entry() clipsearch.Entry {
	e := Picture(m.r.IntN(modelPictures))
	f := File(m.r.IntN(modelPaths))
	f.Size = int64(m.r.IntN(3))
	e.Files = []clipsearch.File{f}
	switch m.r.IntN(3) {
	case 0:
		e.Captions = []string{fmt.Sprintf("word%d", m.r.IntN(100))}
	case 1:
		e.Captions, e.Tags = nil, []string{fmt.Sprintf("tag%d", m.r.IntN(100))}
	}
	if e.Captions != nil && m.r.IntN(2) == 0 {
		e.CaptionVectors = []clipsearch.Vector{Vector(m.r.IntN(50))}
	}
	return e
}

// put is what Put should do. Pictures without files are removed at the end of a
// batch.
func (m *model) put(e clipsearch.Entry) {
	p, known := m.pictures[e.ID]
	if !known {
		p = e.Image
		p.Files = nil
	}
	if e.Captions != nil {
		p.Captions = e.Captions
	}
	if e.Tags != nil {
		p.Tags = e.Tags
	}
	p.Files = slices.Clone(p.Files)
	for _, f := range e.Files {
		m.take(f.Path, e.ID)
		i := slices.IndexFunc(p.Files, func(g clipsearch.File) bool { return g.Path == f.Path })
		if i < 0 {
			p.Files = append(p.Files, f)
		} else {
			p.Files[i] = f
		}
	}
	m.pictures[e.ID] = p
}

// take takes path from every picture but one.
func (m *model) take(path string, but clipsearch.ID) (from []clipsearch.ID) {
	for id, p := range m.pictures {
		if id != but && p.HasPath(path) {
			p.Files = slices.DeleteFunc(slices.Clone(p.Files), func(f clipsearch.File) bool { return f.Path == path })
			m.pictures[id] = p
			from = append(from, id)
		}
	}
	return from
}

// drop takes path from whoever has it, and reports whether that picture is gone.
func (m *model) drop(path string, but clipsearch.ID) (gone bool) {
	for _, id := range m.take(path, but) {
		if len(m.pictures[id].Files) == 0 {
			delete(m.pictures, id)
			gone = true
		}
	}
	return gone
}

// compare returns how the store differs from m.
func (m *model) compare() error {
	ctx := context.Background()
	files := 0
	for n := range modelPictures {
		want, known := m.pictures[ID(n)]
		has, err := m.store.Has(ctx, []clipsearch.ID{ID(n)})
		if err != nil || has[0] != known {
			return fmt.Errorf("picture %d: has = %v, %v, want %v", n, has, err, known)
		}
		if !known {
			continue
		}
		files += len(want.Files)
		got, err := m.store.Image(ctx, ID(n))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			return fmt.Errorf("picture %d: %v (-want +got):\n%s", n, err, diff)
		}
		seen, err := m.store.Seen(ctx, want.Files)
		if err != nil || slices.ContainsFunc(seen, func(id clipsearch.ID) bool { return id != ID(n) }) {
			return fmt.Errorf("picture %d: seen = %v, %v", n, seen, err)
		}
	}
	st, err := m.store.Stats(ctx)
	if err != nil || st.Images != len(m.pictures) || st.Files != files {
		return fmt.Errorf("stats = %d images, %d files, %v, want %d, %d", st.Images, st.Files, err, len(m.pictures), files)
	}
	hits, err := m.store.Nearest(ctx, Vector(1), 1000, nil)
	want := slices.SortedFunc(maps.Keys(m.pictures), compareIDs)
	if got := sortedIDs(hits); err != nil || !slices.Equal(got, want) {
		return fmt.Errorf("nearest = %v, %v, want %v", got, err, want)
	}
	return nil
}
