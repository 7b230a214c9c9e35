package query_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/query"
)

// The space of these tests has a direction for each thing that pictures show.
var things = []string{"dog", "beach", "people", "snow", "photo"}

// shows returns the vector of a picture or a text: the sum of what it mentions.
func shows(text string) clipsearch.Vector {
	v := make([]float32, len(things)+1)
	v[len(things)] = .01
	for _, w := range strings.Fields(text) {
		if i := slices.Index(things, w); i >= 0 {
			v[i]++
		}
	}
	u, err := clipsearch.Unit(v)
	if err != nil {
		panic(err)
	}
	return u
}

type encoder struct{ texts []string }

func (e *encoder) EncodeTexts(_ context.Context, texts []string) (out []clipsearch.Vector, err error) {
	e.texts = append(e.texts, texts...)
	for _, t := range texts {
		out = append(out, shows(t))
	}
	return out, nil
}

// fakeIndex holds pictures in memory; Match counts shared words.
type fakeIndex struct {
	images  []clipsearch.Image
	vectors map[clipsearch.ID]clipsearch.Vector
	gone    map[clipsearch.ID]bool // found, but deleted before it is loaded
	loads   int
}

func (x *fakeIndex) add(shown string, m clipsearch.Image) {
	m.ID = clipsearch.NewID([]byte(fmt.Sprint(len(x.images))))
	if x.vectors == nil {
		x.vectors = map[clipsearch.ID]clipsearch.Vector{}
	}
	x.images, x.vectors[m.ID] = append(x.images, m), shows(shown)
}

func (x *fakeIndex) find(k int, f clipsearch.Filter, score func(clipsearch.Image) float32) ([]clipsearch.Hit, error) {
	var hits []clipsearch.Hit
	for _, m := range x.images {
		if s := score(m); f.Admits(m) && s > -2 {
			hits = append(hits, clipsearch.Hit{ID: m.ID, Score: s})
		}
	}
	slices.SortStableFunc(hits, func(a, b clipsearch.Hit) int { return cmp.Compare(b.Score, a.Score) })
	return hits[:min(k, len(hits))], nil
}

func (x *fakeIndex) Nearest(_ context.Context, v clipsearch.Vector, k int, f clipsearch.Filter) ([]clipsearch.Hit, error) {
	return x.find(k, f, func(m clipsearch.Image) float32 { return x.vectors[m.ID].Dot(v) })
}

func (x *fakeIndex) Match(_ context.Context, words string, k int, f clipsearch.Filter) ([]clipsearch.Hit, error) {
	return x.find(k, f, func(m clipsearch.Image) float32 {
		text, n := strings.ToLower(strings.Join(slices.Concat(m.Captions, m.Paths(), m.Tags), " ")), -2
		for _, w := range strings.Fields(strings.ToLower(words)) {
			if strings.Contains(text, w) {
				n = max(n, 0) + 1
			}
		}
		return float32(n)
	})
}

func (x *fakeIndex) Image(_ context.Context, id clipsearch.ID) (clipsearch.Image, error) {
	x.loads++
	for _, m := range x.images {
		if m.ID == id && !x.gone[id] {
			return m, nil
		}
	}
	return clipsearch.Image{}, clipsearch.ErrNotFound
}

func (x *fakeIndex) Vector(_ context.Context, id clipsearch.ID) (clipsearch.Vector, error) {
	if v, ok := x.vectors[id]; ok {
		return v, nil
	}
	return nil, clipsearch.ErrNotFound
}

func at(path string) []clipsearch.File { return []clipsearch.File{{Path: path}} }

// album is a small library: some pictures have captions, most do not.
func album() *fakeIndex {
	x := &fakeIndex{}
	x.add("dog beach", clipsearch.Image{Files: at("/p/1.jpg"), Format: "jpeg", TakenAt: day(2024, 5, 1)})
	x.add("dog", clipsearch.Image{Files: at("/p/2.jpg"), Format: "jpeg", TakenAt: day(2024, 6, 1), Captions: []string{"Two Dogs at play"}})
	x.add("beach people", clipsearch.Image{Files: at("/p/IMG_1234.png"), Format: "png"})
	x.add("beach", clipsearch.Image{Files: at("/p/4.jpg"), Format: "jpeg", TakenAt: day(2023, 1, 1), Tags: []string{"no parking"}})
	x.add("snow", clipsearch.Image{Files: at("/p/IMG_12345.jpg"), Format: "jpeg", Captions: []string{"people catching snow"}})
	x.add("snow people", clipsearch.Image{Files: at("/p/snow dog.jpg"), Format: "jpeg"})
	return x
}

func search(t *testing.T, e *query.Engine, words string, change ...func(*query.Query)) query.Answer {
	t.Helper()
	q, _, err := query.Parse(words, query.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(&q)
	}
	a, err := e.Search(context.Background(), q)
	if err != nil {
		t.Fatalf("Search(%q): %v", words, err)
	}
	return a
}

func namesOf(a query.Answer) (names []string) {
	for _, r := range a.Results {
		names = append(names, filepath.Base(r.Path()))
	}
	return names
}

func mode(m string) func(*query.Query) { return func(q *query.Query) { q.Mode = m } }
func first(n int) func(*query.Query)   { return func(q *query.Query) { q.Limit = n } }
func page(from, n int) func(*query.Query) {
	return func(q *query.Query) { q.Offset, q.Limit = from, n }
}
func sorted(by string) func(*query.Query) { return func(q *query.Query) { q.Sort = by } }
func picture(s string) func(*query.Query) { return func(q *query.Query) { q.Vector = shows(s) } }
func without(s ...string) func(*query.Query) {
	return func(q *query.Query) { q.Not = append(q.Not, s...) }
}

func TestSearch(t *testing.T) {
	x := album()
	snow := x.images[4].ID.String()
	tests := []struct {
		what, words string
		change      []func(*query.Query)
		want        []string // the first ones
		total       int
	}{
		{"meaning", "beach", []func(*query.Query){mode("semantic")}, []string{"4.jpg"}, 6},
		{"words alone", "dogs", []func(*query.Query){mode("text")}, []string{"2.jpg"}, 1},
		{"both find it", "dog", nil, []string{"2.jpg"}, 6},
		{"the name wins", "snow IMG_1234", nil, []string{"IMG_1234.png"}, 6},
		{"the name with its extension", "beach img_12345.jpg", nil, []string{"IMG_12345.jpg"}, 6},
		{"a phrase in a tag", `"No parking"`, nil, []string{"4.jpg"}, 1},
		{"a phrase in a caption", `beach "dogs at"`, nil, []string{"2.jpg"}, 1},
		{"a phrase in a name", `"snow dog"`, nil, []string{"snow dog.jpg"}, 1},
		{"a name goes before a caption", `"snow"`, nil, []string{"snow dog.jpg", "IMG_12345.jpg"}, 2},
		{"two phrases", `"catching" "snow"`, nil, []string{"IMG_12345.jpg"}, 1},
		{"phrases in text mode", `"snow"`, []func(*query.Query){mode("text")}, nil, 2},
		{"nothing has it", `"elephant"`, nil, []string{}, 0},
		{"pushed away", "beach -people", []func(*query.Query){mode("semantic")}, []string{"4.jpg", "1.jpg"}, 5},
		{"dropped as it is called so", "dog -dog", nil, nil, 4},
		{"catching is no cat", "snow -cat", nil, nil, 6},
		{"not, as a flag", "dog", []func(*query.Query){without("two dogs", " ")}, nil, 5},
		{"only a negative", "-snow", nil, nil, 4},
		{"arithmetic", "beach + people", []func(*query.Query){mode("semantic")}, []string{"IMG_1234.png"}, 6},
		{"subtraction", "beach - people", []func(*query.Query){mode("semantic")}, []string{"4.jpg"}, 6},
		{"weights", "beach 3:dog", []func(*query.Query){mode("semantic")}, []string{"2.jpg"}, 6},
		{"a picture", "", []func(*query.Query){picture("snow people")}, []string{"snow dog.jpg"}, 6},
		{"a picture and not a text", "", []func(*query.Query){picture("dog beach"), without("dog")}, []string{"4.jpg", "1.jpg"}, 4},
		{"a picture and words", "people", []func(*query.Query){picture("beach"), mode("semantic")}, []string{"IMG_1234.png"}, 6},
		{"similar", "similar:" + snow, nil, []string{"IMG_12345.jpg", "snow dog.jpg"}, 6},
		{"similar, with a term", "similar:" + snow + " + people", []func(*query.Query){mode("semantic")}, []string{"snow dog.jpg"}, 6},
		{"unlike", "beach -similar:" + x.images[2].ID.String(), nil, nil, 6},
		{"a filter", "dog type:png", nil, []string{"IMG_1234.png"}, 1},
		{"filters only: newest first", "after:2023", nil, []string{"2.jpg", "1.jpg", "4.jpg"}, 3},
		{"by date", "beach", []func(*query.Query){sorted("date")}, []string{"2.jpg", "1.jpg", "4.jpg"}, 6},
		{"a page", "after:2023", []func(*query.Query){page(1, 1)}, []string{"1.jpg"}, 3},
		{"beyond the end", "beach", []func(*query.Query){page(1e6, 5)}, []string{}, 6},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			a := search(t, &query.Engine{Encoder: &encoder{}, Index: x}, tt.words, tt.change...)
			got := namesOf(a)
			if tt.want != nil && !slices.Equal(got[:min(len(tt.want), len(got))], tt.want) || a.Total != tt.total {
				t.Errorf("search %q: %v of %d, want %v of %d", tt.words, got, a.Total, tt.want, tt.total)
			}
			for i := 1; i < len(a.Results) && !strings.Contains(tt.what, "date"); i++ {
				if a.Results[i].Score > a.Results[i-1].Score {
					t.Errorf("scores are not best first: %v", a.Results)
				}
			}
		})
	}
}

func TestSearchScores(t *testing.T) {
	e := &query.Engine{Encoder: &encoder{}, Index: album()}
	semantic := search(t, e, "beach", mode("semantic"), first(1)).Results[0]
	if semantic.Score < .99 || semantic.Score > 1.0001 {
		t.Errorf("semantic score %v, want the cosine, 1", semantic.Score)
	}
	hybrid := search(t, e, "beach", first(1)).Results[0]
	if want := 1. / 61; hybrid.Score != want {
		t.Errorf("hybrid score %v, want %v", hybrid.Score, want)
	}
	if want := []string{"looks like the words (rank 1)"}; !slices.Equal(hybrid.Why, want) || hybrid.Relevance != nil {
		t.Errorf("why %q, relevance %v, want %q and nil", hybrid.Why, hybrid.Relevance, want)
	}
}

func TestSearchRefuses(t *testing.T) {
	e := &query.Engine{Encoder: &encoder{}, Index: album()}
	dog := query.Query{Text: "dog", Limit: 1}
	for what, change := range map[string]func(*query.Query){
		"empty":              func(q *query.Query) { q.Text = "" },
		"limit 0":            func(q *query.Query) { q.Limit = 0 },
		"negative offset":    func(q *query.Query) { q.Offset = -1 },
		"relevance 7":        func(q *query.Query) { q.MinRelevance = 7 },
		"unknown mode":       func(q *query.Query) { q.Mode = "psychic" },
		"unknown sort":       func(q *query.Query) { q.Sort = "size" },
		"text without words": func(q *query.Query) { q.Text, q.Vector, q.Mode = "", shows("dog"), "text" },
		"nothing left":       func(q *query.Query) { q.Terms = []query.Term{{Weight: -1, Text: "dog"}} },
		"a vector of 2":      func(q *query.Query) { q.Text, q.Vector, q.Not = "", clipsearch.Vector{1, 0}, []string{"dog"} },
	} {
		q := dog
		change(&q)
		if _, err := e.Search(context.Background(), q); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", what, err)
		}
	}
	q := query.Query{Similar: []clipsearch.ID{{1}}, Limit: 1}
	if _, err := e.Search(context.Background(), q); !errors.Is(err, clipsearch.ErrNotFound) {
		t.Errorf("similar to nothing: error %v, want ErrNotFound", err)
	}
}

// Every page of an answer is cut from one ranking, and only it is loaded.
func TestSearchPages(t *testing.T) {
	x := album()
	e := &query.Engine{Encoder: &encoder{}, Index: x}
	all := namesOf(search(t, e, "beach dog"))
	var paged []string
	for from := 0; from < len(all); from += 2 {
		x.loads = 0
		a := search(t, e, "beach dog", page(from, 2))
		if x.loads != 2 || a.Total != len(all) {
			t.Errorf("page at %d: %d pictures loaded, total %d", from, x.loads, a.Total)
		}
		paged = append(paged, namesOf(a)...)
	}
	if !slices.Equal(all, paged) || len(all) != 6 {
		t.Errorf("pages give %v, at once it is %v", paged, all)
	}
}

func TestSearchDeletedMeanwhile(t *testing.T) {
	x := album()
	x.gone = map[clipsearch.ID]bool{x.images[3].ID: true}
	for _, by := range []string{"relevance", "date"} {
		got := namesOf(search(t, &query.Engine{Encoder: &encoder{}, Index: x}, "beach", sorted(by)))
		if len(got) != 5 || slices.Contains(got, "4.jpg") {
			t.Errorf("by %s: %v, want all but 4.jpg", by, got)
		}
	}
}

func TestSearchEncodesOnce(t *testing.T) {
	enc := &encoder{}
	e := &query.Engine{Encoder: enc, Index: album()}
	for range 3 {
		search(t, e, "beach + dog -snow")
	}
	if want := []string{"beach", "dog", "snow"}; !slices.Equal(enc.texts, want) {
		t.Errorf("encoded %q, want %q", enc.texts, want)
	}
	for i := range 300 {
		search(t, e, fmt.Sprint("beach ", i), first(1))
	}
	n := len(enc.texts)
	search(t, e, "beach 299", first(1))
	if len(enc.texts) != n {
		t.Error("the last query was encoded again")
	}
	search(t, e, "beach 1", first(1))
	if len(enc.texts) == n {
		t.Error("the cache never forgets")
	}
}

func TestPathThatExists(t *testing.T) {
	x := &fakeIndex{}
	x.add("dog", clipsearch.Image{Files: []clipsearch.File{{Path: "/gone/a.jpg"}, {Path: "/here/a.jpg"}}})
	e := &query.Engine{Encoder: &encoder{}, Index: x, Exists: func(p string) bool { return strings.HasPrefix(p, "/here") }}
	if got := search(t, e, "dog").Results[0].Path(); got != "/here/a.jpg" {
		t.Errorf("path %q, want the one that exists", got)
	}
	e = &query.Engine{Encoder: &encoder{}, Index: x, Exists: func(string) bool { return false }}
	if got := search(t, e, "dog").Results[0].Path(); got != "/gone/a.jpg" {
		t.Errorf("path %q, want the first where none exists", got)
	}
}

func TestAnswerJSON(t *testing.T) {
	e := &query.Engine{Encoder: &encoder{}, Index: album()}
	var got map[string]any
	print := func(a query.Answer) {
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
	}
	print(search(t, e, `"elephant"`))
	if got["notes"] == nil || got["results"] == nil || got["query"] != `"elephant"` || got["total"] != 0. {
		t.Errorf("an empty answer is %v", got)
	}
	print(search(t, e, "snow"))
	hit := got["results"].([]any)[0].(map[string]any)
	keys := slices.Sorted(maps.Keys(hit))
	want := []string{"caption", "height", "id", "path", "paths", "relevance", "score", "taken_at", "why", "width"}
	if diff := gocmp.Diff(want, keys); diff != "" || hit["taken_at"] != nil || hit["relevance"] != nil {
		t.Errorf("hit %v (-want +got):\n%s", hit, diff)
	}
}

func TestResultJSON(t *testing.T) {
	r := query.Result{Image: clipsearch.Image{Files: at("/p/\xff & <x>.jpg"), TakenAt: day(2024, 5, 1)}}
	b, err := json.Marshal(r)
	if err != nil || !bytes.Contains(b, []byte(`"taken_at":"2024-05-01T00:00:00Z"`)) || !bytes.Contains(b, []byte(`"why":[]`)) || !json.Valid(b) {
		t.Errorf("%s, error %v", b, err)
	}
	r.TakenAt = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)
	if b, err = json.Marshal(r); err != nil || !bytes.Contains(b, []byte(`"taken_at":null`)) {
		t.Errorf("a date that JSON cannot write: %s, error %v", b, err)
	}
}

func TestFuse(t *testing.T) {
	id := func(b byte) clipsearch.ID { return clipsearch.ID{b} }
	near := []clipsearch.Hit{{ID: id(1), Score: .9}, {ID: id(2), Score: .8}, {ID: id(3), Score: .7}}
	words := []clipsearch.Hit{{ID: id(3), Score: 7}, {ID: id(4), Score: 2}, {ID: id(5), Score: 2}}
	got := query.Fuse(query.List{Hits: near, Weight: 1}, query.List{Hits: words, Weight: .5})
	want := []query.Scored{
		{ID: id(3), Score: 1./63 + .5/61}, {ID: id(1), Score: 1. / 61}, {ID: id(2), Score: 1. / 62},
		{ID: id(4), Score: .5 / 63}, {ID: id(5), Score: .5 / 63}, // they tie, and share the last of their ranks
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDamageTold has the index know of a damage: answers tell.
func TestDamageTold(t *testing.T) {
	e := &query.Engine{Encoder: &encoder{}, Index: album(), Damage: func(context.Context) string { return "two are lost" }}
	if a := search(t, e, "dog"); len(a.Notes) != 1 || a.Notes[0].Text != "two are lost" || !a.Notes[0].Damage {
		t.Errorf("notes = %+v, want the damage", a.Notes)
	}
}
