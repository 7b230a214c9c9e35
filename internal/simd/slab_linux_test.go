package simd

import (
	"syscall"
	"testing"
)

// slab returns n bytes in huge pages, as the index holds its rows.
func slab(tb testing.TB, n int) []byte {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		tb.Fatal(err)
	}
	_ = syscall.Madvise(b, 14) // MADV_HUGEPAGE
	tb.Cleanup(func() { _ = syscall.Munmap(b) })
	return b
}
