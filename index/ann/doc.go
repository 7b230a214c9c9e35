// Package ann finds the nearest of many vectors of unit length: by comparing with
// every one, or by a hierarchical navigable small world (Malkov and Yashunin, 2016,
// 2018).
//
// # What is kept of a vector
//
// A vector is turned first: signs flipped, and mixed by a Walsh-Hadamard transform,
// so that no dimension stands out. Then it is written twice. Coarse codes of 4 bits
// a number, learned from the vectors, are what graphs are walked and rows scanned
// by: both wait for memory, and codes are an eighth of floats. Whole numbers of 24
// bits, which nothing is learned for, are what the best are scored by again, in the
// order of their coarse scores, until those leave no hope for the rest. Whole numbers
// lie in memory, or in a mapped file where each row has a checksum; a row that is
// damaged there is asked for from whoever keeps the vectors.
//
// # Rows and docs
//
// A row is one vector; rows are numbered in the order of their coming and never
// change. A doc is what the caller numbers, and may have several rows: the best
// counts. Rows of a removed doc are dead: they still lead walks on, but are not
// found. When many are, [Index.Work] writes all rows anew.
//
// # Who waits for whom
//
// Searches for nobody. Add and Remove for each other alone: new rows are compared
// one by one until Work, behind everybody, has linked them. Neither locks nor copies:
// what searches see they reach through atomic words, and what is replaced is given
// back when nobody reads it any more.
//
// # Ways to search
//
// See plan: every row; every row of the docs that a filter admits; a walk; a walk in
// steps of two over the admitted alone (ACORN, Patel et al. 2024). A graph that does
// not find its own vectors' neighbours, as of vectors without any structure, is not
// used.
package ann
