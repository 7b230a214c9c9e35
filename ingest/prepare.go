package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"slices"

	"golang.org/x/sync/semaphore"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/picture"
)

// maxFile bounds the file of a picture.
const maxFile = 512 << 20

// item is a file on its way through the stages: found, then an entry or err.
type item struct {
	found
	entry   clipsearch.Entry
	fit     *image.RGBA // what the model sees; nil where no vector is wanted
	small   bool        // fit is the thumbnail's
	gone    []string    // earlier paths that no longer exist; they are forgotten
	outcome outcome
	put     bool  // there is something to store
	claimed bool  // it holds the claim on its picture
	twin    bool  // another file does
	err     error // why it is not stored; takes the place of found.err
}

type outcome int

const (
	outcomeKnown outcome = iota
	outcomeStored
	outcomeMoved
)

// prepareAll is one worker: it sends what needs vectors to gather, all else to settle.
func (r *run) prepareAll(ctx context.Context) error {
	for f := range r.unseen {
		it, err := r.prepare(ctx, f)
		if err != nil {
			return err
		}
		if it.err != nil && r.Ready != nil {
			it.err = atRow(it.row, it.err)
		}
		to := r.results
		if it.err == nil && !it.twin && (it.fit != nil || it.entry.Captions != nil) {
			to = r.ready
		}
		if err := send(ctx, to, it); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// prepare makes the item of a file. The error it returns is the run's; what is
// wrong with the file is in the item.
func (r *run) prepare(ctx context.Context, f found) (it item, err error) {
	it.found = f
	it.entry.Files = []clipsearch.File{f.file}
	if f.id != (clipsearch.ID{}) {
		return it, r.refresh(ctx, &it)
	}
	free, err := acquire(ctx, r.reading, f.file.Size, r.Memory)
	if err != nil {
		return it, err
	}
	defer free()
	data, bad := f.read()
	if bad != nil {
		it.err = plain(bad)
		return it, nil
	}
	it.entry.ID, it.entry.Bytes, it.entry.Space = clipsearch.NewID(data), int64(len(data)), r.Encoder.Space()
	if it.claimed = r.claims.take(it.entry.ID); !it.claimed {
		it.twin = true
		return it, nil
	}
	known, err := r.recall(ctx, &it)
	if err != nil || known {
		return it, err
	}
	it.outcome, it.put = outcomeStored, true
	it.entry.Captions = r.captions(f)
	it.err, err = r.decode(ctx, &it, data)
	return it, err
}

// anew reads and decodes the file of it once more.
func (r *run) anew(ctx context.Context, it *item) (bad, err error) {
	data, bad := it.read()
	if bad == nil && clipsearch.NewID(data) != it.entry.ID {
		bad = errors.New("the file changed while it was ingested: run it again")
	}
	if bad != nil {
		return plain(bad), nil
	}
	it.entry.Bytes = int64(len(data))
	return r.decode(ctx, it, data)
}

// refresh brings captions to the record of a file that the store has seen.
func (r *run) refresh(ctx context.Context, it *item) error {
	it.entry.ID, it.entry.Space = it.id, r.Encoder.Space()
	if it.claimed = r.claims.take(it.id); !it.claimed {
		it.twin = true
		return nil
	}
	rec, err := r.Store.Image(ctx, it.id)
	if errors.Is(err, clipsearch.ErrNotFound) {
		it.err = errors.New("its picture left the index a moment ago: run it again")
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up picture %s: %w", it.id, err)
	}
	it.entry.Captions = change(rec, it.file.Path, r.captions(it.found), nil)
	it.put = it.entry.Captions != nil
	return nil
}

// recall finds out whether the store has these bytes under other paths.
func (r *run) recall(ctx context.Context, it *item) (bool, error) {
	rec, err := r.Store.Image(ctx, it.entry.ID)
	if errors.Is(err, clipsearch.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up picture %s: %w", it.entry.ID, err)
	}
	it.put = true
	if old := rec.Paths(); !slices.ContainsFunc(old, func(p string) bool { return p == it.file.Path || !Gone(p) }) {
		it.outcome, it.gone = outcomeMoved, old
	}
	it.entry.Captions = change(rec, it.file.Path, r.captions(it.found), it.gone)
	return true, nil
}

// decode fills in what the pixels tell. bad is what is wrong with the picture, err
// what ends the run. A picture is data from outside: even a decoder's panic is no
// reason to stop.
func (r *run) decode(ctx context.Context, it *item, data []byte) (bad, err error) {
	defer func() {
		if p := recover(); p != nil {
			bad = plain(fmt.Errorf("the decoder gave up: %v: %w", p, clipsearch.ErrInvalid))
		}
	}()
	info, bad := picture.Probe(data)
	if bad != nil {
		return plain(bad), nil
	}
	it.entry.Format, it.entry.Width, it.entry.Height = info.Format, info.Width, info.Height
	it.entry.TakenAt, it.entry.Camera = info.TakenAt, info.Camera
	if r.Ready != nil {
		if bad := r.vector(it); bad != nil {
			return bad, nil
		}
	}
	if r.DryRun {
		it.entry.Captions = nil
		return nil, nil
	}
	return r.withPixels(ctx, data, info, func(img *image.RGBA) (bad error) {
		if it.entry.Thumb = data; !picture.ServesAsThumb(data, info, r.ThumbSide, maxOwnThumb) {
			if it.entry.Thumb, bad = picture.Thumb(img, r.ThumbSide); bad != nil {
				return bad
			}
		}
		if r.Ready == nil {
			it.fit = r.Encoder.Fit(img)
		}
		return nil
	})
}

// withPixels decodes a picture, with all others within the run's memory, and hands
// it to use. bad is what is wrong with the picture, err what ends the run.
func (r *run) withPixels(ctx context.Context, data []byte, info picture.Info, use func(*image.RGBA) error) (bad, err error) {
	free, err := acquire(ctx, r.pixels, bytesPerPixel*min(int64(info.Width)*int64(info.Height), r.Memory), r.Memory)
	if err != nil {
		return nil, err
	}
	defer free()
	img, _, bad := picture.Decode(data, picture.Options{MaxPixels: r.MaxPixels, Upright: true})
	if bad == nil {
		bad = use(img)
	}
	if bad != nil {
		return plain(bad), nil
	}
	return nil, nil
}

// maxOwnThumb is how large a small picture may be to be kept as its own thumbnail.
const maxOwnThumb = 48 << 10

// bytesPerPixel is what decoding takes: the decoder's own picture, and the RGBA.
const bytesPerPixel = 8

// acquire takes n of what s has, or all of it, and returns how to give it back.
func acquire(ctx context.Context, s *semaphore.Weighted, n, all int64) (func(), error) {
	n = min(max(n, 0), all)
	if err := s.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { s.Release(n) }, nil
}

// read returns the bytes of the file.
func (f found) read() ([]byte, error) {
	if f.file.Size > maxFile {
		return nil, tooLarge(uint64(f.file.Size))
	}
	open := f.open
	if open == nil {
		open = func() (io.ReadCloser, error) { return openRegular(f.file.Path) }
	}
	in, err := open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var buf bytes.Buffer
	buf.Grow(int(min(f.file.Size, 16<<20)) + bytes.MinRead) // an archive may lie
	n, err := buf.ReadFrom(io.LimitReader(in, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case n > maxFile:
		return nil, tooLarge(uint64(n))
	case n == 0:
		return nil, fmt.Errorf("the file is empty: %w", clipsearch.ErrInvalid)
	}
	return buf.Bytes(), nil
}

// openRegular opens a file, and nothing else that has come in its place since the walk.
func openRegular(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = irregular(info)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func tooLarge(n uint64) error {
	return fmt.Errorf("%d MB, and a picture may have %d: %w", n>>20, maxFile>>20, clipsearch.ErrInvalid)
}
