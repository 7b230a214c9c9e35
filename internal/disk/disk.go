// Package disk asks the file system for room before something is written to it, and
// tells its refusals.
package disk
