package features

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/clipsearch/clipsearch"
)

// Options of [Open].
type Options struct {
	Dir   string // where the files are; made if need be
	Key   string // what decides the features, as a file name: the network, the set, how pictures are varied
	Items int
	Views int
	Width int // numbers of one picture
	// Half keeps them in 16 bits (IEEE 754 binary16), which is as much as a frozen
	// network's features are good for.
	Half bool

	// Make computes a view and calls put for each picture that could be read, once, in
	// any order, from one goroutine.
	Make func(ctx context.Context, view int, put func(item int, features []float32) error) error
}

// The file of a view: a magic number, how many pictures there are, of how many numbers,
// of how many bytes; for each a byte that is 1 if it could be read; and the numbers,
// little-endian.
const (
	magic = "clfeat01"
	head  = len(magic) + 3*8
)

// Store is the features of a set's pictures. It is safe for concurrent use.
type Store struct {
	o     Options
	files []*os.File
	has   []bool // pictures that have all views
}

// Open opens the features of a set, and makes those that are not there or not whole.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Items < 1 || o.Views < 1 || o.Width < 1 || !filepath.IsLocal(o.Key) {
		return nil, fmt.Errorf("%d views of %d pictures with %d numbers: %w", o.Views, o.Items, o.Width, clipsearch.ErrInvalid)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	s := &Store{o: o, has: make([]bool, o.Items)}
	for i := range s.has {
		s.has[i] = true
	}
	for view := range o.Views {
		if err := s.open(ctx, view); err != nil {
			return nil, errors.Join(fmt.Errorf("features of view %d: %w", view, err), s.Close())
		}
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, view int) error {
	name := filepath.Join(s.o.Dir, fmt.Sprintf("%s.%d.features", s.o.Key, view))
	f, err := s.read(name)
	if err != nil {
		if err := s.write(ctx, name, view); err != nil {
			return err
		}
		if f, err = s.read(name); err != nil {
			return err
		}
	}
	s.files = append(s.files, f)
	marks := make([]byte, s.o.Items)
	if _, err := f.ReadAt(marks, int64(head)); err != nil {
		return err
	}
	for i, m := range marks {
		s.has[i] = s.has[i] && m == 1
	}
	return nil
}

func (s *Store) bytes() int {
	if s.o.Half {
		return 2
	}
	return 4
}

func (s *Store) header() []byte {
	b := []byte(magic)
	for _, n := range []int{s.o.Items, s.o.Width, s.bytes()} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// read opens the file of a view if it is whole.
func (s *Store) read(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	got := make([]byte, head)
	_, err = io.ReadFull(f, got)
	st, wrong := f.Stat()
	if err = errors.Join(err, wrong); err == nil && (string(got) != string(s.header()) || st.Size() != s.size()) {
		err = fmt.Errorf("%s is of another set, or cut off", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (s *Store) size() int64 { return s.at(s.o.Items) }

func (s *Store) at(item int) int64 {
	return int64(head) + int64(s.o.Items) + int64(item)*int64(s.o.Width)*int64(s.bytes())
}

// write makes the file of a view.
func (s *Store) write(ctx context.Context, name string, view int) (err error) {
	part := name + ".part"
	f, err := os.Create(part)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err == nil {
			err = os.Rename(part, name)
		}
		if err != nil {
			os.Remove(part)
		}
	}()
	if err := f.Truncate(s.size()); err != nil {
		return err
	}
	if _, err := f.WriteAt(s.header(), 0); err != nil {
		return err
	}
	raw := make([]byte, s.o.Width*s.bytes())
	err = s.o.Make(ctx, view, func(item int, x []float32) error {
		if item < 0 || item >= s.o.Items || len(x) != s.o.Width {
			return fmt.Errorf("%d numbers of picture %d, in place of %d of one of %d", len(x), item, s.o.Width, s.o.Items)
		}
		s.encode(raw, x)
		if _, err := f.WriteAt(raw, s.at(item)); err != nil {
			return err
		}
		_, err := f.WriteAt([]byte{1}, int64(head+item))
		return err
	})
	if err != nil {
		return err
	}
	return f.Sync()
}

func (s *Store) encode(raw []byte, x []float32) {
	for i, v := range x {
		if s.o.Half {
			binary.LittleEndian.PutUint16(raw[2*i:], toHalf(v))
		} else {
			binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(v))
		}
	}
}

// Has reports whether a picture could be read, in every view.
func (s *Store) Has(item int) bool { return s.has[item] }

// Width returns how many numbers a picture has.
func (s *Store) Width() int { return s.o.Width }

// Views returns how many views there are.
func (s *Store) Views() int { return s.o.Views }

// Row writes the features of a view of a picture into dst.
func (s *Store) Row(dst []float32, item, view int) error {
	raw := make([]byte, s.o.Width*s.bytes())
	if _, err := s.files[view].ReadAt(raw, s.at(item)); err != nil {
		return fmt.Errorf("features of view %d of picture %d: %w", view, item, err)
	}
	for i := range s.o.Width {
		if s.o.Half {
			dst[i] = fromHalf(binary.LittleEndian.Uint16(raw[2*i:]))
		} else {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	}
	return nil
}

// Close closes the files, which stay.
func (s *Store) Close() (err error) {
	for _, f := range s.files {
		err = errors.Join(err, f.Close())
	}
	s.files = nil
	return err
}
