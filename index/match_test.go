package index

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
)

// manyWords puts n pictures, per in a batch, and brings the text index up to date
// after each.
func manyWords(t testing.TB, x *Index, n, per int) {
	t.Helper()
	for part := range slices.Chunk(rand.New(rand.NewPCG(1, 9)).Perm(n), per) {
		var batch []clipsearch.Entry
		for _, i := range part {
			m := benchImage(i)
			m.ID = testID(i)
			batch = append(batch, clipsearch.Entry{Image: m, Space: testSpace, Vectors: []clipsearch.Vector{unit(testDim, uint64(i))}, Thumb: []byte{1}})
		}
		put(t, x, batch...)
		if err := x.text.settle(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func match(t testing.TB, x *Index, words string, k int, f clipsearch.Filter) []clipsearch.Hit {
	t.Helper()
	hits, err := x.Match(context.Background(), words, k, f)
	if err != nil {
		t.Fatal(err)
	}
	return hits
}

// TestMatchFiltered compares the best of what a filter leaves with all that match,
// filtered, before and after the columns are loaded.
func TestMatchFiltered(t *testing.T) {
	x := newIndex(t)
	const n = manyRecords + 1000
	manyWords(t, x, n, 500)
	taken := clipsearch.Predicate{Field: "taken", Op: "<", Time: time.Unix(1000000000+30*3600, 0)}
	for _, f := range []clipsearch.Filter{
		{{Field: "type", Op: "has", Text: "jpeg"}},
		{taken},
		{taken, {Field: "caption", Op: "has", Text: "dog"}},
		{{Field: "width", Op: ">", Number: 1e6}},
		{taken}, // columns are loaded by now
		{{Field: "type", Op: "has", Text: "jpeg", Not: true}},
		{{Field: "caption", Op: "has", Text: "in number 77"}},
	} {
		for _, words := range []string{"dog", "sunny day", "woman dog number77", "IMG", "nowhere"} {
			var want []clipsearch.Hit
			for _, h := range match(t, x, words, n, nil) {
				if m, err := x.Image(context.Background(), h.ID); err != nil || f.Admits(m) {
					want = append(want, h)
				}
			}
			for _, k := range []int{1, 10, 1000, n} {
				if got := match(t, x, words, k, f); !slices.Equal(got, want[:min(k, len(want))]) {
					t.Fatalf("Match(%q, %d, %+v) = %d hits, want %d of %d", words, k, f, len(got), min(k, len(want)), len(want))
				}
			}
		}
	}
	if x.mem.columns == nil {
		t.Error("the columns were not loaded")
	}
	mustBeClean(t, x)
}

// TestMatchScores compares the scores of the same pictures in text indexes that
// came about otherwise: in many segments or few, with documents deleted and not.
func TestMatchScores(t *testing.T) {
	one, many := newIndex(t), newIndex(t)
	manyWords(t, one, 24, 24)
	manyWords(t, many, 40, 1)
	manyWords(t, many, 24, 5) // once more
	var gone []clipsearch.ID
	for i := 24; i < 40; i++ {
		gone = append(gone, testID(i))
	}
	if err := many.Delete(context.Background(), gone); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"dog", "woman on a sunny day", "IMG album 17", "mountain red car market"} {
		want, got := match(t, one, words, 1000, nil), match(t, many, words, 1000, nil)
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("Match(%q) = %d hits, want %d: first %v, want %v", words, len(got), len(want), got[:min(3, len(got))], want[:min(3, len(want))])
		}
	}
	mustBeClean(t, many)
}

// TestMatchWhileDeleting asks with a filter while pictures go and others come:
// no hit is of a picture that the filter does not admit.
func TestMatchWhileDeleting(t *testing.T) {
	x := newIndex(t)
	manyWords(t, x, 300, 100)
	dogs := clipsearch.Filter{{Field: "caption", Op: "has", Text: "a dog"}}
	match(t, x, "day", 10, dogs)
	if err := x.load(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		for i := range 100 {
			if err := x.Delete(context.Background(), []clipsearch.ID{testID(i)}); err != nil {
				done <- err
				return
			}
			m := benchImage(11) // no dog
			m.ID = testID(1000 + i)
			if err := x.Put(context.Background(), []clipsearch.Entry{{Image: m, Space: testSpace, Vectors: []clipsearch.Vector{unit(testDim, uint64(i))}, Thumb: []byte{1}}}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		for _, h := range match(t, x, "day", 300, dogs) {
			for i := 1000; i < 1100; i++ {
				if h.ID == testID(i) {
					t.Errorf("Match finds %s, which is no dog", h.ID)
				}
			}
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			mustBeClean(t, x)
			return
		default:
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	const n = 20_000
	x := open(b, filepath.Join(b.TempDir(), "index"))
	manyWords(b, x, n, 2000)
	rare := clipsearch.Filter{{Field: "taken", Op: "<", Time: time.Unix(1000000000+n/100*3600, 0)}}
	half := clipsearch.Filter{{Field: "taken", Op: "<", Time: time.Unix(1000000000+n/2*3600, 0)}}
	for _, f := range []struct {
		name   string
		filter clipsearch.Filter
	}{{"all", nil}, {"half", half}, {"1%", rare}} {
		for _, words := range []string{"number77", "dog", "sunny day"} {
			for _, k := range []int{20, 1000} {
				b.Run(fmt.Sprintf("%s/%s/%d", f.name, words, k), func(b *testing.B) {
					for b.Loop() {
						match(b, x, words, k, f.filter)
					}
				})
			}
		}
	}
}

// TestCheckWords has Bleve know other words than the store: Check tells, and repair
// puts it right. Texts of any kind are no cause for alarm.
func TestCheckWords(t *testing.T) {
	for _, language := range Languages() {
		o := testOptions()
		o.Language = language
		x, err := Open(filepath.Join(t.TempDir(), "index"), o)
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		r := rand.New(rand.NewPCG(7, 7))
		var batch []clipsearch.Entry
		for i := range 60 {
			e := testEntry(i)
			e.Captions, e.Tags, e.CaptionVectors = several(r, 4, someWords...), several(r, 4, someWords...), nil
			e.Captions = append(e.Captions, "x' ’s l'été d'où ـكِتَاب کتاب\u200cها हिन्दी ǅ ﬁ 東京 ｱｲｳ ²³½ \x00 \u200b \u0301"+string(rune(r.IntN(0x2ffff))))
			e.Files = append(e.Files, clipsearch.File{Path: pick(r, somePaths...) + fmt.Sprint(i)})
			batch = append(batch, e)
		}
		put(t, x, batch...)
		mustBeClean(t, x)
		if language != "en" {
			continue
		}
		id, other := testID(3), testID(4)
		if err := x.text.words.write(map[clipsearch.ID]document{id: {Caption: []string{"stale"}}}, []clipsearch.ID{other}); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{id.String(): "text document has other words than the picture", other.String(): "text document is missing"}
		got := map[string]string{}
		problems, err := x.Check(context.Background(), true)
		for _, p := range problems {
			got[p.ID] = p.What
		}
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("Check = %v, %v, want %v", got, err, want)
		}
		mustBeClean(t, x)
	}
}

// TestCaptionsLoadOnce: who finds the captions loaded by another does not load them
// again, in the place of those that searches and writers know.
func TestCaptionsLoadOnce(t *testing.T) {
	x := newIndex(t)
	put(t, x, testEntry(1))
	if err := x.loadCaptions(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := x.mem.captions
	if err := x.loadCaptions(t.Context()); err != nil || x.mem.captions != first {
		t.Errorf("they were loaded twice: %v", err)
	}
}
