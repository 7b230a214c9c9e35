package index

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

// testdata/formats holds an index of every format that was ever released, as the
// program of its time left it: N.tar.gz was closed, N-crashed.tar.gz was killed with
// logs to be replayed and words to be indexed. What each must answer was not asked
// of it but worked out from what was put, and lies beside it. Before a new format
// is written for the first time:
//
//	go test ./index -run TestKeepFormat -keep-format
var keepFormat = flag.Bool("keep-format", false, "write testdata/formats of the format that this program writes")

const formatsDir = "testdata/formats"

// keptAnswers is what a kept index must answer.
type keptAnswers struct {
	Images   []keptImage    `json:"images"`
	Gone     []keptID       `json:"gone"`
	Nearest  []keptNearest  `json:"nearest"`
	Captions []keptCaptions `json:"captions"`
	Match    []keptMatch    `json:"match"`
}

type keptID = clipsearch.ID

// keptImage is a clipsearch.Image whose paths are bytes, with digests of its
// thumbnail and its first vector.
type keptImage struct {
	clipsearch.Image
	Files  []keptFile
	Thumb  keptID
	Vector keptID
}

type keptFile struct {
	Path    []byte
	Size    int64
	ModTime time.Time
}

type keptNearest struct {
	Vector clipsearch.Vector `json:"vector"`
	Hits   []clipsearch.Hit  `json:"hits"`
}

type keptCaptions struct {
	Vector clipsearch.Vector    `json:"vector"`
	Hits   []clipsearch.TextHit `json:"hits"`
}

type keptMatch struct {
	Words string   `json:"words"`
	IDs   []keptID `json:"ids"` // sorted: how words are weighed is no matter of the format
}

// TestKeptFormats opens every kept index, upgrades it where the format is an older
// one, and asks it everything, twice.
func TestKeptFormats(t *testing.T) {
	archives, err := filepath.Glob(filepath.Join(formatsDir, "*.tar.gz"))
	if err != nil || len(archives) == 0 {
		t.Fatalf("no kept index in %s: %v", formatsDir, err)
	}
	for _, archive := range archives {
		name := strings.TrimSuffix(filepath.Base(archive), ".tar.gz")
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(formatsDir, name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var want keptAnswers
			if err := json.Unmarshal(b, &want); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			unpack(t, archive, dir)
			for round := range 2 {
				o := withModel()
				o.Create = false
				x, err := Open(dir, o)
				if err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				t.Cleanup(func() { x.Close() })
				want.compare(t, x)
				mustBeClean(t, x)
				put(t, x, testEntry(900+round)) // it can be written too
				if err := x.Delete(context.Background(), []clipsearch.ID{testID(900 + round)}); err != nil {
					t.Error(err)
				}
				mustBeClean(t, x)
				closeIndex(t, x)
			}
		})
	}
}

// compare asks x all that k knows.
func (k keptAnswers) compare(t *testing.T, x *Index) {
	t.Helper()
	ctx := context.Background()
	st, err := x.Stats(ctx)
	if err != nil || st.Images != len(k.Images) || st.TextDocuments != len(k.Images) {
		t.Errorf("Stats = %d images, %d text documents, %v, want %d", st.Images, st.TextDocuments, err, len(k.Images))
	}
	for _, want := range k.Images {
		got, err := x.Image(ctx, want.ID)
		if diff := cmp.Diff(want.image(), got); err != nil || diff != "" {
			t.Errorf("Image(%s): %v (-want +got):\n%s", want.ID, err, diff)
		}
		if thumb, err := x.Thumb(ctx, want.ID); err != nil || clipsearch.NewID(thumb) != want.Thumb {
			t.Errorf("Thumb(%s) is another, or %v", want.ID, err)
		}
		if v, err := x.Vector(ctx, want.ID); err != nil || vectorID(v) != want.Vector {
			t.Errorf("Vector(%s) is another, or %v", want.ID, err)
		}
		seen, err := x.Seen(ctx, got.Files)
		if err != nil || slices.ContainsFunc(seen, func(id keptID) bool { return id != want.ID }) {
			t.Errorf("Seen(%q) = %v, %v, want %s", got.Paths(), seen, err, want.ID)
		}
	}
	if has, err := x.Has(ctx, k.Gone); err != nil || slices.Contains(has, true) {
		t.Errorf("Has of what was deleted = %v, %v", has, err)
	}
	k.compareAnswers(t, x)
}

func (k keptAnswers) compareAnswers(t *testing.T, x *Index) {
	t.Helper()
	ctx := context.Background()
	near := cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a)-float64(b)) < 1e-6 })
	for i, q := range k.Nearest {
		hits, err := x.Nearest(ctx, q.Vector, len(q.Hits), nil)
		if diff := cmp.Diff(q.Hits, hits, near); err != nil || diff != "" {
			t.Errorf("Nearest of query %d: %v (-want +got):\n%s", i, err, diff)
		}
	}
	for i, q := range k.Captions {
		hits, err := x.NearestCaptions(ctx, q.Vector, len(q.Hits))
		if diff := cmp.Diff(q.Hits, hits, near); err != nil || diff != "" {
			t.Errorf("NearestCaptions of query %d: %v (-want +got):\n%s", i, err, diff)
		}
	}
	for _, q := range k.Match {
		hits, err := x.Match(ctx, q.Words, 1000, nil)
		var ids []keptID
		for _, h := range hits {
			ids = append(ids, h.ID)
		}
		slices.SortFunc(ids, compareKept)
		if diff := cmp.Diff(q.IDs, ids); err != nil || diff != "" {
			t.Errorf("Match(%q): %v (-want +got):\n%s", q.Words, err, diff)
		}
	}
}

func vectorID(v clipsearch.Vector) keptID { return clipsearch.NewID(encodeVector(v)) }

func compareKept(a, b keptID) int { return bytes.Compare(a[:], b[:]) }

func (m keptImage) image() clipsearch.Image {
	img := m.Image
	for _, f := range m.Files {
		img.Files = append(img.Files, clipsearch.File{Path: string(f.Path), Size: f.Size, ModTime: f.ModTime})
	}
	return img
}

// keptScript is what is put into an index that is kept: a plain map follows it.
type keptScript struct {
	x       *Index
	entries map[keptID]clipsearch.Entry
	gone    []keptID
}

// keptEntry is one of every sort: with several vectors, with paths that are not
// UTF-8, with a date and a camera, with a thumbnail beside its key or in the value log.
func keptEntry(n int) clipsearch.Entry {
	e := testEntry(n)
	e.Captions[0] = fmt.Sprintf("a dog runs over the grass, word%d", n)
	e.Tags = []string{"street", []string{"lake", "hill", "town"}[n%3]}
	e.Thumb = bytes.Repeat([]byte{0xff, 0xd8, byte(n)}, 100+3000*(n%2))
	if n%4 == 0 {
		e.Vectors = append(e.Vectors, unit(testDim, uint64(n)+2e6), unit(testDim, uint64(n)+3e6))
	}
	if n%5 == 0 {
		e.Files = append(e.Files, clipsearch.File{Path: fmt.Sprintf("/bytes/\xff\xfe%d.jpg", n), Size: e.Bytes, ModTime: time.Unix(1e9, 1)})
	}
	if n%3 == 0 {
		e.Camera, e.TakenAt = "Maker Model", time.Date(2001, 2, 3, 4, 5, n, 6, time.FixedZone("", -3*3600))
	}
	if n%7 == 0 {
		e.Captions, e.CaptionVectors = nil, nil
	}
	return e
}

func (s *keptScript) put(t *testing.T, from, to int) {
	for batch := range slices.Chunk(slices.Collect(func(yield func(int) bool) {
		for n := from; n < to && yield(n); n++ {
		}
	}), 8) {
		var entries []clipsearch.Entry
		for _, n := range batch {
			e := keptEntry(n)
			entries = append(entries, e)
			s.entries[e.ID] = e
		}
		put(t, s.x, entries...)
	}
}

func (s *keptScript) delete(t *testing.T, numbers ...int) {
	for _, n := range numbers {
		s.gone = append(s.gone, testID(n))
		delete(s.entries, testID(n))
	}
	if err := s.x.Delete(context.Background(), s.gone); err != nil {
		t.Fatal(err)
	}
}

// run makes the index in dir that is kept, and is done with it when it returns; or
// waits to be killed with the last part undone.
func (s *keptScript) run(t *testing.T, dir string, crash bool) {
	s.entries = map[keptID]clipsearch.Entry{}
	var err error
	if s.x, err = Open(dir, withModel()); err != nil {
		t.Fatal(err)
	}
	s.put(t, 0, 24)
	closeIndex(t, s.x)
	if s.x, err = Open(dir, withModel()); err != nil {
		t.Fatal(err)
	}
	s.put(t, 24, 36)
	s.delete(t, 7, 30)
	if !crash {
		closeIndex(t, s.x)
		return
	}
	closeIndex(t, s.x)
	if s.x, err = Open(dir, withModel()); err != nil {
		t.Fatal(err)
	}
	s.put(t, 36, 48)
	s.delete(t, 8, 40)
	e := s.entries[testID(12)] // other captions
	e.Captions, e.CaptionVectors = []string{"renamed before the crash"}, []clipsearch.Vector{unit(testDim, 77)}
	s.entries[e.ID] = e
	put(t, s.x, clipsearch.Entry{Image: clipsearch.Image{ID: e.ID, Captions: e.Captions}, Space: testSpace, CaptionVectors: e.CaptionVectors})
}

// TestKeepChild is not a test: it is the process that TestKeepFormat kills.
func TestKeepChild(t *testing.T) {
	dir := os.Getenv("INDEX_TEST_KEEP")
	if dir == "" {
		t.Skip("run by TestKeepFormat")
	}
	var s keptScript
	s.run(t, dir, true)
	fmt.Println("ready")
	time.Sleep(time.Minute)
}

func TestKeepFormat(t *testing.T) {
	if !*keepFormat {
		t.Skip("only with -keep-format")
	}
	if err := os.MkdirAll(formatsDir, 0o755); err != nil {
		t.Fatal(err)
	}
	closed, crashed, shadow := filepath.Join(t.TempDir(), "closed"), filepath.Join(t.TempDir(), "crashed"), filepath.Join(t.TempDir(), "shadow")
	var s keptScript
	s.run(t, closed, false)
	keep(t, closed, fmt.Sprint(Format), s)
	cmd := exec.Command(os.Args[0], "-test.run=^TestKeepChild$")
	cmd.Env = append(os.Environ(), "INDEX_TEST_KEEP="+crashed)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 6)
	if _, err := out.Read(line); err != nil || string(line) != "ready\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	s = keptScript{}
	s.run(t, shadow, true) // for its map
	keep(t, crashed, fmt.Sprint(Format, "-crashed"), s)
	closeIndex(t, s.x)
}

// keep writes dir as an archive, and beside it what it must answer.
func keep(t *testing.T, dir, name string, s keptScript) {
	t.Helper()
	path := filepath.Join(formatsDir, name+".tar.gz")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s is there: what was kept is not made again", path)
	}
	pack(t, dir, path)
	b, err := json.Marshal(s.expect())
	if err == nil {
		err = os.WriteFile(filepath.Join(formatsDir, name+".json"), append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// expect works out the answers without an index.
func (s *keptScript) expect() keptAnswers {
	k := keptAnswers{Gone: s.gone}
	words := map[string][]keptID{}
	texts := map[string]clipsearch.Vector{}
	for _, id := range slices.SortedFunc(maps.Keys(s.entries), compareKept) {
		e := s.entries[id]
		m := keptImage{Image: e.Image, Thumb: clipsearch.NewID(e.Thumb), Vector: vectorID(e.Vectors[0])}
		m.Image.Files = nil
		for _, f := range e.Files {
			m.Files = append(m.Files, keptFile{[]byte(f.Path), f.Size, f.ModTime.UTC()})
		}
		k.Images = append(k.Images, m)
		for n, c := range e.Captions {
			texts[c] = e.CaptionVectors[n]
		}
		for _, w := range strings.Fields(strings.Join(slices.Concat(e.Captions, e.Tags), " ")) {
			if !slices.Contains(words[w], id) {
				words[w] = append(words[w], id)
			}
		}
	}
	for _, w := range []string{"grass,", "hill", "word11", "word7", "word44", "renamed"} {
		k.Match = append(k.Match, keptMatch{strings.Trim(w, ","), words[w]})
	}
	for seed := range uint64(4) {
		v := unit(testDim, 9000+seed)
		k.Nearest = append(k.Nearest, keptNearest{v, s.nearest(v, 12)})
		k.Captions = append(k.Captions, keptCaptions{v, nearestTexts(texts, v, 5)})
	}
	return k
}

func (s *keptScript) nearest(v clipsearch.Vector, k int) (hits []clipsearch.Hit) {
	for id, e := range s.entries {
		best := float32(math.Inf(-1))
		for _, w := range e.Vectors {
			best = max(best, v.Dot(w))
		}
		hits = append(hits, clipsearch.Hit{ID: id, Score: best})
	}
	slices.SortFunc(hits, func(a, b clipsearch.Hit) int { return int(math.Copysign(1, float64(b.Score-a.Score))) })
	return hits[:k]
}

func nearestTexts(texts map[string]clipsearch.Vector, v clipsearch.Vector, k int) (hits []clipsearch.TextHit) {
	for text, w := range texts {
		hits = append(hits, clipsearch.TextHit{Text: text, Score: v.Dot(w)})
	}
	slices.SortFunc(hits, func(a, b clipsearch.TextHit) int { return int(math.Copysign(1, float64(b.Score-a.Score))) })
	return hits[:k]
}
