package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/ingest"
)

// otherSpace is a fake index that has vectors of a second space beside those of s.
type otherSpace struct {
	s      *store
	mu     sync.Mutex
	kept   map[clipsearch.ID]clipsearch.Reencoded
	puts   int
	before func(puts int) error // what befalls a Reencode; may be nil
}

func newOtherSpace(s *store) *otherSpace {
	return &otherSpace{s: s, kept: map[clipsearch.ID]clipsearch.Reencoded{}}
}

func (o *otherSpace) Lacking(_ context.Context, _ clipsearch.Space, after clipsearch.ID, n int, improve bool) ([]clipsearch.Lack, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	var list []clipsearch.Lack
	for id, e := range o.s.entries {
		k, has := o.kept[id]
		l := clipsearch.Lack{Image: e.Image, Vectors: !has, Thumb: improve && k.Thumb, Captions: len(e.Captions) > 0 && k.CaptionVectors == nil}
		if bytes.Compare(id[:], after[:]) > 0 && (l.Vectors || l.Thumb || l.Captions) {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b clipsearch.Lack) int { return bytes.Compare(a.Image.ID[:], b.Image.ID[:]) })
	return list[:min(n, len(list))], nil
}

func (o *otherSpace) Thumb(_ context.Context, id clipsearch.ID) ([]byte, error) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	if e := o.s.entries[id]; len(e.Thumb) > 0 {
		return e.Thumb, nil
	}
	return nil, fmt.Errorf("no thumbnail of %s: %w", id, clipsearch.ErrNotFound)
}

func (o *otherSpace) Reencode(ctx context.Context, _ clipsearch.Space, batch []clipsearch.Reencoded) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.puts++
	if o.before != nil {
		if err := o.before(o.puts); err != nil {
			return err
		}
	}
	for _, r := range batch {
		k := o.kept[r.ID]
		if k.ID = r.ID; len(r.Vectors) > 0 {
			k.Vectors, k.Thumb = r.Vectors, r.Thumb
		}
		if len(r.CaptionVectors) > 0 {
			k.Captions, k.CaptionVectors = r.Captions, r.CaptionVectors
		}
		o.kept[r.ID] = k
	}
	return ctx.Err()
}

// library ingests n pictures of 20 pixels, which makes their thumbnails other bytes.
func library(t *testing.T, n int) (dir string, s *store) {
	t.Helper()
	dir, s = t.TempDir(), newStore()
	for i := range n {
		write(t, dir, fmt.Sprintf("%03d.png", i), paint(10*i, 20))
	}
	ingested(t, &ingest.Pipeline{Encoder: &encoder{}, Store: s}, dir)
	return dir, s
}

func idOf(i int) clipsearch.ID { return clipsearch.NewID(paint(10*i, 20)) }

func reencode(t *testing.T, o *otherSpace, improve bool) ingest.Reencoded {
	t.Helper()
	r := ingest.Reencoding{Encoder: &encoder{}, Store: o, Improve: improve}
	out, err := r.Run(t.Context())
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return out
}

// Every picture is read again from wherever it still is.
func TestReencode(t *testing.T) {
	noLeaks(t)
	dir, s := library(t, 6)
	path := func(i int) string { return filepath.Join(dir, fmt.Sprintf("%03d.png", i)) }
	copied := s.entries[idOf(1)] // known at two places, the first of which is gone
	copied.Files = append(copied.Files, clipsearch.File{Path: write(t, dir, "second/copy.png", paint(10, 20))})
	copied.Captions = []string{"ten letters"}
	s.entries[idOf(1)] = copied
	for _, gone := range []int{1, 2} {
		if err := os.Remove(path(gone)); err != nil {
			t.Fatal(err)
		}
	}
	other := paint(77, 20)
	if err := os.WriteFile(path(3), append(other, make([]byte, len(paint(30, 20))-len(other))...), 0o644); err != nil {
		t.Fatal(err) // another picture of the same size at the same place
	}
	o := newOtherSpace(s)
	out := reencode(t, o, false)
	if out.Pictures != 6 || out.Thumbs != 2 || out.Captions != 1 || len(out.Failures) != 0 {
		t.Errorf("Run = %+v, want 6 pictures, 2 of them from thumbnails, 1 caption", out)
	}
	for i := range 6 {
		k, want := o.kept[idOf(i)], s.entries[idOf(i)]
		if thumb := i == 2 || i == 3; k.Thumb != thumb || len(k.Vectors) != 1 {
			t.Errorf("picture %d: %+v, from its thumbnail: want %v", i, k, thumb)
		} else if !thumb && !slices.Equal(k.Vectors[0], want.Vectors[0]) {
			t.Errorf("picture %d has vector %v, want %v", i, k.Vectors[0], want.Vectors[0])
		}
	}
	if k := o.kept[idOf(1)]; len(k.CaptionVectors) != 1 || k.CaptionVectors[0][0] != float32(len("ten letters")) {
		t.Errorf("captions: %+v", k)
	}

	// nothing is done twice, and what can be better is made better when asked for
	if out := reencode(t, o, false); out.Pictures != 0 {
		t.Errorf("Run again = %+v, want nothing done", out)
	}
	write(t, dir, "002.png", paint(20, 20))
	if out := reencode(t, o, true); out.Pictures != 1 || out.Thumbs != 0 {
		t.Errorf("Run to improve = %+v, want the picture that is back", out)
	}
	if o.kept[idOf(2)].Thumb || !o.kept[idOf(3)].Thumb {
		t.Error("the picture that is back is not marked as such, or the other one is")
	}
}

// What cannot be encoded is told, and stops nothing else.
func TestReencodeFailures(t *testing.T) {
	noLeaks(t)
	dir, s := library(t, 5)
	for i := range 2 {
		e := s.entries[idOf(i)]
		if e.Thumb = nil; i == 1 {
			e.Thumb = []byte("no JPEG")
		}
		s.entries[idOf(i)] = e
		if err := os.Remove(filepath.Join(dir, fmt.Sprintf("%03d.png", i))); err != nil {
			t.Fatal(err)
		}
	}
	o := newOtherSpace(s)
	r := ingest.Reencoding{Encoder: &encoder{}, Store: o}
	out, err := r.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "2 pictures cannot be encoded") || !strings.Contains(err.Error(), "000.png") {
		t.Errorf("Run = %v, want an error that counts two and names one", err)
	}
	if len(out.Failures) != 2 || out.Pictures != 3 || len(o.kept) != 3 {
		t.Errorf("Run = %+v, want 3 pictures and 2 failures", out)
	}
}

// What comes while the index is gone over is found by the next pass.
func TestReencodeMeanwhile(t *testing.T) {
	noLeaks(t)
	dir, s := library(t, 3)
	o := newOtherSpace(s)
	o.before = func(puts int) error {
		if puts == 1 {
			late := write(t, dir, "late.png", paint(500, 20))
			s.mu.Lock()
			defer s.mu.Unlock()
			id := clipsearch.NewID(paint(500, 20))
			s.entries[id] = clipsearch.Entry{Image: clipsearch.Image{ID: id, Bytes: int64(len(paint(500, 20))), Files: []clipsearch.File{{Path: late}}}}
		}
		return nil
	}
	if out := reencode(t, o, false); out.Pictures != 4 || len(o.kept) != 4 {
		t.Errorf("Run = %+v, want the three and the late one", out)
	}
}

// An error or the end of its context ends a run; what is stored stays.
func TestReencodeStops(t *testing.T) {
	noLeaks(t)
	_, s := library(t, 40)
	o := newOtherSpace(s)
	full := errors.New("the disk is full")
	o.before = func(puts int) error {
		if puts == 3 {
			return full
		}
		return nil
	}
	r := ingest.Reencoding{Encoder: &encoder{}, Store: o, Jobs: 1, Batch: 4, PutBatch: 4}
	if _, err := r.Run(t.Context()); !errors.Is(err, full) {
		t.Errorf("Run = %v, want %v", err, full)
	}
	done := len(o.kept)
	if done < 4 || done >= 40 {
		t.Errorf("%d pictures are kept after the error", done)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o.before = func(int) error {
		cancel()
		return nil
	}
	if _, err := r.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want canceled", err)
	}
	if len(o.kept) <= done || len(o.kept) >= 40 {
		t.Errorf("%d pictures are kept after the cancellation, %d before", len(o.kept), done)
	}
	o.before = nil
	if out := reencode(t, o, false); len(o.kept) != 40 || out.Pictures >= 40-done {
		t.Errorf("Run = %+v, %d kept, want the rest alone", out, len(o.kept))
	}
}

// A picture in an archive is read from the archive.
func TestReencodeArchive(t *testing.T) {
	for ext, pack := range map[string]func(testing.TB, []packed) []byte{".zip": zipOf, ".tar": tarOf} {
		dir, s := t.TempDir(), newStore()
		path := write(t, dir, "x"+ext, pack(t, contents))
		ingested(t, &ingest.Pipeline{Encoder: &encoder{}, Store: s}, path)
		o := newOtherSpace(s)
		if out := reencode(t, o, false); out.Pictures != len(s.entries) || out.Thumbs != 0 {
			t.Errorf("%s: Run = %+v, want %d pictures, none from a thumbnail", ext, out, len(s.entries))
		}
	}
}
