package indextest

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

func (s *suite) nearest() {
	const n = 120
	var batch []clipsearch.Entry
	for i := range n {
		e := Picture(i)
		if i%10 == 9 { // the same vector as the one before: the ID decides
			e.Vectors = []clipsearch.Vector{Vector(i - 1)}
		}
		batch = append(batch, e)
	}
	s.put(batch...)
	for _, k := range []int{1, 7, n, 10 * n} {
		q := Vector(8)
		want := make([]clipsearch.Hit, 0, n)
		for _, e := range batch {
			want = append(want, clipsearch.Hit{ID: e.ID, Score: q.Dot(e.Vectors[0])})
		}
		slices.SortFunc(want, func(a, b clipsearch.Hit) int {
			if d := math.Abs(float64(a.Score - b.Score)); d > 1e-6 {
				return cmp.Compare(b.Score, a.Score)
			}
			return compareIDs(a.ID, b.ID)
		})
		want = want[:min(k, n)]
		got, err := s.Nearest(s.ctx, q, k, nil)
		near := gocmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-5 })
		if diff := gocmp.Diff(want, got, near); err != nil || diff != "" {
			s.Errorf("Nearest of %d: %v (-want +got):\n%s", k, err, diff)
		}
	}
	nan := Vector(1)
	nan[0] = float32(math.NaN())
	for what, bad := range map[string]struct {
		v clipsearch.Vector
		k int
	}{
		"k 0": {Vector(1), 0}, "k -1": {Vector(1), -1}, "no vector": {nil, 1}, "a short vector": {Vector(1)[1:], 1},
		"a NaN": {nan, 1}, "zeros": {make(clipsearch.Vector, Dim), 1},
	} {
		if hits, err := s.Nearest(s.ctx, bad.v, bad.k, nil); !errors.Is(err, clipsearch.ErrInvalid) {
			s.Errorf("Nearest with %s = %v, %v, want ErrInvalid", what, hits, err)
		}
		if hits, err := s.NearestCaptions(s.ctx, bad.v, bad.k); !errors.Is(err, clipsearch.ErrInvalid) {
			s.Errorf("NearestCaptions with %s = %v, %v, want ErrInvalid", what, hits, err)
		}
	}
}

func (s *suite) frames() {
	film := Picture(1)
	film.Vectors = []clipsearch.Vector{Vector(1), Vector(21), Vector(22)}
	s.put(film, Picture(2), Picture(3))
	for _, n := range []int{1, 21, 22} {
		hits, err := s.Nearest(s.ctx, Vector(n), 10, nil)
		if err != nil || len(hits) != 3 || hits[0].ID != ID(1) || hits[0].Score < 0.999 {
			s.Errorf("Nearest(%d) = %v, %v, want picture 1 first and once", n, hits, err)
		}
	}
	if v, err := s.Vector(s.ctx, ID(1)); err != nil || !slices.Equal(v, Vector(1)) {
		s.Errorf("Vector = %v, %v, want the whole picture's", v, err)
	}
	if err := s.Delete(s.ctx, []clipsearch.ID{ID(1)}); err != nil {
		s.Fatal(err)
	}
	if hits, err := s.Nearest(s.ctx, Vector(21), 10, nil); err != nil || len(hits) != 2 {
		s.Errorf("Nearest = %v, %v, want the two others", hits, err)
	}
}

func (s *suite) filters() {
	const n = 30
	var batch []clipsearch.Entry
	for i := range n {
		batch = append(batch, Picture(i))
	}
	s.put(batch...)
	tests := []clipsearch.Filter{
		nil,
		{{Field: "tag", Op: "has", Text: "GROUP1"}},
		{{Field: "tag", Op: "has", Text: "group1", Not: true}},
		{{Field: "width", Op: ">=", Number: 115}, {Field: "path", Op: "has", Text: "beach03"}},
		{{Field: "taken", Op: "<", Time: time.Date(2020, 1, 10, 0, 0, 0, 0, time.UTC)}},
		{{Field: "caption", Op: "has", Text: "uniquely7 "}},
		{{Field: "name", Op: "has", Text: "0012"}},
		{{Field: "type", Op: "has", Text: "png"}},
		{{Field: "nonsense", Op: "has", Text: "x"}},
	}
	for _, f := range tests {
		var want []clipsearch.ID
		for _, e := range batch {
			if f.Admits(e.Image) {
				want = append(want, e.ID)
			}
		}
		slices.SortFunc(want, compareIDs)
		hits, err := s.Nearest(s.ctx, Vector(3), 1000, f)
		if got := sortedIDs(hits); err != nil || !slices.Equal(got, want) {
			s.Errorf("Nearest with %+v = %d, %v, want %d", f, len(got), err, len(want))
		}
		if got := s.match("dog", f); !slices.Equal(got, want) {
			s.Errorf("Match with %+v = %d, want %d", f, len(got), len(want))
		}
		if len(want) > 2 { // fewer asked for than there are
			if hits, err := s.Match(s.ctx, "dog", 2, f); err != nil || len(hits) != 2 {
				s.Errorf("Match of 2 with %+v = %d, %v", f, len(hits), err)
			}
		}
	}
	// A filter sees what was put since the first one.
	s.put(clipsearch.Entry{Image: clipsearch.Image{ID: ID(4), Tags: []string{"fresh"}}}, Picture(n))
	fresh := clipsearch.Filter{{Field: "tag", Op: "has", Text: "fresh"}}
	if hits, err := s.Nearest(s.ctx, Vector(1), 1000, fresh); err != nil || !slices.Equal(sortedIDs(hits), []clipsearch.ID{ID(4)}) {
		s.Errorf("Nearest = %v, %v, want picture 4", hits, err)
	}
}

func (s *suite) words() {
	e := Picture(1)
	e.Files = []clipsearch.File{{Path: "/home/me/SummerParty2019/IMG_2034-redCar.jpg"}}
	e.Captions, e.Tags = []string{"Two children are running in the rain"}, []string{"Montréal"}
	s.put(e, Picture(2))
	found := map[string]bool{
		"child": false, "children": true, "RUN": true, "rains": true, "red": true, "car": true, "2034": true, "redCar": true,
		"IMG_2034": true, "summer": true, "party 2019": true, "montréal": true, "home": true,
		"the": false, "": false, "   ": false, "elephant": false, "elephant rain": true, "jpg": false,
		`+rain -car "x`: true, "name:elephant": false, "caption:rain": true, "*": false, "r*": false, "/rai.*/": false, "(rain": true, "rain~2^3": true,
		"\xff rain": true, "\x00": false, `\`: false,
	}
	for words, want := range found {
		if got := slices.Contains(s.match(words, nil), ID(1)); got != want {
			s.Errorf("Match(%q) finds it: %v, want %v", words, got, want)
		}
	}
	if hits, err := s.Match(s.ctx, "dog", 0, nil); !errors.Is(err, clipsearch.ErrInvalid) {
		s.Errorf("Match of 0 = %v, %v, want ErrInvalid", hits, err)
	}
	best, err := s.Match(s.ctx, "caption of dog uniquely2", 5, nil)
	if err != nil || len(best) == 0 || best[0].ID != ID(2) || best[0].Score <= 0 {
		s.Errorf("Match = %v, %v, want picture 2 first, with a score", best, err)
	}
}

func (s *suite) captions() {
	var batch []clipsearch.Entry
	for i := range 6 {
		e := Picture(i)
		e.Captions = []string{fmt.Sprintf("own %d", i), "shared"}
		e.CaptionVectors = []clipsearch.Vector{Vector(100 + i), Vector(200)}
		batch = append(batch, e)
	}
	s.put(batch[:3]...)
	check := func(want int) {
		s.Helper()
		hits, err := s.NearestCaptions(s.ctx, Vector(200), 100)
		if err != nil || len(hits) != want {
			s.Errorf("NearestCaptions = %v, %v, want %d", hits, err, want)
			return
		}
		if hits[0].Text != "shared" || hits[0].Score < 0.999 || !slices.IsSortedFunc(hits, func(a, b clipsearch.TextHit) int { return cmp.Compare(b.Score, a.Score) }) {
			s.Errorf("NearestCaptions = %v, want shared first and the rest in order", hits)
		}
	}
	check(4)
	s.put(batch[3:]...)
	check(7)
	if err := s.Delete(s.ctx, []clipsearch.ID{ID(0), ID(1), ID(2), ID(3), ID(4)}); err != nil {
		s.Fatal(err)
	}
	check(2)
	st, err := s.Stats(s.ctx)
	if err != nil || st.Captions != 2 {
		s.Errorf("Stats = %d captions, %v, want 2", st.Captions, err)
	}
}
