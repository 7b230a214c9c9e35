package index

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/clipsearch/clipsearch"
)

// isIn reports whether id is one of docs.
func (p *pictures) isIn(docs *roaring.Bitmap, id clipsearch.ID) bool {
	d, ok := p.docs[id]
	return ok && docs.Contains(uint32(d))
}
