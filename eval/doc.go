// Package eval tells how good a model and a search are, with the figures that
// papers print and under their conditions.
//
// Retrieval is judged as CLIP's successors are: every caption looks for its
// picture among all pictures, and every picture for its captions among all
// captions, by exact cosine. [Dataset] reads the annotation files that circulate,
// [Run] encodes what they name, [Retrieve] turns embeddings into a [Report].
//
// Naming is judged likewise: [ReadLabelled] reads pictures with their classes,
// [ZeroShot] encodes them and the names in templates, [Classify] turns logits into a
// [Classification].
//
// # Ranks
//
// Ranks count from 1. Scores are compared as float64 has them; of equal ones the
// earlier row stands first, as a stable sort would have it, so that a model that
// gives every picture the same vector gets what guessing gets and not full marks.
package eval
