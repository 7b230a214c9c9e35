package indextest

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

// otherSpace is one that the store does not answer with.
var otherSpace = clipsearch.SpaceModel{Space: clipsearch.Space{0x0e}, Model: "other", Dim: 3}

// export returns everything, in pages of two.
func (s *suite) export() (all []clipsearch.Record) {
	s.Helper()
	var after clipsearch.ID
	for {
		page, err := s.Export(s.ctx, after, 2)
		if err != nil || len(page) > 2 {
			s.Fatalf("Export = %d records, %v", len(page), err)
		}
		if len(page) == 0 {
			return all
		}
		all, after = append(all, page...), page[len(page)-1].ID
	}
}

func (s *suite) doImport(want clipsearch.Imported, batch ...clipsearch.Record) {
	s.Helper()
	got, err := s.Import(s.ctx, []clipsearch.SpaceModel{otherSpace}, batch)
	if err != nil || got != want {
		s.Errorf("Import = %+v, %v, want %+v", got, err, want)
	}
}

// sundry are pictures of all sorts.
func sundry() []clipsearch.Entry {
	var batch []clipsearch.Entry
	for n := range 7 {
		e := Picture(n)
		switch n {
		case 1:
			e.Files = append(e.Files, clipsearch.File{Path: "/bytes/\xff\x00\xfe.jpg", Size: 5, ModTime: time.Unix(-1e9, 1)})
		case 2:
			e.Vectors = append(e.Vectors, Vector(100), Vector(101))
		case 3:
			e.Captions, e.CaptionVectors = []string{"one <&>\u2028", "\xff two"}, []clipsearch.Vector{Vector(102), Vector(103)}
		case 4:
			e.Captions, e.Tags, e.Camera, e.TakenAt = nil, nil, "", time.Time{}
		case 5:
			e.Files[0].ModTime = time.Time{}
			e.Tags = []string{"\x80"}
		}
		batch = append(batch, e)
	}
	return batch
}

func (s *suite) exports() {
	s.put(sundry()...)
	before := s.export()
	want, ids := map[clipsearch.ID]clipsearch.Record{}, []clipsearch.ID{}
	for _, e := range sundry() {
		want[e.ID] = clipsearch.Record{Image: e.Image, Thumb: e.Thumb, Vectors: []clipsearch.SpaceVectors{{Space: Space, Vectors: e.Vectors, Captions: e.CaptionVectors}}}
		ids = append(ids, e.ID)
	}
	for i, r := range before {
		if diff := cmp.Diff(want[r.ID], r); diff != "" {
			s.Errorf("Export of %s (-want +got):\n%s", r.ID, diff)
		}
		// What another model saw comes and goes like the rest.
		before[i].Vectors = append(r.Vectors, clipsearch.SpaceVectors{Space: otherSpace.Space, Vectors: []clipsearch.Vector{{1, 0, 0}, {0, 0, -1}}})
	}
	s.doImport(clipsearch.Imported{Known: 7}, before...)
	if diff := cmp.Diff(before, s.export()); diff != "" {
		s.Errorf("with another space (-want +got):\n%s", diff)
	}
	if err := s.Delete(s.ctx, ids); err != nil {
		s.Fatal(err)
	}
	if left := s.export(); len(left) > 0 {
		s.Errorf("Export of deleted pictures = %d records", len(left))
	}
	s.doImport(clipsearch.Imported{Stored: 7}, before...)
	s.doImport(clipsearch.Imported{Known: 7}, before...) // once more is no more
	if diff := cmp.Diff(before, s.export()); diff != "" {
		s.Errorf("imported (-want +got):\n%s", diff)
	}
	if got := s.match("uniquely2", nil); len(got) != 1 || got[0] != ID(2) {
		s.Errorf("Match of imported words = %v", got)
	}
	hits, err := s.Nearest(s.ctx, Vector(101), 1, nil)
	if err != nil || len(hits) != 1 || hits[0].ID != ID(2) {
		s.Errorf("Nearest to an imported vector = %v, %v", hits, err)
	}
	texts, err := s.NearestCaptions(s.ctx, Vector(103), 1)
	if err != nil || len(texts) != 1 || texts[0].Text != "\xff two" {
		s.Errorf("NearestCaptions to an imported one = %+v, %v", texts, err)
	}
	s.wantCounts(7, 8)
}

func (s *suite) imports() {
	s.put(sundry()...)
	old := s.export()
	find := func(n int) *clipsearch.Record {
		for i := range old {
			if old[i].ID == ID(n) {
				return &old[i]
			}
		}
		panic(fmt.Sprint("no picture ", n))
	}
	// Meanwhile: a picture lost its path to a new one, another's words changed,
	// a third's came.
	taken := Picture(20)
	taken.Files = Picture(0).Files
	words := clipsearch.Entry{Image: clipsearch.Image{ID: ID(3), Captions: []string{"newer"}, Tags: []string{"new"}}}
	s.put(taken, words)
	s.wantHas([]bool{false, true}, 0, 20)
	find(4).Captions, find(4).Tags, find(4).Camera = []string{"late words"}, []string{"late"}, "Late"
	find(4).Vectors[0].Captions = []clipsearch.Vector{Vector(104)}
	find(6).Files = append(find(6).Files, File(60), taken.Files[0])
	s.doImport(clipsearch.Imported{Known: 6, Skipped: 1}, old...)
	s.wantHas([]bool{false, true}, 0, 20)
	if m := s.image(ID(3)); m.Caption() != "newer" || len(m.Tags) != 1 || m.Tags[0] != "new" {
		s.Errorf("words that the store has were replaced: %q, %q", m.Captions, m.Tags)
	}
	if m := s.image(ID(4)); m.Caption() != "late words" || m.Camera != "Late" || len(m.Tags) != 1 {
		s.Errorf("words that the store had not did not come: %+v", m)
	}
	if got := s.match("late", nil); len(got) != 1 || got[0] != ID(4) {
		s.Errorf("Match of what came = %v", got)
	}
	if m := s.image(ID(6)); len(m.Files) != 2 || !m.HasPath(File(60).Path) {
		s.Errorf("files = %q, want the own one and one more", m.Paths())
	}
	if m := s.image(ID(20)); !m.HasPath(taken.Files[0].Path) {
		s.Errorf("a path that the store knew has moved")
	}
	if hits, err := s.NearestCaptions(s.ctx, Vector(104), 1); err != nil || len(hits) != 1 || hits[0].Text != "late words" {
		s.Errorf("NearestCaptions to what came = %+v, %v", hits, err)
	}
}

func (s *suite) refusesImports() {
	good := clipsearch.Record{Image: Picture(1).Image, Thumb: []byte{1}, Vectors: []clipsearch.SpaceVectors{{Space: Space, Vectors: []clipsearch.Vector{Vector(1)}}}}
	for what, spoil := range map[string]func(*clipsearch.Record){
		"no id":                 func(r *clipsearch.Record) { r.ID = clipsearch.ID{} },
		"a huge thumbnail":      func(r *clipsearch.Record) { r.Thumb = make([]byte, 1<<20+1) },
		"an unknown space":      func(r *clipsearch.Record) { r.Vectors[0].Space = clipsearch.Space{9} },
		"a space twice":         func(r *clipsearch.Record) { r.Vectors = append(r.Vectors, r.Vectors[0]) },
		"too short a vector":    func(r *clipsearch.Record) { r.Vectors[0].Vectors[0] = Vector(1)[1:] },
		"a vector of length 2":  func(r *clipsearch.Record) { r.Vectors[0].Vectors[0] = make(clipsearch.Vector, Dim) },
		"vectors of no caption": func(r *clipsearch.Record) { r.Vectors[0].Captions = []clipsearch.Vector{Vector(1), Vector(2)} },
	} {
		bad := good
		bad.ID = ID(2)
		bad.Vectors = []clipsearch.SpaceVectors{{Space: Space, Vectors: []clipsearch.Vector{Vector(1)}}}
		spoil(&bad)
		if _, err := s.Import(s.ctx, nil, []clipsearch.Record{good, bad}); !errors.Is(err, clipsearch.ErrInvalid) {
			s.Errorf("Import of %s = %v, want ErrInvalid", what, err)
		}
	}
	other := otherSpace
	other.Space, other.Dim = Space, Dim+1
	if _, err := s.Import(s.ctx, []clipsearch.SpaceModel{other}, nil); !errors.Is(err, clipsearch.ErrInvalid) {
		s.Errorf("Import of a space of another dimension = %v, want ErrInvalid", err)
	}
	if _, err := s.Export(s.ctx, clipsearch.ID{}, 0); !errors.Is(err, clipsearch.ErrInvalid) {
		s.Errorf("Export of no pictures = %v, want ErrInvalid", err)
	}
	s.wantHas([]bool{false, false}, 1, 2)
}
