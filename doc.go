// Package clipsearch holds the words the rest of the engine is written in:
// [ID], [Space], [Vector], [Image], [Entry], [Filter] and [Hit]. It imports the
// standard library only, and every other package may import it.
//
// # Invariants
//
//   - An ID is the hash of a picture's bytes, so the same file twice is one
//     picture with two paths.
//   - A Vector has length one and no NaN. Whoever makes one calls [Unit]; nobody
//     downstream normalizes again, and a dot product is a cosine.
//   - A Vector belongs to a [Space]. Vectors of two spaces never meet.
//   - Scores grow with relevance, in every package.
//   - A decoded picture is an [image.RGBA] whose alpha is 255 everywhere.
package clipsearch
