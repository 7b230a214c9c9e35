// Package index keeps pictures, their vectors and their words, and finds them
// again. One process at a time has an index open (package owner sees to that).
//
// # What a directory holds
//
//	clipsearch.json         Meta: format, space, model, dimension, language; with a checksum
//	clipsearch.backup.json  the same once more
//	store/                  Badger: the truth
//	text/                   Bleve: derived from the store, rebuilt where it is missing
//	text.next/, text.old/   while the language changes: what takes its place, and what it was
//	models/<space>/         a copy of the files of the model that made the vectors
//	store.seal, text.seal   there while the index is closed: what its files were like
//
// # Keys of the store
//
//	m/<id>                  record: all of [clipsearch.Image], and which vectors there are; CBOR
//	v/<space>/<id>/<n>      vector n of a picture, little-endian float32; n is two bytes, big-endian
//	c/<space>/<id>/<n>      vector of the picture's caption n
//	t/<id>                  thumbnail, JPEG
//	p/<hash of path>        the picture seen at a path, with size and time of the file
//	x/<id>                  the text index does not know this picture as it is now
//	n                       counts, which Stats tells without counting
//	s/<space>               the model of a space; vectors of a space without this are foreign
//	M                       Meta a third time, so that a lost file can be made again
//	R                       the text index is being rebuilt
//
// A space is 32 bytes, an id 16, a hash of a path the first 16 bytes of its
// SHA-256. Every value ends in the CRC-32C of its key and itself, so neither a
// flipped bit nor a value at the wrong key passes for data.
//
// # Laws
//
//   - The store alone is the truth. p/, n, x/ and text/ follow from m/ and are made
//     again by Check; vectors and thumbnails follow from the pictures alone.
//   - A batch is one transaction, written through to the disk before Put returns.
//     One that is too large for a transaction (1 MB of keys, records and vectors on
//     a small disk, 2 MB on others, or 4 MB of thumbnails) is several, each of whole
//     pictures; a smaller one either is there after a crash or is not.
//   - x/<id> is set by the transaction that changes what is searchable in a picture
//     and removed after Bleve has it on disk, so a crash between the two is healed
//     by the next Open, which tells Bleve of those pictures alone.
//   - The file system is asked for room before every write, and what Badger writes
//     through memory maps has its blocks before it is written: a disk that fills up
//     is [clipsearch.ErrNoSpace], not a crash.
package index
