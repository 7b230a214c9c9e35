// Package data turns pictures with captions into the batches that a model is trained on.
//
// A [Set] is what an annotation file, a table, a list of JSON records or webdataset's
// tars name; a [Loader] draws batches from it: it picks, decodes, augments and
// normalises.
//
//   - A batch is a pure function of the seed and the number of its step. A run that is
//     resumed needs to know its step and nothing else, and the number of threads changes
//     no bit.
//   - A picture is seen once an epoch, and never twice in a batch.
//   - A damaged picture costs a line, not the run: another takes its place, the same one
//     every time.
//   - A mistake in a file is an error that wraps [clipsearch.ErrInvalid] and says where
//     it is.
package data
