package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropCache has the system forget what it holds of f in memory.
func dropCache(f *os.File) error { return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
