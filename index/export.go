package index

import (
	"context"
	"errors"
	"fmt"

	"github.com/clipsearch/clipsearch"
)

// exportBytes is what a page of an export has at most, but for its last picture.
const exportBytes = 8 << 20

// Export returns the first pictures whose IDs come after one, limit at most and at
// least one unless there is none: all that the index holds of each, in every space.
//
// A page is of one moment, so a picture is whole or absent; and as IDs neither
// change nor come in any order, whoever asks for page after page gets every picture
// that was there throughout. A picture that has come to harm is an error, which
// Check names too. So is a table of the store that has: it is looked for before the first
// page and at the one after the last, which has no pictures.
func (x *Index) Export(ctx context.Context, after clipsearch.ID, limit int) ([]clipsearch.Record, error) {
	if limit < 1 {
		return nil, fmt.Errorf("export: %d pictures asked for: %w", limit, clipsearch.ErrInvalid)
	}
	if after == (clipsearch.ID{}) {
		if err := x.store.whole(); err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
	}
	var page []clipsearch.Record
	err := x.view(ctx, func(t tx) error {
		dims, err := t.dims()
		if err != nil {
			return err
		}
		size := 0
		return t.scanFrom([]byte(recordPrefix), idKey(recordPrefix, after), true, func(key, value []byte, err error) error {
			id, ok := parseIDKey(key)
			if !ok || id == after {
				return ctx.Err()
			}
			if len(page) == limit || size > exportBytes {
				return errStop
			}
			r, n, err := t.whole(id, value, err, dims)
			page, size = append(page, r), size+n
			return errors.Join(err, ctx.Err())
		})
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	if err == nil && len(page) == 0 {
		err = x.store.whole()
	}
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return page, nil
}

// dims returns the dimension of every space that the store knows.
func (t tx) dims() (map[clipsearch.Space]int, error) {
	dims := map[clipsearch.Space]int{}
	err := t.scan([]byte(spacePrefix), true, func(key, value []byte, err error) error {
		var e spaceEntry
		if err == nil {
			err = decode(value, &e)
		}
		if err != nil || len(key) != 2+len(clipsearch.Space{}) {
			return fmt.Errorf("space %s is damaged: run `clipsearch check --repair`", keyName(key))
		}
		dims[clipsearch.Space(key[2:])] = e.Dim
		return nil
	})
	return dims, err
}

// whole returns a picture and about how many bytes it has. value and err are what
// was read of its record.
func (t tx) whole(id clipsearch.ID, value []byte, err error, dims map[clipsearch.Space]int) (r clipsearch.Record, size int, _ error) {
	var rec record
	if err == nil {
		rec, err = decodeRecord(value)
	}
	if err != nil {
		return r, 0, pictureError(id, "record", errDamaged)
	}
	r.Image = rec.image(id)
	if r.Thumb, err = t.get(idKey(thumbPrefix, id)); err != nil {
		return r, 0, lostError(id, "thumbnail", err)
	}
	size = len(r.Thumb) + len(value)
	for _, s := range rec.Stored {
		space := clipsearch.Space(s.Space)
		dim, known := dims[space]
		if !known {
			continue // Check calls it foreign
		}
		v := clipsearch.SpaceVectors{Space: space, Thumb: s.Thumb}
		if v.Vectors, err = t.vectors(vectorPrefix, space, id, s.Vectors, dim); err != nil {
			return r, 0, lostError(id, "vector", err)
		}
		if v.Captions, err = t.vectors(captionPrefix, space, id, s.Captions, dim); err != nil {
			return r, 0, lostError(id, "vector of a caption", err)
		}
		if len(v.Vectors)+len(v.Captions) > 0 {
			r.Vectors = append(r.Vectors, v)
			size += 4 * dim * (s.Vectors + s.Captions)
		}
	}
	return r, size, nil
}

// lostError says what cannot be exported: a part that the record promises.
func lostError(id clipsearch.ID, part string, err error) error {
	if !errors.Is(err, errMissing) && !errors.Is(err, errDamaged) {
		return pictureError(id, part, err)
	}
	return fmt.Errorf("a %s of picture %s is lost (%v): run `clipsearch check --repair` and export again, or save the rest with `clipsearch export FILE --allow-damage`", part, id, err)
}

// vectors returns n vectors of a picture, nil where n is 0.
func (t tx) vectors(prefix string, space clipsearch.Space, id clipsearch.ID, n, dim int) ([]clipsearch.Vector, error) {
	var list []clipsearch.Vector
	for i := range n {
		b, err := t.get(vectorKey(prefix, space, id, i))
		if err != nil {
			return nil, err
		}
		v := make(clipsearch.Vector, dim)
		if decodeVector(v, b) != nil {
			return nil, errDamaged
		}
		list = append(list, v)
	}
	return list, nil
}
