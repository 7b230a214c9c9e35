package ingest

import (
	"errors"
	"fmt"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/picture"
)

// thumbSide is the longest side of a thumbnail.
const thumbSide = 384

// Thumb makes a known picture's thumbnail again, as an ingest makes it, from the
// first of its files that still holds it. It is an error where none does.
func Thumb(m clipsearch.Image) ([]byte, error) {
	var files originals
	why := errors.New("it was seen in none")
	for _, f := range m.Files {
		data, err := files.read(f, m)
		if err == nil {
			return thumbOf(data, thumbSide)
		}
		why = err
	}
	return nil, fmt.Errorf("its file cannot be read: %w", why)
}

// read returns the file's bytes if they are still the picture m.
func (o *originals) read(f clipsearch.File, m clipsearch.Image) ([]byte, error) {
	at, there := o.find(f, m.Bytes)
	if !there {
		return nil, fmt.Errorf("%s is gone or has another size", f.Path)
	}
	data, err := at.read()
	if err == nil && clipsearch.NewID(data) != m.ID {
		err = fmt.Errorf("%s is another picture by now", f.Path)
	}
	return data, err
}

// thumbOf makes the thumbnail of a file. A decoder's panic is the picture's fault.
func thumbOf(data []byte, side int) (jpeg []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the decoder gave up: %v: %w", p, clipsearch.ErrInvalid)
		}
	}()
	img, info, err := picture.Decode(data, picture.Options{Upright: true})
	if err != nil {
		return nil, plain(err)
	}
	if picture.ServesAsThumb(data, info, side, maxOwnThumb) {
		return data, nil
	}
	return picture.Thumb(img, side)
}
