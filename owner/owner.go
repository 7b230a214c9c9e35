package owner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/clipsearch/clipsearch"
)

// Index is what an owner opens and serves, and what a [Handle] offers.
type Index interface {
	Seen(ctx context.Context, files []clipsearch.File) ([]clipsearch.ID, error)
	Has(ctx context.Context, ids []clipsearch.ID) ([]bool, error)
	Put(ctx context.Context, batch []clipsearch.Entry) error
	Forget(ctx context.Context, paths []string) (int, error)
	Delete(ctx context.Context, ids []clipsearch.ID) error
	Image(ctx context.Context, id clipsearch.ID) (clipsearch.Image, error)
	Vector(ctx context.Context, id clipsearch.ID) (clipsearch.Vector, error)
	Thumb(ctx context.Context, id clipsearch.ID) ([]byte, error)
	Nearest(ctx context.Context, v clipsearch.Vector, k int, f clipsearch.Filter) ([]clipsearch.Hit, error)
	Match(ctx context.Context, words string, k int, f clipsearch.Filter) ([]clipsearch.Hit, error)
	NearestCaptions(ctx context.Context, v clipsearch.Vector, k int) ([]clipsearch.TextHit, error)
	Files(ctx context.Context) ([]clipsearch.File, error)
	Stats(ctx context.Context) (clipsearch.Stats, error)
	Export(ctx context.Context, after clipsearch.ID, limit int) ([]clipsearch.Record, error)
	Salvage(ctx context.Context, after clipsearch.ID, limit int) (clipsearch.Salvaged, error)
	Damage(ctx context.Context) (string, error) // what is known to be lost; empty if nothing
	Import(ctx context.Context, spaces []clipsearch.SpaceModel, batch []clipsearch.Record) (clipsearch.Imported, error)
	Check(ctx context.Context, repair bool) ([]clipsearch.Problem, error)
	Compact(ctx context.Context) error
	Settle(ctx context.Context) error // what is derived of all that was written
	SetLanguage(ctx context.Context, name string) error
	Writable(ctx context.Context) error // nil, or why nothing can be written now

	Answering(ctx context.Context) (clipsearch.Space, error)
	Spaces(ctx context.Context) (clipsearch.Spaces, error)
	SwitchTo(ctx context.Context, to clipsearch.SpaceStats) error
	Lacking(ctx context.Context, space clipsearch.Space, after clipsearch.ID, n int, improve bool) ([]clipsearch.Lack, error)
	Reencode(ctx context.Context, space clipsearch.Space, batch []clipsearch.Reencoded) error
	Change(ctx context.Context) (bool, error)
	Rollback(ctx context.Context) error
	DropSpaces(ctx context.Context) (n int, bytes int64, err error)

	Close() error
}

// Texts is a text encoder that an owner has warm and lends to its clients.
type Texts interface {
	EncodeTexts(ctx context.Context, texts []string) ([]clipsearch.Vector, error)
}

// Options say how an index is acquired. Open is required.
type Options struct {
	// Open opens the index. It is called when this process becomes the owner: in
	// Acquire, or in a later call after another owner has gone. The Handle closes
	// what it returns.
	Open   func() (Index, error)
	Create bool // the directory may be made if there is none

	// Texts answers the texts of clients; may be nil. Where a client wants vectors of
	// a space that it has not (see [clipsearch.SpaceOf]) its error wraps
	// [clipsearch.ErrSpace], and the client does without.
	Texts Texts
	Space clipsearch.Space // of Texts, or of this process's own encoder, where that is always the same; a client is not lent an encoder of another space

	// Work is done while this process owns the index, beside all calls: it begins
	// when the index is open, and ends soon after its context; Close waits for it.
	// Its owner makes the vectors that the index lacks, and says so in Spaces.
	Work func(ctx context.Context)

	// Enduring is for a server: a write that begins after an owner's crash goes to
	// the next owner. Without it every write after a crash fails, so that a command
	// ends and says why.
	Enduring bool

	Command string // what others are told this process is; the first words of its command line if empty
	Version string // of this program, for the same purpose

	// Waiting is told who holds the index when that has been waited for during
	// Notice: for its answer to Acquire, or once to a call. It may be called from
	// any goroutine.
	Waiting  func(Holder)
	Notice   time.Duration // 5 s if zero
	Patience time.Duration // how long to wait for a holder that does not answer; 30 s if zero
	Grace    time.Duration // how long Close lets the calls of others work; 10 s if zero
}

func (o Options) withDefaults() Options {
	o.Command = cmp.Or(o.Command, commandName(os.Args))
	o.Notice = cmp.Or(o.Notice, 5*time.Second)
	o.Patience = cmp.Or(o.Patience, 30*time.Second)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	return o
}

// Acquire makes this process the owner of the index in dir, or a client of its
// owner. It waits for an owner that is starting or leaving. A second Acquire of
// one directory in one process makes a client of the first.
func Acquire(ctx context.Context, dir string, o Options) (*Handle, error) {
	dir, err := place(dir, o.Create)
	if err != nil {
		return nil, err
	}
	h := &Handle{dir: dir, options: o.withDefaults(), turn: make(chan struct{}, 1)}
	if _, err := h.connect(ctx, false); err != nil {
		return nil, err
	}
	return h, nil
}

// place returns the one name of the index's directory, which it makes if it may.
// Its pictures are private, and so is the directory.
func place(dir string, create bool) (string, error) {
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return "", fmt.Errorf("index %s is a file: name a folder with --index: %w", dir, clipsearch.ErrInvalid)
	case errors.Is(err, fs.ErrNotExist) && !create:
		return "", fmt.Errorf("there is no index in %s: make one with `clipsearch ingest FOLDER --index %s`: %w", dir, dir, clipsearch.ErrNotFound)
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", notWritable(dir, err)
		}
	case err != nil:
		return "", fmt.Errorf("open index %s: %w", dir, err)
	}
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", fmt.Errorf("open index %s: %w", dir, err)
	}
	return abs, nil
}

// acquire becomes the owner or finds it. Whoever calls it has h.turn.
func (h *Handle) acquire(ctx context.Context) (link, error) {
	w := newWait(h.dir, h.options)
	for {
		t, err := own(h.dir, h.options)
		if err != nil {
			return nil, err
		}
		if t != nil {
			return t, nil
		}
		c, err := w.join(ctx)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, errNotReady) {
			return nil, err
		}
		if err := w.sleep(ctx, err); err != nil {
			return nil, err
		}
	}
}
