// Package features keeps on disk what a frozen part of a network makes of the pictures
// of a set, so that it is computed once and not at every step (Zhai et al. 2022, LiT:
// the locked tower's embeddings are precomputed). There are as many views of a picture
// as are asked for; each view is a file, written aside and renamed when it is whole, so
// that a run that is killed loses one view at most.
package features
