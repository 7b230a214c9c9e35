// Package stream writes an index as one file and reads it again: `clipsearch export`
// and `import`. docs/export.md is the description for those who read such a file
// with something else; this is the short one.
//
// A stream is a tar of these entries, in this order:
//
//	manifest.json                   [Manifest]: version, spaces, counts
//	models/<space>/<file>           the files of each model, where the index has them
//	sums/head.sha256                of all entries above
//	pictures/<shard>.ndjson         a line for each picture of the shard
//	vectors/<space>/<shard>.npy     float32 [rows, dim]; a picture's line says which rows are its own
//	captions/<space>/<shard>.npy    the same of its captions
//	thumbs/<shard>/<id>.jpg         a thumbnail for each picture, in the order of the lines
//	sums/<shard>.sha256             of all entries of the shard
//	…                               more shards
//	end.json                        [End]: exact counts, and the digest of all sums
//
// # Laws
//
//   - [Reader] gives nothing of a shard before the sums of all of it are right, and
//     says io.EOF only behind an end.json that agrees with all that came: a stream
//     that was cut or changed is an error, never a shorter stream.
//   - Neither end holds more than a shard in memory. A stream is data from outside:
//     what it says of sizes is not believed.
//   - Text is bytes: what is not UTF-8 comes back as it was.
package stream
