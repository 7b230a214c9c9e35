package index

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/clipsearch/clipsearch"
)

// checkPictures looks for what pictures should have and have not.
func (c *check) checkPictures() {
	ids := make([]clipsearch.ID, 0, len(c.pictures))
	for id := range c.pictures {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b clipsearch.ID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids {
		p := c.pictures[id]
		if p.lost {
			continue
		}
		c.counted.add(&p.rec, 1)
		if !p.thumb {
			c.lostThumb(id, "thumbnail is missing")
		}
		if p.paths < len(p.rec.Files) {
			c.wrong(id.String(), fmt.Sprintf("%d of %d paths lead nowhere", len(p.rec.Files)-p.paths, len(p.rec.Files)), func(r *repair) { r.paths[id] = true })
		}
		c.checkAnswers(id, p)
		c.checkStored(id, p)
	}
}

// checkStored compares the vectors found with those that the record promises.
func (c *check) checkStored(id clipsearch.ID, p *picture) {
	for _, want := range p.rec.Stored {
		space := clipsearch.Space(want.Space)
		var got stored
		for _, s := range p.found {
			if string(s.Space) == string(want.Space) {
				got = s
			}
		}
		if space != c.x.meta().Space {
			if got.Vectors < want.Vectors || got.Captions < want.Captions {
				c.wrongIn(id, space, fmt.Sprintf("vectors of space %.12s are missing", space))
			}
			continue
		}
		if got.Vectors < want.Vectors {
			c.wrongVector(id, fmt.Sprintf("%d of %d vectors are missing", want.Vectors-got.Vectors, want.Vectors))
		}
		if got.Captions < want.Captions {
			c.wrongCaptions(id, fmt.Sprintf("%d of %d caption vectors are missing", want.Captions-got.Captions, want.Captions))
		}
		if want.Captions != 0 && want.Captions != len(p.rec.Captions) {
			c.wrongCaptions(id, fmt.Sprintf("%d caption vectors of %d captions", want.Captions, len(p.rec.Captions)))
		}
	}
}

// checkCounts compares n with what was counted. A picture whose record cannot be
// read is in n, but nobody knows with how many files.
func (c *check) checkCounts() {
	for _, p := range c.pictures {
		if p.lost {
			return // repair counts anew
		}
	}
	want, got := c.counted, c.stored
	same := want.Images == got.Images && want.Files == got.Files && want.Captions == got.Captions
	for _, s := range append(slices.Clone(want.Spaces), got.Spaces...) {
		a, b := want.space(s.Space), got.space(s.Space)
		same = same && a.Images == b.Images && a.Thumbs == b.Thumbs
	}
	if !same && got.Images >= 0 {
		c.wrong("store", fmt.Sprintf("stale counts: %d pictures, %d files, %d captions are noted, %d, %d, %d are here",
			got.Images, got.Files, got.Captions, want.Images, want.Files, want.Captions), func(r *repair) { r.counts = true })
	}
}

// keyName is how a key without a picture is told.
func keyName(key []byte) string {
	if len(key) < 2 || key[1] != '/' {
		return fmt.Sprintf("%q", key)
	}
	return fmt.Sprintf("%s%x", key[:2], key[2:])
}
