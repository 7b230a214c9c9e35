package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/ingest"
)

// encoder is a fake: the vector of a picture is its mean color, that of a text its
// length, so that an entry with another's vector is found out.
type encoder struct {
	fits   atomic.Int64 // pictures decoded
	images func(imgs []image.Image) error
	texts  func(texts []string) error
	fit    func()
}

var space = clipsearch.Space{1, 2, 3}

func (e *encoder) Space() clipsearch.Space { return space }

func (e *encoder) Fit(img image.Image) *image.RGBA {
	e.fits.Add(1)
	if e.fit != nil {
		e.fit()
	}
	small := image.NewRGBA(image.Rect(0, 0, 1, 1))
	small.Set(0, 0, img.At(0, 0))
	return small
}

func (e *encoder) EncodeImages(ctx context.Context, imgs []image.Image) ([]clipsearch.Vector, error) {
	if e.images != nil {
		if err := e.images(imgs); err != nil {
			return nil, err
		}
	}
	out := make([]clipsearch.Vector, len(imgs))
	for i, img := range imgs {
		out[i] = colorVector(img.At(0, 0))
	}
	return out, ctx.Err()
}

func (e *encoder) EncodeTexts(ctx context.Context, texts []string) ([]clipsearch.Vector, error) {
	if e.texts != nil {
		if err := e.texts(texts); err != nil {
			return nil, err
		}
	}
	out := make([]clipsearch.Vector, len(texts))
	for i, text := range texts {
		out[i] = clipsearch.Vector{float32(len(text))}
	}
	return out, ctx.Err()
}

func colorVector(c color.Color) clipsearch.Vector {
	r, g, b, _ := c.RGBA()
	return clipsearch.Vector{float32(r >> 8), float32(g >> 8), float32(b >> 8)}
}

// store is a fake index in memory. It is as strict as clipsearch.Entry says.
type store struct {
	mu       sync.Mutex
	entries  map[clipsearch.ID]clipsearch.Entry
	asked    int // files that Seen was asked about
	puts     int
	fail     func(puts int) error
	refuse   func(clipsearch.Entry) bool
	wordless bool // captions may come without vectors
}

func newStore() *store { return &store{entries: map[clipsearch.ID]clipsearch.Entry{}} }

func (s *store) Seen(_ context.Context, files []clipsearch.File) ([]clipsearch.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked += len(files)
	ids := make([]clipsearch.ID, len(files))
	for i, f := range files {
		for id, e := range s.entries {
			if slices.ContainsFunc(e.Files, func(g clipsearch.File) bool {
				return g.Path == f.Path && g.Size == f.Size && g.ModTime.Equal(f.ModTime)
			}) {
				ids[i] = id
			}
		}
	}
	return ids, nil
}

func (s *store) Image(_ context.Context, id clipsearch.ID) (clipsearch.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[id]
	if !ok {
		return clipsearch.Image{}, fmt.Errorf("picture %s: %w", id, clipsearch.ErrNotFound)
	}
	e.Files = slices.Clone(e.Files)
	return e.Image, nil
}

func (s *store) Put(ctx context.Context, batch []clipsearch.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	s.puts++
	if s.fail != nil {
		if err := s.fail(s.puts); err != nil {
			return err
		}
	}
	before := maps.Clone(s.entries)
	for _, e := range batch {
		if err := s.put(e); err != nil {
			s.entries = before // all or nothing
			return err
		}
	}
	return nil
}

func (s *store) put(e clipsearch.Entry) error {
	old, known := s.entries[e.ID]
	switch {
	case s.refuse != nil && s.refuse(e):
		return fmt.Errorf("captions of a novel: %w", clipsearch.ErrInvalid)
	case e.Space != space:
		return errors.New("entry of another space")
	case e.ID == clipsearch.ID{} || len(e.Files) == 0:
		return errors.New("entry without id or files")
	case e.Captions != nil && len(e.CaptionVectors) != len(e.Captions) && !s.wordless:
		return fmt.Errorf("%d captions with %d vectors", len(e.Captions), len(e.CaptionVectors))
	case !known && (len(e.Vectors) != 1 || len(e.Thumb) == 0 || e.Width == 0 || e.Format == "" || e.Bytes == 0):
		return fmt.Errorf("new entry without vector, thumbnail or size: %w", clipsearch.ErrInvalid)
	}
	for _, f := range e.Files {
		s.forget(f.Path)
	}
	if known {
		files := e.Files
		if now, ok := s.entries[e.ID]; ok {
			files = slices.Concat(now.Files, files)
		}
		if e.Captions != nil {
			old.Captions, old.CaptionVectors = e.Captions, e.CaptionVectors
		}
		e = old
		e.Files = files
	}
	s.entries[e.ID] = e
	return nil
}

func (s *store) forget(path string) (gone int) {
	for id, e := range s.entries {
		e.Files = slices.DeleteFunc(slices.Clone(e.Files), func(f clipsearch.File) bool { return f.Path == path })
		s.entries[id] = e
		if len(e.Files) == 0 {
			delete(s.entries, id)
			gone++
		}
	}
	return gone
}

func (s *store) Forget(_ context.Context, paths []string) (gone int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range paths {
		gone += s.forget(p)
	}
	return gone, nil
}

func (s *store) Files(context.Context) (files []clipsearch.File, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		files = append(files, e.Files...)
	}
	return files, nil
}

// paths lists what is stored, sorted, relative to dir.
func (s *store) paths(t *testing.T, dir string) []string {
	t.Helper()
	var paths []string
	for _, e := range s.entries {
		for _, f := range e.Files {
			rel, err := filepath.Rel(dir, f.Path)
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, filepath.ToSlash(rel))
		}
	}
	slices.Sort(paths)
	return paths
}

// at returns the entry of the file at path.
func (s *store) at(t *testing.T, path string) clipsearch.Entry {
	t.Helper()
	for _, e := range s.entries {
		if e.HasPath(path) {
			return e
		}
	}
	t.Fatalf("%s is not stored", path)
	return clipsearch.Entry{}
}

// paint returns a PNG of one color, another for each n.
func paint(n, side int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	c := color.RGBA{uint8(n), uint8(n >> 8), uint8(n * 7), 255}
	for i := 0; i < len(img.Pix); i += 4 {
		img.Pix[i], img.Pix[i+1], img.Pix[i+2], img.Pix[i+3] = c.R, c.G, c.B, c.A
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// write puts a file, and the folders it needs, below dir.
func write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// ingested runs p and fails the test on an error of the run or a sum that is wrong.
func ingested(t *testing.T, p *ingest.Pipeline, roots ...string) ingest.Summary {
	t.Helper()
	sum, err := p.Run(t.Context(), roots...)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	checkSum(t, sum)
	return sum
}

func checkSum(t *testing.T, s ingest.Summary) {
	t.Helper()
	if s.Found != s.Stored+s.Known+s.Moved+s.Failed {
		t.Errorf("found %d is not stored %d + known %d + moved %d + failed %d", s.Found, s.Stored, s.Known, s.Moved, s.Failed)
	}
	if len(s.Failures) != s.Failed {
		t.Errorf("%d failures listed, %d counted", len(s.Failures), s.Failed)
	}
}

// counts are the figures of a summary that a test compares.
type counts struct{ Stored, Known, Moved, Failed int }

func countsOf(s ingest.Summary) counts { return counts{s.Stored, s.Known, s.Moved, s.Failed} }

// noLeaks fails the test if goroutines that it started live on.
func noLeaks(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 100 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		buf := make([]byte, 1<<16)
		t.Errorf("goroutines that live on:\n%s", buf[:runtime.Stack(buf, true)])
	})
}
