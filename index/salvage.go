package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/clipsearch/clipsearch"
)

// Salvage is Export of an index that has come to harm: a page of what can be read of
// the pictures whose IDs come after one, and what is lost of them. A thumbnail that is
// lost is made again, where that can be done.
//
// Badger takes a block that it cannot read for the end of its table. So pictures are
// looked for in many short ranges of IDs, by each kind of key that has an ID, and each
// is then asked for by its name: what lies behind the block is found all the same.
func (x *Index) Salvage(ctx context.Context, after clipsearch.ID, limit int) (s clipsearch.Salvaged, err error) {
	if limit < 1 {
		return s, fmt.Errorf("salvage: %d pictures asked for: %w", limit, clipsearch.ErrInvalid)
	}
	bytesOf := x.store.rangeBytes()
	err = x.view(ctx, func(t tx) error {
		v := &salvage{x: x, t: t, dims: t.dimsLeft(x.meta()), page: &s}
		err := v.from(ctx, after, limit, bytesOf)
		if err == nil {
			s.Done = true
		}
		if errors.Is(err, errStop) {
			return nil
		}
		return err
	})
	if err != nil {
		return s, fmt.Errorf("salvage: %w", err)
	}
	return s, nil
}

// salvage is one call.
type salvage struct {
	x    *Index
	t    tx
	dims map[clipsearch.Space]int
	page *clipsearch.Salvaged
	size int
}

// rangeBytes is how many bytes of an ID a range has in common: few pictures should
// be in one, and a search for each takes its time.
func (s *store) rangeBytes() int {
	if s.tablesSize() < 4<<20 {
		return 1
	}
	return 2
}

// from goes through the ranges from the one of after on. errStop says that the page
// is full.
func (v *salvage) from(ctx context.Context, after clipsearch.ID, limit, bytesOf int) error {
	var first [2]byte
	copy(first[2-bytesOf:], after[:bytesOf])
	for n := int(binary.BigEndian.Uint16(first[:])); n < 1<<(8*bytesOf); n++ {
		var start [2]byte
		binary.BigEndian.PutUint16(start[:], uint16(n))
		ids, err := v.traces(start[2-bytesOf:])
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				return err
			}
			if bytes.Compare(id[:], after[:]) <= 0 && after != (clipsearch.ID{}) {
				continue
			}
			if len(v.page.Records)+len(v.page.Lost) >= limit || v.size > exportBytes {
				return errStop
			}
			v.take(id)
			v.page.After = id
		}
	}
	return nil
}

// traces returns the IDs that begin with start, of pictures of which any key is left.
func (v *salvage) traces(start []byte) ([]clipsearch.ID, error) {
	found := map[clipsearch.ID]bool{}
	prefixes := [][]byte{[]byte(recordPrefix), []byte(thumbPrefix)}
	for space := range v.dims {
		prefixes = append(prefixes, append(spaceKey(vectorPrefix, space), '/'))
	}
	for _, prefix := range prefixes {
		from := len(prefix)
		err := v.t.scan(append(prefix, start...), false, func(key, _ []byte, _ error) error {
			if len(key) >= from+len(clipsearch.ID{}) {
				found[clipsearch.ID(key[from:from+len(clipsearch.ID{})])] = true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b clipsearch.ID) int { return bytes.Compare(a[:], b[:]) }), nil
}

// take adds what is left of a picture to the page.
func (v *salvage) take(id clipsearch.ID) {
	rec, err := v.t.record(id)
	if err != nil {
		v.page.Lost = append(v.page.Lost, clipsearch.Loss{ID: id, Picture: true})
		return
	}
	lost := clipsearch.Loss{ID: id}
	r := clipsearch.Record{Image: rec.image(id)}
	if r.Thumb, err = v.t.get(idKey(thumbPrefix, id)); err != nil {
		if r.Thumb, err = v.x.makeThumb(r.Image); err != nil {
			r.Thumb, lost.Thumb = nil, true
		}
	}
	for _, s := range rec.Stored {
		got := clipsearch.SpaceVectors{Space: clipsearch.Space(s.Space), Thumb: s.Thumb}
		if dim, known := v.dims[got.Space]; known {
			got.Vectors, _ = v.t.vectors(vectorPrefix, got.Space, id, s.Vectors, dim)
			got.Captions, _ = v.t.vectors(captionPrefix, got.Space, id, s.Captions, dim)
		}
		if len(got.Vectors) < s.Vectors {
			got.Vectors, got.Thumb, lost.Vectors = nil, false, lost.Vectors+s.Vectors
		}
		if len(got.Captions) < s.Captions {
			got.Captions, lost.Vectors = nil, lost.Vectors+s.Captions
		}
		if len(got.Vectors)+len(got.Captions) > 0 {
			r.Vectors = append(r.Vectors, got)
		}
	}
	v.size += int(recordSize(r))
	v.page.Records = append(v.page.Records, r)
	if lost.Thumb || lost.Vectors > 0 {
		v.page.Lost = append(v.page.Lost, lost)
	}
}

// dimsLeft is dims as far as it can be read.
func (t tx) dimsLeft(m Meta) map[clipsearch.Space]int {
	dims := map[clipsearch.Space]int{}
	_ = t.scan([]byte(spacePrefix), true, func(key, value []byte, err error) error {
		var e spaceEntry
		if err == nil && len(key) == 2+len(clipsearch.Space{}) && decode(value, &e) == nil {
			dims[clipsearch.Space(key[2:])] = e.Dim
		}
		return nil
	})
	dims[m.Space] = m.Dim
	return dims
}

// checkRemains says of what pictures something is lost in a table that is damaged.
func (c *check) checkRemains(ctx context.Context, why error) error {
	var page clipsearch.Salvaged
	var err error
	read, lost := 0, 0
	for !page.Done {
		if page, err = c.x.Salvage(ctx, page.After, 256); err != nil {
			return fmt.Errorf("check: %w", err)
		}
		read += len(page.Records)
		for _, l := range page.Lost {
			c.wrong(l.ID.String(), lossText(l), nil)
			if l.Picture {
				lost++
			}
		}
	}
	if n, err := c.x.noted(ctx); err == nil {
		lost = max(lost, n-read)
	}
	what := fmt.Sprintf("a table is damaged (%v): %d pictures can be read, %d are lost: %s", why, read, lost, save)
	c.problems = slices.Insert(c.problems, 0, clipsearch.Problem{ID: "store", What: what})
	return nil
}

// noted returns how many pictures there should be.
func (x *Index) noted(ctx context.Context) (n int, err error) {
	err = x.view(ctx, func(t tx) error {
		c, err := t.counts()
		n = c.Images
		return err
	})
	return n, err
}

func lossText(l clipsearch.Loss) string {
	switch {
	case l.Picture:
		return "the picture is lost in a damaged table"
	case l.Thumb && l.Vectors > 0:
		return fmt.Sprintf("%d vectors and the thumbnail are lost in a damaged table", l.Vectors)
	case l.Thumb:
		return "the thumbnail is lost in a damaged table"
	}
	return fmt.Sprintf("%d vectors are lost in a damaged table", l.Vectors)
}
