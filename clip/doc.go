// Package clip knows what a CLIP model is, whoever runs it: the manifest and
// the directory layouts found in the wild, how pixels become the image tower's
// input, and how words become the text tower's.
//
// Encoder and trainer share it, so that a picture is prepared and a text is cut
// in one way only: a model that is served as it was not trained is the quietest
// of all bugs.
//
// CLIP: Radford et al., Learning Transferable Visual Models From Natural
// Language Supervision, 2021.
package clip
