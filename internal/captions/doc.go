// Package captions reads the files that say which captions belong to which pictures,
// for those that judge a model by them and those that train one.
package captions
