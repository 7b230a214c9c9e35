// Package owner lets many processes work with one index at once, although the
// store behind it allows a single opener.
//
// [Acquire] makes the calling process the owner of the index in a directory, or
// a client of the process that owns it already. Either way the caller holds a
// [Handle], which has the methods of the index and never says which it is
// unless asked: what works with an index works through an owner, with the same
// answers and the same errors.
//
// # What lies in the directory
//
//	owner.lock   locked by the owner while it lives; the kernel frees it, whatever befalls the process
//	owner.json   who the owner is, where it listens, and a secret that its clients must know (mode 0600)
//	owner.sock   the socket (mode 0600); absent where the owner listens on a loopback port
//
// The lock alone decides who owns: the other two files may be stale, and are
// believed only after the process behind them has proven that it knows the secret.
//
// # How an owner ends
//
// Every client keeps one request open, its lifeline. An owner that leaves takes
// no new calls, ends those begun, says so on the lifelines and only then goes.
// Its clients notice nothing: their next call finds another owner, or makes
// their own process the owner. A lifeline that breaks without a word is a crash.
// Then reads are asked again of the next owner, and writes fail: a write may or
// may not have reached the disk, and whoever began it should know.
//
// # The wire
//
// Calls are POST requests of HTTP/1.1, bodies are CBOR: it tells nil from empty,
// which [clipsearch.Entry] gives a meaning, keeps paths that are not UTF-8, and
// its decoder is made for bytes from outside. The calls are the table in
// method.go, which both ends read.
package owner
