package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/clipsearch/clipsearch"
)

// Ready are pictures whose vectors were made elsewhere. They are read and decoded
// like any others, but not encoded.
type Ready interface {
	// Paths yields the path of each picture, in order.
	Paths() iter.Seq[string]
	// Vector returns the vector of picture i, from 0, or says what is wrong with it.
	// It is called from several goroutines.
	Vector(i int) (clipsearch.Vector, error)
}

// scanReady takes what Ready names, as if every path had been named. What is wrong
// with one is told with its row.
func (r *run) scanReady(ctx context.Context) error {
	s := r.newScanner(nil)
	n := 0
	for path := range r.Ready.Paths() {
		f := s.ready(path)
		f.row = n
		if f.err != nil {
			f.err = atRow(n, f.err)
		}
		if err := send(ctx, r.files, f); err != nil {
			return err
		}
		n++
	}
	r.total.Store(int64(n))
	return nil
}

func (s *scanner) ready(path string) found {
	abs, err := filepath.Abs(path)
	if err != nil {
		return found{file: clipsearch.File{Path: path}, err: err}
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = errors.New("there is no such file")
	case err == nil && info.IsDir():
		err = errors.New("a folder, and no file")
	}
	if err != nil {
		return found{file: clipsearch.File{Path: abs}, err: plain(err)}
	}
	return namedFile(root{abs, info})
}

// vector gives it the vector that is ready, or says what is wrong with that.
func (r *run) vector(it *item) error {
	v, err := r.Ready.Vector(it.row)
	if err != nil {
		return plain(err)
	}
	it.entry.Vectors = []clipsearch.Vector{v}
	return nil
}

func atRow(i int, err error) error { return fmt.Errorf("row %d: %w", i, err) }
