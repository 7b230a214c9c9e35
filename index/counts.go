package index

import (
	"errors"
	"fmt"

	"github.com/clipsearch/clipsearch"
)

// counts is what n holds.
type counts struct {
	Images   int           `cbor:"1,keyasint"`
	Files    int           `cbor:"2,keyasint"`
	Captions int           `cbor:"3,keyasint"`
	Spaces   []spaceCounts `cbor:"4,keyasint,omitempty"`
}

// spaceCounts is how many pictures have vectors of a space.
type spaceCounts struct {
	Space  []byte `cbor:"1,keyasint"`
	Images int    `cbor:"2,keyasint"`
	Thumbs int    `cbor:"3,keyasint,omitempty"` // of Images, whose vectors are the thumbnail's
}

// spaceEntry is what s/<space> holds.
type spaceEntry struct {
	Model string `cbor:"1,keyasint"`
	Dim   int    `cbor:"2,keyasint"`
}

// add counts what r says sign times.
func (c *counts) add(r *record, sign int) {
	if r == nil {
		return
	}
	c.Images += sign
	c.Files += sign * len(r.Files)
	c.Captions += sign * len(r.Captions)
	for _, s := range r.Stored {
		if s.Vectors > 0 {
			c.space(s.Space).Images += sign
			if s.Thumb {
				c.space(s.Space).Thumbs += sign
			}
		}
	}
}

func (c *counts) space(space []byte) *spaceCounts {
	for i := range c.Spaces {
		if string(c.Spaces[i].Space) == string(space) {
			return &c.Spaces[i]
		}
	}
	c.Spaces = append(c.Spaces, spaceCounts{Space: space})
	return &c.Spaces[len(c.Spaces)-1]
}

// of returns how many pictures have vectors of space.
func (c *counts) of(space clipsearch.Space) spaceCounts { return *c.space(space[:]) }

// counts reads n. There is none before the first picture.
func (t tx) counts() (c counts, err error) {
	b, err := t.get([]byte(countsKey))
	if errors.Is(err, errMissing) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	return c, decode(b, &c)
}

// countsError says what to do about n.
func countsError(err error) error {
	if errors.Is(err, errDamaged) {
		return fmt.Errorf("read counts: %w: run `clipsearch check --repair`", err)
	}
	return fmt.Errorf("read counts: %w", err)
}
