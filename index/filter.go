package index

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/clipsearch/clipsearch"
)

// admitted returns the docs that f admits; nil if it admits all. A picture whose
// record cannot be read is admitted by no filter.
func (p *pictures) admitted(f clipsearch.Filter) *roaring.Bitmap {
	if len(f) == 0 {
		return nil
	}
	return p.columns.admitted(f)
}

// isIn reports whether id is one of docs.
func (p *pictures) isIn(docs *roaring.Bitmap, id clipsearch.ID) bool {
	d, ok := p.docs[id]
	return ok && docs.Contains(uint32(d))
}
