package ingest_test

import (
	"errors"
	"fmt"
	"image"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/ingest"
)

// rows are pictures whose vector i is {i, 1, 1}, but for those that have an error.
type rows struct {
	paths []string
	bad   map[int]error
}

func (r rows) Paths() iter.Seq[string] { return slices.Values(r.paths) }

func (r rows) Vector(i int) (clipsearch.Vector, error) {
	return clipsearch.Vector{float32(i), 1, 1}, r.bad[i]
}

// Pictures with ready vectors are read and kept like any others, and not encoded.
func TestReady(t *testing.T) {
	dir, st := t.TempDir(), newStore()
	enc := &encoder{images: func([]image.Image) error { return errors.New("encoded") }}
	for i := range 10 {
		write(t, dir, fmt.Sprintf("%d.png", i), paint(i, 4))
	}
	write(t, dir, "broken.png", []byte("no picture"))
	write(t, dir, "3.txt", []byte("three words here"))
	r := rows{bad: map[int]error{4: fmt.Errorf("embedding has no direction: %w", clipsearch.ErrInvalid)}}
	for i := range 10 {
		r.paths = append(r.paths, filepath.Join(dir, fmt.Sprintf("%d.png", i)))
	}
	r.paths = append(r.paths, filepath.Join(dir, "broken.png"), filepath.Join(dir, "missing.png"), dir, r.paths[0])
	p := &ingest.Pipeline{Encoder: enc, Store: st, Jobs: 3, Batch: 2, Ready: r}
	sum := ingested(t, p)
	if got, want := countsOf(sum), (counts{Stored: 9, Known: 1, Failed: 4}); got != want {
		t.Errorf("Run = %+v, want %+v", got, want)
	}
	for i := range 10 {
		if i == 4 {
			continue
		}
		e := st.at(t, r.paths[i])
		if e.Vectors[0][0] != float32(i) && i != 0 || len(e.Thumb) == 0 || e.Width != 4 {
			t.Errorf("picture %d has vector %v, a thumbnail of %d bytes and %d columns", i, e.Vectors[0], len(e.Thumb), e.Width)
		}
	}
	if e := st.at(t, r.paths[3]); len(e.Captions) != 1 || len(e.CaptionVectors) != 1 {
		t.Errorf("captions = %q with %d vectors", e.Captions, len(e.CaptionVectors))
	}
	told := map[string]string{}
	for _, f := range sum.Failures {
		told[filepath.Base(f.Path)] = f.Error
	}
	want := map[string]string{
		"4.png": "row 4: embedding has no direction", "missing.png": "row 11: there is no such file", filepath.Base(dir): "row 12: a folder, and no file",
		"broken.png": told["broken.png"],
	}
	if diff := cmp.Diff(want, told); diff != "" || len(told["broken.png"]) < 8 || told["broken.png"][:8] != "row 10: " {
		t.Errorf("failures (-want +got):\n%s, %s", diff, told["broken.png"])
	}
	if got := countsOf(ingested(t, p)); got != (counts{Known: 10, Failed: 4}) {
		t.Errorf("second Run = %+v", got)
	}
}

// An encoder without words leaves captions without vectors.
func TestWordless(t *testing.T) {
	dir, st := t.TempDir(), newStore()
	enc := &encoder{texts: func([]string) error { return errors.New("encoded") }}
	write(t, dir, "1.png", paint(1, 4))
	write(t, dir, "1.txt", []byte("some words"))
	path := filepath.Join(dir, "1.png")
	st.wordless = true
	sum := ingested(t, &ingest.Pipeline{Encoder: enc, Store: st, Ready: rows{paths: []string{path}}, Wordless: true})
	if sum.Failed > 0 || sum.Stored != 1 {
		t.Fatalf("Run = %+v", sum)
	}
	if e := st.at(t, path); len(e.Captions) != 1 || e.CaptionVectors != nil {
		t.Errorf("captions = %q, vectors %v, want one and none", e.Captions, e.CaptionVectors)
	}
	write(t, dir, "1.txt", []byte("other words")) // captions that come later
	if err := os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	ingested(t, &ingest.Pipeline{Encoder: enc, Store: st, Ready: rows{paths: []string{path}}, Wordless: true})
	if e := st.at(t, path); len(e.CaptionVectors) != 0 {
		t.Errorf("captions = %q, vectors %v", e.Captions, e.CaptionVectors)
	}
}
