package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/disk"
)

// Options say what a caller expects of an index.
type Options struct {
	// Space, Model and Dim are those of the vectors. An index that answers with
	// another Space is not opened. They may be left zero unless the index is made.
	Space clipsearch.Space
	Model string
	Dim   int

	Create   bool   // make the index if there is none
	Language string // of an index that is made: one of Languages, DefaultLanguage if empty

	// SaveModel writes the files of the model into a directory. It is called when
	// the index is made, and by Check when the copy has come to harm. Nil: the
	// index keeps no copy.
	SaveModel func(dir string) error

	// Saves reports whether SaveModel has the model of a space: it need not be this
	// program's. Nil: it has that of Space, or of any if Space is zero.
	Saves func(clipsearch.Space) bool

	// Keeps reports whether there are files to keep of the model of a space: vectors may
	// have been made elsewhere. Nil: there are.
	Keeps func(clipsearch.SpaceModel) bool

	// Thumb makes the thumbnail of a picture again, from its file: Check asks for it
	// where one is lost. Nil: nobody can.
	Thumb func(clipsearch.Image) ([]byte, error)

	// CheckModel returns what is wrong with such a directory. Nil: nothing is.
	CheckModel func(dir string) []string

	sizes  sizes  // of the store's files; by the free space if zero, as it is but in tests
	tuning tuning // usual if zero, as it is but in tests
}

// Index is an open index. Its methods may be called from several goroutines.
type Index struct {
	dir     string
	options Options
	store   *store
	text    *text

	writing sync.Mutex // held by whoever writes to the store; taken before mu
	mu      sync.RWMutex
	mem     *memory                   // guarded by mu
	answers atomic.Pointer[answering] // of mem, changed under mu; nil until vectors are loaded
	current atomic.Pointer[Meta]      // changes with mem, and with the store: under writing and mu
	trouble atomic.Pointer[string]
	short   atomic.Pointer[string] // what inspect found to be missing; nil if nothing

	tuning  tuning // never changed: the tender reads it from Open on
	tender  *tender
	saving  sync.Mutex // held by who writes codes and graph to the store; taken before writing
	journal journal    // of what codes and graph lack there; under writing

	changing sync.Mutex             // held by a Change
	touched  map[clipsearch.ID]bool // what was written since it began to look; under writing; nil: nobody looks

	closing sync.Once
	closed  error
}

// Open opens the index in dir. The error wraps [clipsearch.ErrNotFound] where there
// is none and Options.Create is not set; then nothing is made.
func Open(dir string, o Options) (*Index, error) {
	meta, err := ReadMeta(dir)
	fresh := errors.Is(err, clipsearch.ErrNotFound)
	switch {
	case fresh && !o.Create:
		return nil, noIndex(dir)
	case fresh:
		meta, err = create(dir, o)
	case err == nil:
		err = fits(dir, meta, o)
	}
	if err != nil {
		return nil, err
	}
	s, err := openIn(dir, o.sizes)
	if err != nil {
		return nil, err
	}
	x := &Index{dir: dir, options: o, store: s, mem: newMemory(), tuning: cmp.Or(o.tuning, usual)}
	x.current.Store(&meta)
	x.text, x.tender = newText(filepath.Join(dir, "text"), x), newTender(x)
	err = errors.Join(x.openJournal(), x.settleMeta())
	if err == nil {
		err = fits(dir, x.meta(), o) // once more: a change may have been cut off
	}
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// meta says what answers now.
func (x *Index) meta() Meta { return *x.current.Load() }

// fits reports whether the index in dir is what o expects.
func fits(dir string, m Meta, o Options) error {
	if o.Space != (clipsearch.Space{}) && o.Space != m.Space {
		return fmt.Errorf("index %s answers with model %s (space %.12s), not with %s (space %.12s): change it with `clipsearch model switch`: %w",
			dir, m.Model, m.Space, o.Model, o.Space, clipsearch.ErrInvalid)
	}
	if o.Dim != 0 && o.Dim != m.Dim {
		return fmt.Errorf("index %s has vectors of %d numbers, model %s makes %d: %w", dir, m.Dim, o.Model, o.Dim, clipsearch.ErrInvalid)
	}
	return nil
}

// openIn opens the store of the index in dir, with files of sizes z, if the disk has room for it. After a
// crash Badger writes out what its logs hold, and needs more.
func openIn(dir string, z sizes) (*store, error) {
	path := filepath.Join(dir, "store")
	free, err := disk.Free(existing(path))
	if err != nil {
		return nil, fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	need := int64(4 << 20)
	if logs, err := filepath.Glob(filepath.Join(path, "*.mem")); err == nil && len(used(logs)) > 0 {
		need = margin
	}
	if free < need {
		return nil, noSpace(dir, need)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("open index %s: %w", dir, err)
	}
	if z == (sizes{}) {
		z = sizesFor(free)
	}
	return openStore(path, z)
}

// update is the store's, for whoever holds no lock.
func (x *Index) update(fn func(tx) error) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	return x.store.update(fn)
}

// Close ends the text index's work and closes the index, after the reads that are
// under way. What was put stays put; calls from then on are errors.
func (x *Index) Close() error {
	x.closing.Do(func() {
		x.tender.end()
		err := x.text.close()
		x.writing.Lock()
		defer x.writing.Unlock()
		x.closed = errors.Join(err, x.store.close())
	})
	return x.closed
}

// Image returns what is known of a picture, or an error wrapping
// [clipsearch.ErrNotFound].
func (x *Index) Image(ctx context.Context, id clipsearch.ID) (clipsearch.Image, error) {
	var m clipsearch.Image
	err := x.view(ctx, func(t tx) error {
		r, err := t.record(id)
		m = r.image(id)
		return err
	})
	return m, pictureError(id, "record", err)
}

// Vector returns the vector of a whole picture.
func (x *Index) Vector(ctx context.Context, id clipsearch.ID) (clipsearch.Vector, error) {
	m, err := x.metaIn(ctx)
	if err != nil {
		return nil, fmt.Errorf("vector of picture %s: %w", id, err)
	}
	v := make(clipsearch.Vector, m.Dim)
	err = x.view(ctx, func(t tx) error {
		b, err := t.get(vectorKey(vectorPrefix, m.Space, id, 0))
		if err != nil {
			return err
		}
		return decodeVector(v, b)
	})
	if err != nil {
		return nil, pictureError(id, "vector", err)
	}
	return v, nil
}

// Thumb returns the thumbnail of a picture, a JPEG.
func (x *Index) Thumb(ctx context.Context, id clipsearch.ID) (jpeg []byte, err error) {
	err = x.view(ctx, func(t tx) error {
		jpeg, err = t.get(idKey(thumbPrefix, id))
		return err
	})
	return jpeg, pictureError(id, "thumbnail", err)
}

// pictureError says which picture err is about.
func pictureError(id clipsearch.ID, part string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errMissing):
		return fmt.Errorf("no %s of picture %s: %w", part, id, clipsearch.ErrNotFound)
	case errors.Is(err, errDamaged):
		return fmt.Errorf("%s of picture %s is damaged: run `clipsearch check`", part, id)
	}
	return fmt.Errorf("%s of picture %s: %w", part, id, err)
}

// view is the store's, unless ctx has ended.
func (x *Index) view(ctx context.Context, fn func(tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return x.store.view(fn)
}

// record reads m/<id>.
func (t tx) record(id clipsearch.ID) (record, error) {
	b, err := t.get(idKey(recordPrefix, id))
	if err != nil {
		return record{}, err
	}
	return decodeRecord(b)
}
