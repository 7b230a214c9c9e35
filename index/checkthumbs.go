package index

import (
	"context"
	"errors"
	"fmt"

	"github.com/clipsearch/clipsearch"
)

// lostThumb is a thumbnail that cannot be read, or is not there.
type lostThumb struct {
	id   clipsearch.ID
	what string
}

func (c *check) lostThumb(id clipsearch.ID, what string) {
	c.thumbs = append(c.thumbs, lostThumb{id, what})
}

// checkThumbs tries to make what is lost again, to tell whether that can be done, and
// with repair keeps it. Who cannot be given one stays without: no picture goes for
// want of a thumbnail. The caller holds no lock: decoding takes its time.
func (c *check) checkThumbs(ctx context.Context, repairing bool) error {
	for _, l := range c.thumbs {
		if err := ctx.Err(); err != nil {
			return err
		}
		jpeg, err := c.x.makeThumb(c.pictures[l.id].rec.image(l.id))
		if err != nil {
			c.wrong(l.id.String(), l.what+": the picture stays without until it can be made again: "+oneLine(err), nil)
		} else {
			c.wrong(l.id.String(), l.what+": repair makes it again from the picture's file", func(*repair) {})
		}
		if !repairing {
			continue
		}
		if err := c.x.replaceThumb(l.id, jpeg); err != nil {
			return fmt.Errorf("repair the thumbnail of picture %s: %w", l.id, err)
		}
	}
	return nil
}

// makeThumb makes a thumbnail of a picture's file.
func (x *Index) makeThumb(m clipsearch.Image) ([]byte, error) {
	if x.options.Thumb == nil {
		return nil, errors.New("this program makes no thumbnails")
	}
	jpeg, err := x.options.Thumb(m)
	if err == nil && (len(jpeg) == 0 || len(jpeg) > maxThumb) {
		err = fmt.Errorf("it has %d bytes, at most %d are kept", len(jpeg), maxThumb)
	}
	return jpeg, err
}

// replaceThumb gives a picture a thumbnail in place of one that cannot be read, or
// takes that away where jpeg is nil: an import brings it back then.
func (x *Index) replaceThumb(id clipsearch.ID, jpeg []byte) error {
	key := idKey(thumbPrefix, id)
	return x.update(func(t tx) error {
		if known, err := t.has(idKey(recordPrefix, id)); err != nil || !known {
			return err // deleted meanwhile
		}
		if _, err := t.get(key); err == nil {
			return nil // somebody has brought another
		}
		if jpeg == nil {
			return t.delete(key)
		}
		return t.set(key, jpeg)
	})
}
