// Package trainer makes models of pictures and their captions.
//
// # What is trained, and what is frozen
//
// Without Init a network is made: a small CLIP (Radford et al. 2021) of two
// transformers, with a vocabulary learned from the captions; all of it is trained. With
// Init a model is trained on: the weights of its towers that TrainConfig selects, which
// may be all, those from one of the last blocks on, or what patterns of names match.
// The means and variances of batch norms stay as they are, and so do the kernels of
// convolutions by channels, whose gradients have no cheap form. With LockImage (LiT,
// Zhai et al. 2022) the image tower is not even run: its features are made once and
// kept on the disk, and a text tower, old or new, learns to go with them, through a head
// where dimensions differ. The temperature is trained in all cases, unless LearnScale is
// off, and kept under LogitScaleMax.
//
// # How
//
// [Prepare] reads the data. [Run.Train] is the loop. A [Learner] is what it steps: towers
// and loss are graphs that ONNX Runtime runs (package engine), AdamW is Go (package
// optim) or, with InGraph, a graph too (package ingraph), pairs come from package data. What is judged best on the validation set is
// exported: a checkpoint in the layout that it was read in, or graphs.
//
// # A run can be done again
//
// A run is a function of its configuration, its data, the model that it begins with, and
// the seed: order, augmentation, dropout and first weights are drawn from the seed and
// the step, never from what was drawn before. On the same machine, with the same
// program, ONNX Runtime and number of threads, losses are the same to the last bit; so are
// those of a run that was stopped, killed or out of disk and went on from a checkpoint.
// Elsewhere their last digits differ. [RecordName] in the run's folder tells all of
// these, and the command.
//
// # What is on the disk
//
// While it trains, the folder holds train.json (the record), log.jsonl (a line for every
// step and validation), checkpoints and .work, which can be made again. At the end it is
// a model's directory, with report.html and MODEL_CARD.md; the record and the log stay.
// Nothing takes its name before it is whole and on the disk, the last checkpoint but one
// is kept until the last is, and a folder with anything else in it is never touched.
package trainer
