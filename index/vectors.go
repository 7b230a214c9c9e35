package index

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/clipsearch/clipsearch"
)

// doc numbers a picture, or a text, in memory. Numbers are dense.
type doc uint32

// neighbor is a doc and its cosine.
type neighbor struct {
	doc   doc
	score float32
}

// vectors finds the docs whose vectors are nearest. The tests have one more
// implementation, which compares with every vector and judges the other. A doc with
// several vectors counts once, with its best.
type vectors interface {
	Add(d doc, v clipsearch.Vector) error
	Remove(d doc)                                                           // all of its vectors
	Search(v clipsearch.Vector, k int, admitted *roaring.Bitmap) []neighbor // best first; nil admits all
	Len() int                                                               // vectors
}
