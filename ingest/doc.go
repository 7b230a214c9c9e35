// Package ingest turns folders of pictures into entries of an index.
//
// A [Pipeline] walks its roots, leaves out what the store has seen, reads,
// hashes, decodes and shrinks the rest, has it encoded in batches and puts it
// into the store. Its laws:
//
//   - Every file that is found is counted once: stored, known, moved or failed.
//   - One bad picture never ends a run; a store that refuses a batch does.
//   - What is counted as stored is stored: it is counted after Put has returned.
//   - A run that was cut off is resumed by running it again; a file that the
//     store has seen costs its place in the walk, and is not opened.
//   - Memory does not grow with the size or the number of the pictures: only
//     what the model sees and a thumbnail travel from stage to stage, and few
//     large pictures are decoded at once.
//
// # Reading the source
//
// [Pipeline.Run] names the stages. scan.go finds files, sift.go asks which are
// new, prepare.go reads and decodes, encode.go makes vectors, settle.go stores
// and counts. Captions come from files (captions.go) and from texts beside the
// pictures (sidecar.go).
//
// # Archives
//
// A .tar or .zip that is named as a root counts as a folder. A picture in it has
// the path of the archive, "!/" and its name there: /photos/2019.zip!/beach/1.jpg.
package ingest
