// Package simd multiplies: the inner loops of the vector index, in assembly where
// the processor has the instructions and in Go elsewhere.
//
// # Numbers
//
// A code is a byte, 0 to 255; a number of a query is an int8, -64 to 64. Two
// products of such fit 16 bits (2·255·64 < 2^15), which is what the AVX2
// instruction VPMADDUBSW saturates at. So every version computes the same integers.
//
// A row of codes and a query have the same length, a multiple of [Align]; what a
// vector does not fill is zero. Nothing is read before the first or after the last
// byte of a slice. Sums of floating-point numbers differ between versions by what
// another order of additions makes.
package simd

// Align is what the length of a row is a multiple of.
const Align = 32

// Limit is the largest absolute number of a query.
const Limit = 64

// Padded returns the length of a row for vectors of dim numbers.
func Padded(dim int) int { return (dim + Align - 1) / Align * Align }
