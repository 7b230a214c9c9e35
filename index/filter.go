package index

import "github.com/clipsearch/clipsearch"

// admitter returns what reports whether f admits a doc; nil if it admits all. A
// picture whose record cannot be read is admitted by no filter.
func (m *memory) admitter(f clipsearch.Filter) func(doc) bool {
	if len(f) == 0 {
		return nil
	}
	return func(d doc) bool {
		img := m.images[d]
		return img != nil && f.Admits(*img)
	}
}
