package picture

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"io"
	"slices"
	"time"

	"github.com/clipsearch/clipsearch"
)

// Options of [Decode].
type Options struct {
	MaxPixels int64 // more are refused; 200 million if zero
	Upright   bool  // turn the picture by its EXIF orientation
}

const maxPixels = 200_000_000

// Info is what a file tells of its picture.
type Info struct {
	Format        string    // "jpeg", "png", "gif", "webp", "bmp" or "tiff"
	Width, Height int       // of what Decode returned; from Probe: as a person sees it, upright
	Orientation   int       // as EXIF has it, 1 to 8; 1 if it has none
	TakenAt       time.Time // zero if unknown; a camera that names no zone is taken to be in UTC
	Camera        string    // maker and model; empty if unknown
}

// Decode returns the pixels of a file. Alpha is 255 everywhere: where the file
// has some, it is dropped, not composited.
func Decode(file []byte, o Options) (img *image.RGBA, info Info, err error) {
	defer func() { err = sealed(err, recover()) }()
	f, info, err := probe(file)
	if err != nil {
		return nil, info, err
	}
	if err := admit(info, cmp.Or(o.MaxPixels, maxPixels)); err != nil {
		return nil, info, err
	}
	if img, err = f.decode(file); err != nil {
		return nil, info, told(info.Format, err)
	}
	if o.Upright {
		img = turned(img, info.Orientation)
	}
	info.Width, info.Height = img.Rect.Dx(), img.Rect.Dy()
	return img, info, nil
}

// Probe reads the header and the EXIF block of a file, and no pixels.
func Probe(file []byte) (info Info, err error) {
	defer func() { err = sealed(err, recover()) }()
	_, info, err = probe(file)
	if info.Orientation > 4 {
		info.Width, info.Height = info.Height, info.Width
	}
	return info, err
}

// probe returns the sides as they lie in the file.
func probe(file []byte) (format, Info, error) {
	f, err := formatOf(file)
	if err != nil {
		return f, Info{}, err
	}
	info := Info{Format: f.name, Orientation: 1}
	c, err := f.config(file)
	if err != nil {
		return f, info, told(f.name, err)
	}
	info.Width, info.Height = c.Width, c.Height
	if c.Width <= 0 || c.Height <= 0 {
		return f, info, fmt.Errorf("%s: %d x %d pixels, so none at all: %w", f.name, c.Width, c.Height, clipsearch.ErrInvalid)
	}
	if f.least != nil && int64(len(file)) < f.least(file, c) {
		return f, info, fmt.Errorf("%s: %d bytes cannot hold %d x %d pixels: %w", f.name, len(file), c.Width, c.Height, clipsearch.ErrInvalid)
	}
	readEXIF(file, &info)
	return f, info, nil
}

func admit(info Info, limit int64) error {
	if int64(info.Width)*int64(info.Height) <= limit {
		return nil
	}
	text := fmt.Sprintf("%d", limit)
	if limit%1e6 == 0 {
		text = fmt.Sprintf("%d million", limit/1e6)
	}
	return fmt.Errorf("%s: %d x %d pixels, more than the limit of %s: %w", info.Format, info.Width, info.Height, text, clipsearch.ErrInvalid)
}

// told says what a decoder complains of.
func told(format string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: the file ends before the picture does: %w", format, clipsearch.ErrInvalid)
	}
	return fmt.Errorf("%s: %v: %w", format, trimmed(format, err.Error()), clipsearch.ErrInvalid)
}

// sealed returns err, or an error for a panic that a broken file has caused in
// a decoder.
func sealed(err error, panicked any) error {
	if panicked == nil {
		return err
	}
	return fmt.Errorf("the file is broken and led its decoder astray (%.200v): %w", panicked, clipsearch.ErrInvalid)
}

// Extensions returns the file name extensions of what Decode reads, lower case.
// They are a hint where to look: contents decide.
func Extensions() []string {
	var all []string
	for _, f := range formats() {
		all = append(all, f.extensions...)
	}
	slices.Sort(all)
	return all
}
