// Package index keeps pictures, their vectors and their words, and finds them
// again. One process at a time has an index open (package owner sees to that).
//
// # What a directory holds
//
//	clipsearch.json         Meta: format, space, model, dimension, language; with a checksum
//	clipsearch.backup.json  the same once more
//	store/                  Badger: the truth
//	text/                   Bleve: derived from the store, rebuilt where it is missing
//	vectors/<space>/rows-N  numbers of the vectors, derived, for the last look at the best; see package ann
//	text.next/, text.old/   while the language changes: what takes its place, and what it was
//	models/<space>/         a copy of the files of each model that made vectors
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
//	M                       Meta a third time; where the files say otherwise they follow it
//	W                       the space that the index is being changed to, and whether pictures lack vectors
//	R                       the text index is being rebuilt
//	S/<space>               the manifest of the codes and the graph of a space: what they consist of
//	C/<space>/<epoch>/<n>   part n of the codes; an epoch ends when all are written anew
//	G/<space>/<gen>/<n>     part n of the graph, of the generation that the manifest names
//	g/<space>/<seq>         the pictures whose vectors changed in a transaction that the manifest does not know
//
// A space is 32 bytes, an id 16, a hash of a path the first 16 bytes of its
// SHA-256. Every value ends in the CRC-32C of its key and itself, so neither a
// flipped bit nor a value at the wrong key passes for data.
//
// # Spaces
//
// Vectors of several spaces lie side by side, and one space answers. Others are
// made of the same pictures: [Index.SwitchTo] notes which is wanted,
// [Index.Lacking] and [Index.Reencode] bring its vectors, [Index.Change] has it
// answer once no picture lacks them, [Index.Rollback] goes back. A change is one
// transaction, which M and W are part of; vectors in memory change under the same
// lock as what the index says it answers with, and a query that names another
// space ([clipsearch.InSpace]) is told so: no answer is of two spaces.
//
// # Codes and graph
//
// Searches go by what package ann derives of the vectors of the space that answers.
// A tender works behind them: it links new vectors, learns codes again, and writes
// what changed into parts, under generations of their own, and the manifest last.
// Who opens the index reads the parts and goes through the journal; where a part is
// missing or damaged, all is made again from the vectors, and until there is a
// graph, every vector is compared.
//
// # Laws
//
//   - The store alone is the truth. p/, n, x/ and text/ follow from m/, and C/, G/ and
//     vectors/ from v/; Check makes them again. Vectors and thumbnails follow from
//     the pictures alone.
//   - A batch is one transaction, written through to the disk before Put returns.
//     One that is too large for a transaction (1 MB of keys, records and vectors on
//     a small disk, 2 MB on others, or 4 MB of thumbnails) is several, each of whole
//     pictures; a smaller one either is there after a crash or is not.
//   - x/<id> is set by the transaction that changes what is searchable in a picture
//     and removed after Bleve has it on disk, so a crash between the two is healed
//     by the next Open, which tells Bleve of those pictures alone.
//   - Badger takes what it cannot read for the end: of a table, and of a value log. So
//     tables are verified before they are merged or exported, value logs are mended
//     before they are cut, and a key that must be there and is not is a damage until
//     the tables have proven whole.
//   - No picture goes because of what can be made again.
//   - The file system is asked for room before every write, and what Badger writes
//     through memory maps has its blocks before it is written: a disk that fills up
//     is [clipsearch.ErrNoSpace], not a crash.
package index
