// Package embed runs a model: pictures and texts in, unit vectors out.
//
// One path leads from a picture to its vector: [Encoder.Fit] makes what the
// model sees, in 8-bit pixels, and [Encoder.EncodeImages] takes that or any
// other picture, fitting it first. Fit of a fitted picture is the picture, so
// whoever shrinks early, to carry less, gets the same vector.
package embed
