//go:build unix && !linux

package ann

import "os"

// reserve has f reach to at+size. There is no call that all systems share to take
// blocks.
func reserve(f *os.File, at, size int64) error { return lengthen(f, at+size) }
