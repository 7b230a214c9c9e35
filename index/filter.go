package index

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/clipsearch/clipsearch"
)

// admitted returns the docs that f admits; nil if it admits all. A picture whose
// record cannot be read is admitted by no filter.
func (m *memory) admitted(f clipsearch.Filter) *roaring.Bitmap {
	if len(f) == 0 {
		return nil
	}
	return m.columns.admitted(f)
}

// in returns what reports whether a doc is one of docs; nil if they are all.
func in(docs *roaring.Bitmap) func(doc) bool {
	if docs == nil {
		return nil
	}
	return func(d doc) bool { return docs.Contains(uint32(d)) }
}

// isIn reports whether id is one of docs.
func (m *memory) isIn(docs *roaring.Bitmap, id clipsearch.ID) bool {
	d, ok := m.docs[id]
	return ok && docs.Contains(uint32(d))
}
