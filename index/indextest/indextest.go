// Package indextest holds what every store of pictures must do, as a list of
// tests: package index runs it over itself, package owner over a client of it.
package indextest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
)

// Store is what is tested.
type Store interface {
	Seen(ctx context.Context, files []clipsearch.File) ([]clipsearch.ID, error)
	Has(ctx context.Context, ids []clipsearch.ID) ([]bool, error)
	Put(ctx context.Context, batch []clipsearch.Entry) error
	Forget(ctx context.Context, paths []string) (int, error)
	Delete(ctx context.Context, ids []clipsearch.ID) error
	Image(ctx context.Context, id clipsearch.ID) (clipsearch.Image, error)
	Vector(ctx context.Context, id clipsearch.ID) (clipsearch.Vector, error)
	Thumb(ctx context.Context, id clipsearch.ID) ([]byte, error)
	Nearest(ctx context.Context, v clipsearch.Vector, k int, f clipsearch.Filter) ([]clipsearch.Hit, error)
	Match(ctx context.Context, words string, k int, f clipsearch.Filter) ([]clipsearch.Hit, error)
	NearestCaptions(ctx context.Context, v clipsearch.Vector, k int) ([]clipsearch.TextHit, error)
	Files(ctx context.Context) ([]clipsearch.File, error)
	Stats(ctx context.Context) (clipsearch.Stats, error)
	Export(ctx context.Context, after clipsearch.ID, limit int) ([]clipsearch.Record, error)
	Import(ctx context.Context, spaces []clipsearch.SpaceModel, batch []clipsearch.Record) (clipsearch.Imported, error)
	Check(ctx context.Context, repair bool) ([]clipsearch.Problem, error)
}

// Dim and Space are those of the entries that Run puts. open must return an empty
// store that answers with them.
const Dim = 16

// Space is the space of every vector here.
var Space = clipsearch.Space{0xc1, 0x1b}

// Run runs every test over stores of its own.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &suite{T: t, Store: open(t), ctx: context.Background()}
			tt.run(s)
			if !t.Failed() {
				s.clean()
			}
		})
	}
}

var tests = []struct {
	name string
	run  func(*suite)
}{
	{"what is put comes back", (*suite).roundTrip},
	{"an empty store answers", (*suite).empty},
	{"what is wrong is refused whole", (*suite).refuses},
	{"a known picture gains files and keeps the rest", (*suite).merges},
	{"captions and tags are replaced", (*suite).describes},
	{"one picture twice in a batch is one", (*suite).twice},
	{"a path moves to another picture", (*suite).moves},
	{"a path moves within a batch", (*suite).swaps},
	{"forgotten paths take their pictures along", (*suite).forgets},
	{"deleted pictures are gone everywhere", (*suite).deletes},
	{"paths are bytes", (*suite).bytePaths},
	{"the nearest are exact and in order", (*suite).nearest},
	{"the best of several vectors counts", (*suite).frames},
	{"filters admit", (*suite).filters},
	{"words are found and mean nothing else", (*suite).words},
	{"captions are told once", (*suite).captions},
	{"nobody else's slices are kept", (*suite).aliases},
	{"what is exported can be imported", (*suite).exports},
	{"an import adds and takes nothing away", (*suite).imports},
	{"an import of what is wrong is refused whole", (*suite).refusesImports},
	{"an ended context is an error", (*suite).cancelled},
	{"many at once", (*suite).concurrent},
	{"random operations agree with a map", (*suite).model},
}

// Picture returns a whole entry, which n decides.
func Picture(n int) clipsearch.Entry {
	return clipsearch.Entry{
		Image: clipsearch.Image{
			ID: ID(n), Files: []clipsearch.File{File(n)},
			Format: "jpeg", Width: 100 + n, Height: 80, Bytes: int64(1000 + n), Camera: "Maker Model",
			TakenAt:  time.Date(2020, 1, 1+n%28, 12, 30, 0, 0, time.FixedZone("", 2*3600)),
			Captions: []string{fmt.Sprintf("caption uniquely%d of a dog", n)},
			Tags:     []string{"street", fmt.Sprintf("group%d", n%3)},
		},
		Space:   Space,
		Vectors: []clipsearch.Vector{Vector(n)},
		Thumb:   bytes.Repeat([]byte{byte(n), 0xff}, 6<<10),
	}
}

// ID names the picture n.
func ID(n int) clipsearch.ID { return clipsearch.NewID(fmt.Append(nil, "indextest ", n)) }

// File is where picture n was seen.
func File(n int) clipsearch.File {
	return clipsearch.File{Path: fmt.Sprintf("/holidays/beach%02d/IMG_%04d.jpg", n%5, n), Size: int64(1000 + n), ModTime: time.Unix(1600000000+int64(n), 123456789)}
}

// Vector is a unit vector, which n decides.
func Vector(n int) clipsearch.Vector {
	r := rand.New(rand.NewPCG(uint64(n), 42))
	v := make([]float32, Dim)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	u, err := clipsearch.Unit(v)
	if err != nil {
		panic(err)
	}
	return u
}

// suite is one test and its store.
type suite struct {
	*testing.T
	Store
	ctx context.Context
}

func (s *suite) put(batch ...clipsearch.Entry) {
	s.Helper()
	if err := s.Put(s.ctx, batch); err != nil {
		s.Fatalf("Put of %d: %v", len(batch), err)
	}
}

func (s *suite) clean() {
	s.Helper()
	problems, err := s.Check(s.ctx, false)
	if err != nil || len(problems) > 0 {
		s.Errorf("Check = %+v, %v, want nothing", problems, err)
	}
}

// image returns a picture, whose files are in the order of their paths.
func (s *suite) image(id clipsearch.ID) clipsearch.Image {
	s.Helper()
	m, err := s.Image(s.ctx, id)
	if err != nil {
		s.Fatalf("Image(%v): %v", id, err)
	}
	return m
}

// has reports which of the pictures are known.
func (s *suite) has(numbers ...int) []bool {
	s.Helper()
	var ids []clipsearch.ID
	for _, n := range numbers {
		ids = append(ids, ID(n))
	}
	has, err := s.Has(s.ctx, ids)
	if err != nil {
		s.Fatalf("Has: %v", err)
	}
	return has
}

func (s *suite) wantHas(want []bool, numbers ...int) {
	s.Helper()
	if got := s.has(numbers...); !slices.Equal(got, want) {
		s.Errorf("Has(%v) = %v, want %v", numbers, got, want)
	}
}

func (s *suite) wantCounts(images, files int) {
	s.Helper()
	st, err := s.Stats(s.ctx)
	if err != nil || st.Images != images || st.Files != files || st.TextDocuments != images {
		s.Errorf("Stats = %d images, %d files, %d text documents, %v, want %d, %d, %d", st.Images, st.Files, st.TextDocuments, err, images, files, images)
	}
}

// match returns the pictures that have the words, in the order of their IDs.
func (s *suite) match(words string, f clipsearch.Filter) []clipsearch.ID {
	s.Helper()
	hits, err := s.Match(s.ctx, words, 1000, f)
	if err != nil {
		s.Fatalf("Match(%q): %v", words, err)
	}
	return sortedIDs(hits)
}

func sortedIDs(hits []clipsearch.Hit) []clipsearch.ID {
	var ids []clipsearch.ID
	for _, h := range hits {
		ids = append(ids, h.ID)
	}
	slices.SortFunc(ids, compareIDs)
	return ids
}

func compareIDs(a, b clipsearch.ID) int { return bytes.Compare(a[:], b[:]) }
