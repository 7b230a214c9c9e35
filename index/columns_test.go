package index

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
)

// pick returns one of list.
func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// several returns up to n of list, or nil.
func several(r *rand.Rand, n int, list ...string) []string {
	var out []string
	for range r.IntN(n + 1) {
		out = append(out, pick(r, list...))
	}
	return out
}

var (
	someDates = []time.Time{
		{}, time.Unix(0, 0), time.Unix(1700000000, 5), time.Unix(1700000000, 5000), time.Unix(1700000000, 6000).In(time.FixedZone("", 3600)), time.Unix(-86400, 999), time.Unix(-86400, 999000),
		time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(farSeconds, 0), time.Unix(-farSeconds, 0),
	}
	someWords = []string{
		"", " ", "dog", "a Dog", "the dog RUNS over", "Straße", "STRASSE", "İstanbul", "K", "\xff", "a\xffb", "\xffdog", "�", "dogdog", "日本", "x", "ſ",
		"a picture of the sea at dusk, with nobody in it", strings.Repeat("long ", 60),
	}
	somePaths = []string{
		"/a/b/Dog.JPG", "/a/b/dog2.jpg", "/A/c/x.png", "dog.jpg", "/a/b/", "/", "", ".", "a//b.jpg", "/a/dog/b.jpg", "/a/b/\xff\xfe.jpg", "/a/b/日本.jpg", "/\xff/dog",
	}
	someFormats = []string{"jpeg", "JPEG", "png", "", "jpg", "tiff", "ſvg", "KEY"}
	someSizes   = []int{0, 1, 2, 639, 640, 641, math.MaxUint32, math.MaxUint32 + 1, -1, math.MaxInt64, math.MaxInt64 - 1, 1 << 53, 1<<53 + 1}
)

func randomImage(r *rand.Rand) clipsearch.Image {
	m := clipsearch.Image{
		ID: testID(r.IntN(1e6)), Format: pick(r, someFormats...), TakenAt: pick(r, someDates...), Camera: pick(r, someWords...),
		Width: pick(r, someSizes...), Height: pick(r, someSizes...), Bytes: int64(pick(r, someSizes...)),
		Captions: several(r, 3, someWords...), Tags: several(r, 3, someWords...),
	}
	for _, p := range several(r, 3, somePaths...) {
		m.Files = append(m.Files, clipsearch.File{Path: p})
	}
	if r.IntN(2) == 0 { // so that most are not odd
		m.Width, m.Height, m.Bytes, m.TakenAt = r.IntN(1000), 480, 1000, time.Unix(1700000000+int64(r.IntN(3)), int64(r.IntN(9))*1000)
		m.Files = []clipsearch.File{{Path: fmt.Sprintf("/Photos/%d/IMG_%d.jpg", r.IntN(5), r.IntN(50))}, {Path: "/copies/1.jpg"}}[:1+r.IntN(2)]
	}
	return m
}

func randomPredicate(r *rand.Rand) clipsearch.Predicate {
	sizes := []float64{0.5, -0.5, math.NaN(), math.Inf(1), math.Inf(-1), 1e300, math.Copysign(0, -1)}
	for _, s := range someSizes {
		sizes = append(sizes, float64(s))
	}
	p := clipsearch.Predicate{
		Field: pick(r, "path", "name", "tag", "caption", "type", "camera", "width", "height", "bytes", "taken", "colour"),
		Op:    pick(r, "has", "<", "<=", "=", ">=", ">"), Number: pick(r, sizes...), Time: pick(r, someDates...), Not: r.IntN(3) == 0,
	}
	switch r.IntN(3) {
	case 0:
		p.Text = pick(r, slices.Concat(someWords, someFormats, somePaths)...)
	case 1: // a part of something
		s := pick(r, slices.Concat(someWords, somePaths, []string{"/photos/3/img_", "3/IMG_1", "/1.jp"})...)
		from := r.IntN(len(s) + 1)
		p.Text = s[from : from+r.IntN(len(s)-from+1)]
	default:
		p.Text = pick(r, "og", "/", "b/d", "s/1.j", ".jpg", "/IMG_1", "1", "o")
	}
	return p
}

func randomFilter(r *rand.Rand) clipsearch.Filter {
	var f clipsearch.Filter
	for range 1 + r.IntN(3)*r.IntN(2) {
		f = append(f, randomPredicate(r))
	}
	return f
}

// checkAdmitted compares what c admits with what the filter says of each picture.
func checkAdmitted(t *testing.T, c *columns, model map[doc]clipsearch.Image, f clipsearch.Filter) {
	t.Helper()
	got := c.admitted(f)
	var want []uint32
	for d, m := range model {
		if f.Admits(m) {
			want = append(want, uint32(d))
		}
	}
	slices.Sort(want)
	if !slices.Equal(got.ToArray(), want) {
		t.Fatalf("admitted(%+v) = %v, want %v", f, got.ToArray(), want)
	}
}

// columnsModel sets, drops and asks at random.
func columnsModel(t *testing.T, seed uint64, steps int) {
	r := rand.New(rand.NewPCG(seed, 11))
	c, model := &columns{}, map[doc]clipsearch.Image{}
	docs := 1 + r.IntN(3000)
	asked := []clipsearch.Filter{nil}
	for range steps {
		switch d := doc(r.IntN(docs)); r.IntN(8) {
		case 0:
			c.drop(d)
			delete(model, d)
		case 1:
			asked = append(asked, randomFilter(r))
			fallthrough
		case 2:
			checkAdmitted(t, c, model, pick(r, asked...))
		default:
			model[d] = randomImage(r)
			c.set(d, model[d])
		}
	}
	for _, f := range asked {
		checkAdmitted(t, c, model, f)
	}
	if len(c.kept) > keptPredicates {
		t.Errorf("%d predicates are kept", len(c.kept))
	}
	for d := range model {
		c.drop(d)
	}
	for _, x := range []*dictionary{&c.formats, &c.cameras, &c.folders} {
		if len(x.ids) != 0 || len(x.free) != len(x.names) {
			t.Errorf("all docs dropped: dictionary %v, %d of %d numbers free", x.ids, len(x.free), len(x.names))
		}
	}
	if len(c.odd)+len(c.more) != 0 {
		t.Errorf("all docs dropped: %d odd, %d with more files", len(c.odd), len(c.more))
	}
}

func TestColumnsModel(t *testing.T) {
	for seed := range uint64(30) {
		columnsModel(t, seed, 1500)
	}
}

func FuzzColumns(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed, "dog", "/a/Dog.jpg", "a\xffb")
	}
	f.Fuzz(func(t *testing.T, seed uint64, text, path, caption string) {
		r := rand.New(rand.NewPCG(seed, 5))
		c, model := &columns{}, map[doc]clipsearch.Image{}
		for d := range doc(40) {
			m := randomImage(r)
			if d%2 == 0 {
				m.Files = append(m.Files, clipsearch.File{Path: path})
				m.Captions, m.Tags, m.Camera, m.Format = append(m.Captions, caption), append(m.Tags, text), caption, text
			}
			model[d] = m
			c.set(d, m)
		}
		for _, field := range []string{"path", "name", "tag", "caption", "type", "camera"} {
			for _, want := range []string{text, path, caption} {
				checkAdmitted(t, c, model, clipsearch.Filter{{Field: field, Op: "has", Text: want}})
			}
		}
		columnsModel(t, seed, 40)
	})
}

// TestColumnsChurn sets the same docs again and again: what is nobody's any more
// does not stay.
func TestColumnsChurn(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	c, model := &columns{}, map[doc]clipsearch.Image{}
	set := func(d doc) {
		m := benchImage(int(d) + r.IntN(1e6))
		model[d] = m
		c.set(d, m)
	}
	for d := range doc(6000) {
		set(d)
	}
	fresh := c.bytes()
	for range 60000 {
		set(doc(r.IntN(6000)))
	}
	if got := c.bytes(); got > 3*fresh {
		t.Errorf("%d bytes after 10 changes of each picture, %d before", got, fresh)
	}
	checkAdmitted(t, c, model, clipsearch.Filter{{Field: "caption", Text: "number 77"}})
	checkAdmitted(t, c, model, clipsearch.Filter{{Field: "path", Text: "/2007/IMG_1"}})
}

// TestColumnsReaders asks while another goroutine writes: pictures that nobody
// touches are always admitted, and those that are gone never.
func TestColumnsReaders(t *testing.T) {
	c := &columns{}
	for d := range doc(5000) {
		c.set(d, benchImage(int(d)))
	}
	for d := doc(1); d < 5000; d += 2 {
		c.drop(d)
	}
	stop := make(chan struct{})
	var writer, readers sync.WaitGroup
	writer.Go(func() {
		r := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-stop:
				return
			default:
			}
			d := doc(r.IntN(2500))*2 + 1
			m := benchImage(int(d))
			m.Captions = []string{"what comes and goes"}
			c.set(d, m)
			c.drop(d)
		}
	})
	for n := range 4 {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 3))
			for range 150 {
				f := pick(r, clipsearch.Filter{{Field: "caption", Text: fmt.Sprint("number ", r.IntN(50))}},
					clipsearch.Filter{{Field: "width", Op: ">=", Number: float64(640 + r.IntN(90))}, {Field: "caption", Text: "goes", Not: true}},
					clipsearch.Filter{{Field: "path", Text: fmt.Sprintf("/IMG_%d", r.IntN(100))}})
				got := c.admitted(f)
				for d := doc(0); d < 5000; d += 2 {
					if want := f.Admits(benchImage(int(d))); got.Contains(uint32(d)) != want {
						t.Errorf("admitted(%+v) of doc %d: %v, want %v", f, d, !want, want)
						return
					}
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	writer.Wait()
}

func TestFinder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 20000 {
		text := make([]byte, r.IntN(60))
		for i := range text {
			text[i] = pick(r, byte('a'), 'b', 'e', 0x80, 0x81, 0xff)
		}
		want := make([]byte, 1+r.IntN(4))
		for i := range want {
			want[i] = pick(r, byte('a'), 'b', 'e', 0x80)
		}
		from := r.IntN(len(text) + 1)
		expect := strings.Index(string(text[from:]), string(want))
		if expect >= 0 {
			expect += from
		}
		if got := newFinder(string(want)).next(text, from); got != expect {
			t.Fatalf("next(%q, %q, %d) = %d, want %d", want, text, from, got, expect)
		}
	}
}

// benchImage is a picture as a collection has them.
func benchImage(n int) clipsearch.Image {
	words := []string{"dog", "woman", "street", "red car", "sea", "mountain", "two children", "old house", "bicycle", "market"}
	m := clipsearch.Image{
		Files:  []clipsearch.File{{Path: fmt.Sprintf("/home/someone/Pictures/album %d/%d/IMG_%05d.jpg", n%211, 2000+n%24, n)}},
		Format: pick(rand.New(rand.NewPCG(uint64(n), 1)), "jpeg", "jpeg", "jpeg", "png"), Width: 640 + n%100, Height: 480, Bytes: int64(100000 + n),
		TakenAt: time.Unix(1000000000+int64(n)*3600, 0), Camera: fmt.Sprintf("Maker Model %d", n%40),
		Captions: []string{fmt.Sprintf("a %s and a %s on a sunny day in number %d", words[n%10], words[n/10%10], n)},
	}
	if n%3 == 0 {
		m.Tags = []string{words[n%7], words[n%9]}
	}
	return m
}

func BenchmarkColumns(b *testing.B) {
	const n = 100_000
	c := &columns{}
	for d := range doc(n) {
		c.set(d, benchImage(int(d)))
	}
	b.Run("bytes", func(b *testing.B) {
		for b.Loop() {
			b.ReportMetric(float64(c.bytes())/n, "B/picture")
		}
	})
	for _, bb := range []struct {
		name string
		p    clipsearch.Predicate
	}{
		{"width", clipsearch.Predicate{Field: "width", Op: ">", Number: 700}},
		{"taken", clipsearch.Predicate{Field: "taken", Op: "<", Time: time.Unix(1000000000+n*1800, 0)}},
		{"type", clipsearch.Predicate{Field: "type", Text: "png"}},
		{"camera", clipsearch.Predicate{Field: "camera", Text: "model 3"}},
		{"tag", clipsearch.Predicate{Field: "tag", Text: "mountain"}},
		{"caption-rare", clipsearch.Predicate{Field: "caption", Text: "number 77123"}},
		{"caption-word", clipsearch.Predicate{Field: "caption", Text: "dog"}},
		{"caption-all", clipsearch.Predicate{Field: "caption", Text: "a"}},
		{"name", clipsearch.Predicate{Field: "name", Text: "img_012"}},
		{"path", clipsearch.Predicate{Field: "path", Text: "album 17/"}},
		{"path-across", clipsearch.Predicate{Field: "path", Text: "2007/img_012"}},
	} {
		f := clipsearch.Filter{bb.p}
		b.Run(bb.name, func(b *testing.B) {
			var share float64
			for b.Loop() {
				clear(c.kept)
				share = float64(c.admitted(f).GetCardinality()) / n
			}
			b.ReportMetric(share, "admitted")
		})
	}
	both := clipsearch.Filter{{Field: "caption", Text: "dog"}, {Field: "width", Op: ">", Number: 700}}
	b.Run("kept", func(b *testing.B) {
		for b.Loop() {
			c.admitted(both)
		}
	})
	b.Run("set", func(b *testing.B) {
		clear(c.kept)
		for i := range keptPredicates {
			c.admitted(clipsearch.Filter{{Field: "caption", Text: fmt.Sprint("number ", i)}})
		}
		m := benchImage(7)
		for b.Loop() {
			c.set(7, m)
		}
	})
}
