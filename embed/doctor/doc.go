// Package doctor finds out whether a model computes what it should.
//
// [Examine] looks at a model's files, runs its towers on photographs and captions
// that come with the program, and gives a [Report]: a verdict and one [Check] for
// each thing that was looked at. It proves what can be proven: that the files are
// whole, that no weight is lost, that pictures find their captions, that no other
// way of preparing pictures finds them clearly better. With random weights most of
// that cannot be told, and the verdict is then [Unproven], not [Broken]: broken is
// only what is known to be wrong, and the check that failed says what.
//
// [Quick] is the part of it that is cheap enough to run before every large job.
// [Drift] measures how far one precision of a model is from another.
package doctor
