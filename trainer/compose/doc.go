// Package compose puts towers together from what others have trained and from new
// heads: a backbone's graph goes on with a head that is trained, so that two backbones
// that know nothing of each other meet in one space. What comes out is a tower like
// any other: an inference graph whose weights the engine may train.
package compose
