package ingest

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"sync"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/picture"
)

// originals find the files of known pictures again. An archive's list of members
// is read once.
type originals struct {
	mu       sync.Mutex
	archives map[string]map[string]member
}

// original returns what the model sees of a picture, from the first of its files
// that still holds it; nil where none does.
func (r *reencoding) original(ctx context.Context, s *run, m clipsearch.Image) (*image.RGBA, error) {
	for _, f := range m.Files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		fit, err := r.fromFile(ctx, s, m, f)
		if err != nil || fit != nil {
			return fit, err
		}
	}
	return nil, nil
}

func (r *reencoding) fromFile(ctx context.Context, s *run, m clipsearch.Image, f clipsearch.File) (*image.RGBA, error) {
	at, there := r.files.find(f, m.Bytes)
	if !there {
		return nil, nil
	}
	free, err := acquire(ctx, s.reading, at.file.Size, s.Memory)
	if err != nil {
		return nil, err
	}
	defer free()
	data, err := at.read()
	if err != nil || clipsearch.NewID(data) != m.ID {
		return nil, nil // another picture by now, or none
	}
	fit, _, err := r.fit(ctx, s, data)
	return fit, err
}

// find returns the file if it has the picture's size; other bytes are not read.
func (o *originals) find(f clipsearch.File, size int64) (found, bool) {
	archive, name, packed := splitMember(f.Path)
	if packed {
		m, ok := o.member(archive, name)
		f.Size = m.size
		return found{file: f, open: m.open}, ok && m.err == nil && m.size == size
	}
	info, err := os.Stat(f.Path)
	if err != nil || irregular(info) != nil || info.Size() != size {
		return found{}, false
	}
	f.Size = size
	return found{file: f, open: func() (io.ReadCloser, error) { return openRegular(f.Path) }}, true
}

func (o *originals) member(archive, name string) (member, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	list, known := o.archives[archive]
	if !known {
		if list = map[string]member{}; o.archives == nil {
			o.archives = map[string]map[string]member{}
		}
		o.archives[archive] = list
		if info, err := os.Stat(archive); err == nil {
			_ = members(root{archive, info}, func(m member) error { // one that is damaged has fewer
				if _, twice := list[m.cleanName()]; !twice {
					list[m.cleanName()] = m
				}
				return nil
			})
		}
	}
	m, ok := list[name]
	return m, ok
}

// thumbnail returns what the model sees of a picture's thumbnail. small is false
// where the picture itself is kept as its thumbnail. bad is what is wrong with it.
func (r *reencoding) thumbnail(ctx context.Context, s *run, id clipsearch.ID) (fit *image.RGBA, small bool, bad, err error) {
	data, err := r.Store.Thumb(ctx, id)
	if errors.Is(err, clipsearch.ErrNotFound) {
		return nil, false, errors.New("its files are gone, and it has no thumbnail"), nil
	}
	if err != nil {
		return nil, false, plain(err), ctx.Err()
	}
	fit, bad, err = r.fit(ctx, s, data)
	if bad != nil {
		bad = plain(fmt.Errorf("its files are gone, and its thumbnail: %w", bad))
	}
	return fit, clipsearch.NewID(data) != id, bad, err
}

// fit returns what the model sees of a picture. A decoder's panic is the picture's
// fault, as in an ingest.
func (r *reencoding) fit(ctx context.Context, s *run, data []byte) (fit *image.RGBA, bad, err error) {
	defer func() {
		if p := recover(); p != nil {
			bad = plain(fmt.Errorf("the decoder gave up: %v: %w", p, clipsearch.ErrInvalid))
		}
	}()
	info, bad := picture.Probe(data)
	if bad != nil {
		return nil, plain(bad), nil
	}
	bad, err = s.withPixels(ctx, data, info, func(img *image.RGBA) error {
		fit = r.Encoder.Fit(img)
		return nil
	})
	return fit, bad, err
}
