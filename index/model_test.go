package index

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch"
)

// A storeModel does random operations on an index, and on maps beside it that say
// what the index must hold and answer: pictures, their vectors in several spaces,
// which space answers, and what is owed.
type storeModel struct {
	t        testing.TB
	r        *rand.Rand
	x        *Index
	pictures map[clipsearch.ID]*modelPicture
	spaces   map[clipsearch.Space]clipsearch.SpaceModel // that the index knows

	answering, previous, next clipsearch.Space
	owed                      bool

	saved       []clipsearch.Record // by an export
	savedSpaces []clipsearch.SpaceModel
}

type modelPicture struct {
	clipsearch.Image
	in map[clipsearch.Space]modelVectors
}

type modelVectors struct {
	vectors, captions []clipsearch.Vector
	thumb             bool
}

// lacks is what [record.lacks] says.
func (p *modelPicture) lacks(s clipsearch.Space) bool {
	v := p.in[s]
	return len(v.vectors) == 0 || len(v.captions) == 0 && len(p.Captions) > 0
}

var modelSpaces = []clipsearch.SpaceModel{
	{Space: testSpace, Model: "test-model", Dim: testDim}, {Space: clipsearch.Space{7}, Model: "second", Dim: testDim}, {Space: clipsearch.Space{8, 8}, Model: "third", Dim: 5},
}

// TestSpacesModel is FuzzSpaces for the seeds of every day.
func TestSpacesModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			runModel(t, seed, 120)
		})
	}
}

// FuzzSpaces compares an index with maps: spaces, changes of the one that answers,
// filters, words, exports and imports, closed and opened in between.
func FuzzSpaces(f *testing.F) {
	f.Add(uint64(100))
	f.Fuzz(func(t *testing.T, seed uint64) { runModel(t, seed, 60) })
}

func runModel(t testing.TB, seed uint64, operations int) {
	x := openTuned(t, filepath.Join(t.TempDir(), "index"), modelTuning(seed))
	m := &storeModel{
		t: t, r: rand.New(rand.NewPCG(seed, 5)), x: x, pictures: map[clipsearch.ID]*modelPicture{},
		spaces: map[clipsearch.Space]clipsearch.SpaceModel{testSpace: modelSpaces[0]}, answering: testSpace,
	}
	for i := range operations {
		what, err := m.step()
		if err == nil {
			err = m.compare()
		}
		if err != nil {
			t.Fatalf("seed %d, operation %d, %s: %v", seed, i, what, err)
		}
	}
	mustBeClean(t, m.x)
	closeIndex(t, m.x)
}

// step does one operation on both, and says which.
func (m *storeModel) step() (string, error) {
	ctx := context.Background()
	steps := []struct {
		name  string
		times int
		do    func(context.Context) error
	}{
		{"put", 12, m.put}, {"delete", 2, m.delete}, {"forget", 2, m.forget},
		{"switch", 2, m.switchTo}, {"re-encode", 8, m.reencode}, {"change", 4, m.change}, {"rollback", 1, m.rollback}, {"drop spaces", 1, m.dropSpaces},
		{"export", 1, m.export}, {"import", 2, m.imports}, {"reopen", 2, m.reopen}, {"language", 1, m.language}, {"compact", 1, m.compact}, {"settle", 2, m.settle}, {"harm", 2, m.harm},
	}
	all := 0
	for _, s := range steps {
		all += s.times
	}
	n := m.r.IntN(all)
	for _, s := range steps {
		if n -= s.times; n < 0 {
			return s.name, s.do(ctx)
		}
	}
	panic("no step")
}

// modelTuning has codes and graphs of few vectors be kept in the store, but for some
// seeds.
func modelTuning(seed uint64) tuning {
	if seed%3 == 0 {
		return usual
	}
	return tuning{graph: int(3 + seed%7), saved: int(1 + seed%5)}
}

func (m *storeModel) settle(ctx context.Context) error { return m.x.Settle(ctx) }

func (m *storeModel) compact(ctx context.Context) error { return m.x.Compact(ctx) }

func (m *storeModel) language(ctx context.Context) error {
	return m.x.SetLanguage(ctx, pick(m.r, "de", "en", "standard"))
}

func (m *storeModel) reopen(context.Context) error {
	dir := m.x.dir
	if err := m.x.Close(); err != nil {
		return err
	}
	x, err := Open(dir, Options{tuning: m.x.tuning})
	if err != nil {
		return err
	}
	m.t.Cleanup(func() { x.Close() })
	m.x = x
	return nil
}

// known is a random space that the index knows.
func (m *storeModel) known() clipsearch.Space {
	for {
		if s := pick(m.r, modelSpaces...); m.spaces[s.Space].Dim > 0 {
			return s.Space
		}
	}
}

func (m *storeModel) vectors(s clipsearch.Space) (list []clipsearch.Vector) {
	for range 1 + m.r.IntN(3)/2 {
		list = append(list, unit(m.spaces[s].Dim, m.r.Uint64()))
	}
	return list
}

// captionVectors are those of texts; of a text always the same.
func (m *storeModel) captionVectors(s clipsearch.Space, texts []string) (list []clipsearch.Vector) {
	for _, t := range texts {
		seed := uint64(s[0])
		for _, b := range []byte(t) {
			seed = seed*131 + uint64(b)
		}
		list = append(list, unit(m.spaces[s].Dim, seed))
	}
	return list
}

// owe follows what apply notes when pictures come or change; before are those that
// lacked nothing.
func (m *storeModel) owe(lacks func(*modelPicture) bool, before map[clipsearch.ID]bool) {
	for id, p := range m.pictures {
		lacked, known := before[id]
		m.owed = m.owed || lacks(p) && (!known || !lacked)
	}
}

// lacking says of every picture whether it lacks vectors of the space that answers.
func (m *storeModel) lacking() map[clipsearch.ID]bool {
	all := map[clipsearch.ID]bool{}
	for id, p := range m.pictures {
		all[id] = p.lacks(m.answering)
	}
	return all
}

func (m *storeModel) put(ctx context.Context) error {
	before, space, none := m.lacking(), m.answering, true
	if m.r.IntN(3) == 0 {
		space = m.known()
	}
	batch := make([]clipsearch.Entry, 1+m.r.IntN(3))
	for i := range batch {
		e := m.entry(space)
		none = none && len(e.Vectors)+len(e.CaptionVectors) == 0
		m.putEntry(space, e)
		batch[i] = e
	}
	m.dropPathless()
	if space != m.answering && !none {
		m.owe(func(p *modelPicture) bool { return p.lacks(m.answering) }, before)
	}
	return m.x.Put(ctx, batch)
}

const modelPictures, modelPaths = 14, 17 // few, so that they meet

// modelWords are in no name, nor are their parts.
var modelWords = []string{"quagga", "okapi", "eland", "kudu"}

func (m *storeModel) entry(space clipsearch.Space) clipsearch.Entry {
	n := m.r.IntN(modelPictures)
	e := clipsearch.Entry{Image: testEntry(n).Image, Space: space, Thumb: []byte{byte(n), 1}}
	e.Files = []clipsearch.File{testFile(m.r.IntN(modelPaths))}
	e.Captions, e.Tags = nil, nil
	switch m.r.IntN(4) {
	case 0:
		e.Captions = []string{} // takes away what there is
	case 1, 2:
		e.Captions = []string{pick(m.r, modelWords...), fmt.Sprintf("lion%d", m.r.IntN(50))}[:1+m.r.IntN(2)]
	}
	if m.r.IntN(3) == 0 {
		e.Tags = []string{fmt.Sprintf("tag%d", m.r.IntN(3))}
	}
	if m.r.IntN(2) == 0 || m.pictures[e.ID] == nil {
		e.Vectors = m.vectors(space)
	}
	if m.r.IntN(2) == 0 {
		e.CaptionVectors = m.captionVectors(space, e.Captions)
	}
	return e
}

func (m *storeModel) putEntry(space clipsearch.Space, e clipsearch.Entry) {
	p := m.pictures[e.ID]
	if p == nil {
		p = &modelPicture{Image: e.Image, in: map[clipsearch.Space]modelVectors{}}
		p.Files = nil
		m.pictures[e.ID] = p
	}
	if e.Captions != nil {
		p.Captions = slices.Clip(append([]string(nil), e.Captions...))
		for s, v := range p.in {
			v.captions = nil
			p.in[s] = v
		}
	}
	if e.Tags != nil {
		p.Tags = e.Tags
	}
	v := p.in[space]
	if len(e.Vectors) > 0 && (len(v.vectors) == 0 || v.thumb) {
		v.vectors, v.thumb = e.Vectors, false
	}
	if e.CaptionVectors != nil {
		v.captions = e.CaptionVectors
	}
	p.in[space] = v
	for _, f := range e.Files {
		m.take(f.Path, e.ID)
		if !p.HasPath(f.Path) {
			p.Files = append(p.Files, f)
		}
	}
}

// take takes path from every picture but one.
func (m *storeModel) take(path string, but clipsearch.ID) {
	for id, p := range m.pictures {
		if id != but {
			p.Files = slices.DeleteFunc(p.Files, func(f clipsearch.File) bool { return f.Path == path })
		}
	}
}

func (m *storeModel) dropPathless() (n int) {
	for id, p := range m.pictures {
		if len(p.Files) == 0 {
			delete(m.pictures, id)
			n++
		}
	}
	return n
}

func (m *storeModel) delete(ctx context.Context) error {
	id := testID(m.r.IntN(modelPictures))
	delete(m.pictures, id)
	return m.x.Delete(ctx, []clipsearch.ID{id})
}

func (m *storeModel) forget(ctx context.Context) error {
	path := testFile(m.r.IntN(modelPaths)).Path
	m.take(path, clipsearch.ID{})
	want := m.dropPathless()
	n, err := m.x.Forget(ctx, []string{path})
	if err == nil && n != want {
		err = fmt.Errorf("Forget = %d, want %d", n, want)
	}
	return err
}
