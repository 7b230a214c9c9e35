package ingest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch/ingest"
)

func TestCaptionsAreStored(t *testing.T) {
	dir, st, enc := t.TempDir(), newStore(), &encoder{}
	a := write(t, dir, "a.png", paint(1, 4))
	b := write(t, dir, "b.png", paint(2, 4))
	c := write(t, dir, "c.png", paint(3, 4))
	p := &ingest.Pipeline{Encoder: enc, Store: st, Batch: 2}
	load := func(text string) {
		t.Helper()
		captions, err := ingest.LoadCaptions(write(t, t.TempDir(), "captions.tsv", []byte(text)))
		if err != nil {
			t.Fatal(err)
		}
		p.Captions = captions
	}
	check := func(when, path string, want ...string) {
		t.Helper()
		e := st.at(t, path)
		if diff := cmp.Diff(want, e.Captions); diff != "" {
			t.Errorf("%s, captions of %s (-want +got):\n%s", when, filepath.Base(path), diff)
		}
		for i, v := range e.CaptionVectors {
			if int(v[0]) != len(e.Captions[i]) {
				t.Errorf("%s, caption %q has another's vector", when, e.Captions[i])
			}
		}
	}
	write(t, dir, "a.txt", []byte("one\n\ntwo two\n"))
	write(t, dir, "a.png.txt", []byte("three"))
	load("b.png\tfour\na.png\tone\n")
	ingested(t, p, dir)
	check("first run", a, "one", "two two", "three")
	check("first run", b, "four")
	check("first run", c)

	puts := st.puts
	ingested(t, p, dir)
	if st.puts != puts {
		t.Errorf("a second run put %d batches", st.puts-puts)
	}

	write(t, dir, "c.txt", []byte("late"))
	load("b.png\tfive\n")
	decoded := enc.fits.Load()
	if got, want := countsOf(ingested(t, p, dir)), (counts{Known: 3}); got != want || enc.fits.Load() != decoded {
		t.Errorf("Run with new captions = %+v, %d decoded, want %+v and none", got, enc.fits.Load()-decoded, want)
	}
	check("new captions", b, "five")
	check("new captions", c, "late")

	if err := os.Remove(filepath.Join(dir, "c.txt")); err != nil {
		t.Fatal(err)
	}
	p.Captions = ingest.Captions{}
	ingested(t, p, dir)
	check("without any", b, "five")
	check("without any", c, "late")
}

// TestCaptionsOfTwins has the same bytes under several names, each with captions of
// its own: the picture gets all, however the files meet.
func TestCaptionsOfTwins(t *testing.T) {
	for _, batch := range []int{1, 64} {
		dir, st := t.TempDir(), newStore()
		for i := range 6 {
			write(t, dir, fmt.Sprintf("%d.png", i), paint(1, 4))
			write(t, dir, fmt.Sprintf("%d.txt", i), []byte(fmt.Sprintf("name %d\nshared", i)))
		}
		p := &ingest.Pipeline{Encoder: &encoder{}, Store: st, PutBatch: batch, Jobs: 4}
		if got, want := countsOf(ingested(t, p, dir)), (counts{Stored: 1, Known: 5}); got != want {
			t.Errorf("Run = %+v, want %+v", got, want)
		}
		e := st.at(t, filepath.Join(dir, "0.png"))
		if len(e.Captions) != 7 || len(e.CaptionVectors) != 7 || len(e.Files) != 6 {
			t.Errorf("put=%d: captions %q of files %q, want 7 of 6", batch, e.Captions, e.Paths())
		}
		puts := st.puts
		ingested(t, p, dir)
		if st.puts != puts {
			t.Errorf("put=%d: a second run put %d batches", batch, st.puts-puts)
		}
	}
}

func TestCaptionsThatCannotBeEncoded(t *testing.T) {
	dir, st := t.TempDir(), newStore()
	for i := range 10 {
		write(t, dir, fmt.Sprintf("%d.png", i), paint(i, 4))
	}
	write(t, dir, "3.txt", []byte("bad"))
	write(t, dir, "4.txt", []byte("good"))
	enc := &encoder{texts: func(texts []string) error {
		for _, text := range texts {
			if text == "bad" {
				return fmt.Errorf("no tokens\nfor it")
			}
		}
		return nil
	}}
	sum := ingested(t, &ingest.Pipeline{Encoder: enc, Store: st}, dir)
	if got, want := countsOf(sum), (counts{Stored: 9, Failed: 1}); got != want {
		t.Errorf("Run = %+v, want %+v", got, want)
	}
	if f := failures(t, sum); f["3.png"] == "" {
		t.Errorf("failures: %q", f)
	}
}
