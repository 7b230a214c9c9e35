package indextest

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

func (s *suite) roundTrip() {
	s.put(Picture(1), Picture(2))
	want := Picture(1)
	if diff := cmp.Diff(want.Image, s.image(ID(1))); diff != "" {
		s.Errorf("Image (-want +got):\n%s", diff)
	}
	if v, err := s.Vector(s.ctx, ID(1)); err != nil || !slices.Equal(v, want.Vectors[0]) {
		s.Errorf("Vector = %v, %v, want %v", v, err, want.Vectors[0])
	}
	if b, err := s.Thumb(s.ctx, ID(1)); err != nil || !bytes.Equal(b, want.Thumb) {
		s.Errorf("Thumb = %d bytes, %v", len(b), err)
	}
	later := File(1)
	later.ModTime = later.ModTime.Add(time.Nanosecond)
	larger := File(2)
	larger.Size++
	ids, err := s.Seen(s.ctx, []clipsearch.File{File(1), later, larger, File(2), File(3)})
	if want := []clipsearch.ID{ID(1), {}, {}, ID(2), {}}; err != nil || !slices.Equal(ids, want) {
		s.Errorf("Seen = %v, %v, want %v", ids, err, want)
	}
	s.wantHas([]bool{true, true, false}, 1, 2, 3)
	s.wantCounts(2, 2)
	files, err := s.Files(s.ctx)
	slices.SortFunc(files, func(a, b clipsearch.File) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
	if diff := cmp.Diff([]clipsearch.File{File(1), File(2)}, files); err != nil || diff != "" {
		s.Errorf("Files: %v (-want +got):\n%s", err, diff)
	}
}

func (s *suite) empty() {
	if hits, err := s.Nearest(s.ctx, Vector(1), 5, nil); err != nil || len(hits) != 0 {
		s.Errorf("Nearest = %v, %v", hits, err)
	}
	if hits, err := s.Match(s.ctx, "dog", 5, nil); err != nil || len(hits) != 0 {
		s.Errorf("Match = %v, %v", hits, err)
	}
	if hits, err := s.NearestCaptions(s.ctx, Vector(1), 5); err != nil || len(hits) != 0 {
		s.Errorf("NearestCaptions = %v, %v", hits, err)
	}
	if _, err := s.Image(s.ctx, ID(1)); !errors.Is(err, clipsearch.ErrNotFound) {
		s.Errorf("Image = %v, want ErrNotFound", err)
	}
	if _, err := s.Vector(s.ctx, ID(1)); !errors.Is(err, clipsearch.ErrNotFound) {
		s.Errorf("Vector = %v, want ErrNotFound", err)
	}
	if _, err := s.Thumb(s.ctx, ID(1)); !errors.Is(err, clipsearch.ErrNotFound) {
		s.Errorf("Thumb = %v, want ErrNotFound", err)
	}
	if n, err := s.Forget(s.ctx, []string{"/nowhere"}); n != 0 || err != nil {
		s.Errorf("Forget = %d, %v", n, err)
	}
	if err := s.Delete(s.ctx, []clipsearch.ID{ID(1)}); err != nil {
		s.Errorf("Delete = %v", err)
	}
	s.put() // nothing
	s.wantCounts(0, 0)
}

func (s *suite) refuses() {
	bad := map[string]func(*clipsearch.Entry){
		"no vector":                 func(e *clipsearch.Entry) { e.Vectors = nil },
		"no thumbnail":              func(e *clipsearch.Entry) { e.Thumb = nil },
		"no id":                     func(e *clipsearch.Entry) { e.ID = clipsearch.ID{} },
		"another space":             func(e *clipsearch.Entry) { e.Space = clipsearch.Space{7} },
		"another dimension":         func(e *clipsearch.Entry) { e.Vectors[0] = e.Vectors[0][:Dim-1] },
		"a zero vector":             func(e *clipsearch.Entry) { e.Vectors[0] = make(clipsearch.Vector, Dim) },
		"a NaN":                     func(e *clipsearch.Entry) { e.Vectors[0][3] = float32(math.NaN()) },
		"an infinity":               func(e *clipsearch.Entry) { e.Vectors[0][3] = float32(math.Inf(1)) },
		"length two":                func(e *clipsearch.Entry) { e.Vectors[0][3] += 1 },
		"a bad frame":               func(e *clipsearch.Entry) { e.Vectors = append(e.Vectors, nil) },
		"fewer caption vectors":     func(e *clipsearch.Entry) { e.CaptionVectors = []clipsearch.Vector{} },
		"a caption vector of zeros": func(e *clipsearch.Entry) { e.CaptionVectors = []clipsearch.Vector{make(clipsearch.Vector, Dim)} },
	}
	for name, spoil := range bad {
		e := Picture(2)
		spoil(&e)
		if err := s.Put(s.ctx, []clipsearch.Entry{Picture(1), e, Picture(3)}); !errors.Is(err, clipsearch.ErrInvalid) {
			s.Errorf("Put with %s = %v, want ErrInvalid", name, err)
		}
	}
	s.wantHas([]bool{false, false, false}, 1, 2, 3)
	s.wantCounts(0, 0)
}

func (s *suite) merges() {
	s.put(Picture(1))
	more := clipsearch.Entry{Image: clipsearch.Image{ID: ID(1), Files: []clipsearch.File{File(7), File(8)}}}
	s.put(more)
	newer := File(1)
	newer.ModTime = newer.ModTime.Add(time.Hour)
	s.put(clipsearch.Entry{Image: clipsearch.Image{ID: ID(1), Files: []clipsearch.File{newer}}})
	want := Picture(1).Image
	want.Files = []clipsearch.File{newer, File(7), File(8)}
	if diff := cmp.Diff(want, s.image(ID(1))); diff != "" {
		s.Errorf("Image (-want +got):\n%s", diff)
	}
	other := Picture(1)
	other.Vectors, other.Thumb = []clipsearch.Vector{Vector(99)}, []byte("another")
	s.put(other)
	if v, err := s.Vector(s.ctx, ID(1)); err != nil || !slices.Equal(v, Vector(1)) {
		s.Errorf("Vector = %v, %v: a known picture keeps its own", v, err)
	}
	if b, err := s.Thumb(s.ctx, ID(1)); err != nil || !bytes.Equal(b, Picture(1).Thumb) {
		s.Errorf("Thumb = %d bytes, %v: a known picture keeps its own", len(b), err)
	}
	s.wantCounts(1, 3)
}

func (s *suite) describes() {
	e := Picture(1)
	e.Captions, e.CaptionVectors = []string{"first words", "second words"}, []clipsearch.Vector{Vector(11), Vector(12)}
	s.put(e, Picture(2))
	if hits, err := s.NearestCaptions(s.ctx, Vector(12), 5); err != nil || len(hits) != 2 || hits[0].Text != "second words" {
		s.Errorf("NearestCaptions = %v, %v, want second words first of 2", hits, err)
	}
	// Tags alone.
	s.put(clipsearch.Entry{Image: clipsearch.Image{ID: ID(1), Tags: []string{"newtag"}}})
	if m := s.image(ID(1)); !slices.Equal(m.Captions, e.Captions) || !slices.Equal(m.Tags, []string{"newtag"}) {
		s.Errorf("captions %q, tags %q, want the captions as they were and one tag", m.Captions, m.Tags)
	}
	if got := s.match("newtag", nil); !slices.Equal(got, []clipsearch.ID{ID(1)}) {
		s.Errorf("Match = %v", got)
	}
	if hits, err := s.NearestCaptions(s.ctx, Vector(12), 5); err != nil || len(hits) != 2 {
		s.Errorf("NearestCaptions = %v, %v, want both still", hits, err)
	}
	// Captions without vectors: the old vectors are of other words.
	s.put(clipsearch.Entry{Image: clipsearch.Image{ID: ID(1), Captions: []string{"zebra"}}})
	if hits, err := s.NearestCaptions(s.ctx, Vector(12), 5); err != nil || len(hits) != 0 {
		s.Errorf("NearestCaptions = %v, %v, want none", hits, err)
	}
	if got := s.match("second", nil); len(got) != 0 {
		s.Errorf("Match of words that were replaced = %v", got)
	}
	if got := s.match("zebras", nil); !slices.Equal(got, []clipsearch.ID{ID(1)}) {
		s.Errorf("Match = %v", got)
	}
	// And none at all.
	s.put(clipsearch.Entry{Image: clipsearch.Image{ID: ID(1), Captions: []string{}, Tags: []string{}}})
	if m := s.image(ID(1)); len(m.Captions)+len(m.Tags) != 0 {
		s.Errorf("captions %q, tags %q, want none", m.Captions, m.Tags)
	}
}

func (s *suite) twice() {
	a, b := Picture(1), Picture(1)
	b.Files, b.Tags = []clipsearch.File{File(9)}, []string{"later"}
	s.put(a, b)
	m := s.image(ID(1))
	if !slices.Equal(m.Paths(), []string{File(1).Path, File(9).Path}) || !slices.Equal(m.Tags, []string{"later"}) {
		s.Errorf("files %v, tags %v", m.Paths(), m.Tags)
	}
	s.wantCounts(1, 2)
	if hits, err := s.Nearest(s.ctx, Vector(1), 5, nil); err != nil || len(hits) != 1 {
		s.Errorf("Nearest = %v, %v, want one", hits, err)
	}
}

func (s *suite) moves() {
	two := Picture(1)
	two.Files = append(two.Files, File(50))
	s.put(two, Picture(2))
	at1 := Picture(3) // the file that picture 1 was seen in has new content
	at1.Files = []clipsearch.File{File(1)}
	at2 := Picture(4) // and the only one of picture 2
	at2.Files = []clipsearch.File{File(2)}
	s.put(at1, at2)
	s.wantHas([]bool{true, false, true, true}, 1, 2, 3, 4)
	if m := s.image(ID(1)); !slices.Equal(m.Paths(), []string{File(50).Path}) {
		s.Errorf("picture 1 is at %v", m.Paths())
	}
	if hits, err := s.Nearest(s.ctx, Vector(2), 10, nil); err != nil || len(hits) != 3 {
		s.Errorf("Nearest = %v, %v, want 3", hits, err)
	}
	if got := s.match("uniquely2", nil); len(got) != 0 {
		s.Errorf("Match finds a picture that is gone: %v", got)
	}
	s.wantCounts(3, 3)
}

// swaps lets two pictures change places: neither may be lost on the way.
func (s *suite) swaps() {
	s.put(Picture(1), Picture(2))
	s.put(
		clipsearch.Entry{Image: clipsearch.Image{ID: ID(1), Files: []clipsearch.File{File(2)}}},
		clipsearch.Entry{Image: clipsearch.Image{ID: ID(2), Files: []clipsearch.File{File(1)}}},
	)
	for n, at := range map[int]int{1: 2, 2: 1} {
		if m := s.image(ID(n)); !slices.Equal(m.Paths(), []string{File(at).Path}) {
			s.Errorf("picture %d is at %v, want %s", n, m.Paths(), File(at).Path)
		}
	}
	ids, err := s.Seen(s.ctx, []clipsearch.File{File(1), File(2)})
	if err != nil || !slices.Equal(ids, []clipsearch.ID{ID(2), ID(1)}) {
		s.Errorf("Seen = %v, %v", ids, err)
	}
	s.wantCounts(2, 2)
}

func (s *suite) forgets() {
	two := Picture(1)
	two.Files = append(two.Files, File(50))
	s.put(two, Picture(2), Picture(3))
	n, err := s.Forget(s.ctx, []string{File(1).Path, File(2).Path, "/nowhere"})
	if n != 1 || err != nil {
		s.Errorf("Forget = %d, %v, want 1", n, err)
	}
	s.wantHas([]bool{true, false, true}, 1, 2, 3)
	s.wantCounts(2, 2)
	if n, err := s.Forget(s.ctx, []string{File(50).Path, File(50).Path}); n != 1 || err != nil {
		s.Errorf("Forget of one path twice = %d, %v, want 1", n, err)
	}
	s.put(Picture(1)) // and it may come again
	s.wantHas([]bool{true}, 1)
}

func (s *suite) deletes() {
	e := Picture(1)
	e.CaptionVectors = []clipsearch.Vector{Vector(30)}
	e.Vectors = append(e.Vectors, Vector(31))
	s.put(e, Picture(2))
	if err := s.Delete(s.ctx, []clipsearch.ID{ID(1), ID(1), ID(9)}); err != nil {
		s.Fatal(err)
	}
	s.wantHas([]bool{false, true}, 1, 2)
	if _, err := s.Thumb(s.ctx, ID(1)); !errors.Is(err, clipsearch.ErrNotFound) {
		s.Errorf("Thumb = %v, want ErrNotFound", err)
	}
	ids, err := s.Seen(s.ctx, []clipsearch.File{File(1)})
	if err != nil || ids[0] != (clipsearch.ID{}) {
		s.Errorf("Seen = %v, %v", ids, err)
	}
	if hits, err := s.Nearest(s.ctx, Vector(31), 5, nil); err != nil || len(hits) != 1 {
		s.Errorf("Nearest = %v, %v, want picture 2 alone", hits, err)
	}
	if hits, err := s.NearestCaptions(s.ctx, Vector(30), 5); err != nil || len(hits) != 0 {
		s.Errorf("NearestCaptions = %v, %v, want none", hits, err)
	}
	if got := s.match("uniquely1 dog", nil); !slices.Equal(got, []clipsearch.ID{ID(2)}) {
		s.Errorf("Match = %v", got)
	}
	s.wantCounts(1, 1)
}

func (s *suite) bytePaths() {
	e := Picture(1)
	strange := []string{"/na\xffme/\xc3\x28.jpg", "/new\nline.jpg", "/\xe2\x98.png", "/ünï/cödé.jpg"}
	e.Files = nil
	for _, p := range strange {
		e.Files = append(e.Files, clipsearch.File{Path: p, Size: 3, ModTime: time.Unix(-5, 7)})
	}
	e.Captions, e.Tags, e.Camera = []string{"caf\xe9"}, []string{"\xff"}, "\xfe"
	s.put(e)
	if diff := cmp.Diff(e.Image, s.image(ID(1))); diff != "" {
		s.Errorf("Image (-want +got):\n%s", diff)
	}
	ids, err := s.Seen(s.ctx, e.Files)
	if err != nil || slices.Contains(ids, clipsearch.ID{}) {
		s.Errorf("Seen = %v, %v", ids, err)
	}
	if n, err := s.Forget(s.ctx, strange); n != 1 || err != nil {
		s.Errorf("Forget = %d, %v, want 1", n, err)
	}
	s.wantCounts(0, 0)
}

func (s *suite) aliases() {
	e := Picture(1)
	s.put(e)
	if _, err := s.Nearest(s.ctx, Vector(1), 1, nil); err != nil { // vectors are in memory now
		s.Fatal(err)
	}
	f := Picture(2)
	s.put(f)
	f.Vectors[0][0], f.Thumb[0], f.Captions[0] = 9, 'x', "changed"
	got := s.image(ID(2))
	got.Files[0].Path, got.Tags[0] = "changed", "changed"
	if hits, err := s.Nearest(s.ctx, Vector(2), 1, nil); err != nil || hits[0].ID != ID(2) || hits[0].Score > 1.001 {
		s.Errorf("Nearest = %v, %v", hits, err)
	}
	if diff := cmp.Diff(Picture(2).Image, s.image(ID(2))); diff != "" {
		s.Errorf("Image (-want +got):\n%s", diff)
	}
}

func (s *suite) cancelled() {
	s.put(Picture(1))
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := s.Put(ctx, []clipsearch.Entry{Picture(2)}); !errors.Is(err, context.Canceled) {
		s.Errorf("Put = %v, want context.Canceled", err)
	}
	if _, err := s.Has(ctx, []clipsearch.ID{ID(1)}); !errors.Is(err, context.Canceled) {
		s.Errorf("Has = %v, want context.Canceled", err)
	}
	s.wantHas([]bool{true, false}, 1, 2)
}

// concurrent writes, reads and searches at once; the race detector watches.
func (s *suite) concurrent() {
	const writers, each = 3, 40
	var wg sync.WaitGroup
	done := make(chan struct{})
	fail := func(err error) {
		if err != nil {
			s.Error(err)
		}
	}
	for range 2 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				_, err := s.Nearest(s.ctx, Vector(n), 5, clipsearch.Filter{{Field: "tag", Op: "has", Text: "group1"}})
				fail(err)
				_, err = s.Match(s.ctx, "dog", 5, nil)
				fail(err)
				_, err = s.NearestCaptions(s.ctx, Vector(n), 5)
				fail(err)
				_, err = s.Stats(s.ctx)
				fail(err)
			}
		})
	}
	var putting sync.WaitGroup
	for w := range writers {
		putting.Go(func() {
			for n := w * each; n < (w+1)*each; n += 4 {
				fail(s.Put(s.ctx, []clipsearch.Entry{Picture(n), Picture(n + 1), Picture(n + 2), Picture(n + 3)}))
				fail(s.Delete(s.ctx, []clipsearch.ID{ID(n)}))
				_, err := s.Forget(s.ctx, []string{File(n + 1).Path})
				fail(err)
			}
		})
	}
	putting.Wait()
	close(done)
	wg.Wait()
	s.wantCounts(writers*each/2, writers*each/2)
	hits, err := s.Nearest(s.ctx, Vector(0), 1000, nil)
	if err != nil || len(hits) != writers*each/2 {
		s.Errorf("Nearest = %d hits, %v, want %d", len(hits), err, writers*each/2)
	}
}
