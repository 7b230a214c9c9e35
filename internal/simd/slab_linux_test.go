package simd

import (
	"os"
	"syscall"
	"testing"
)

// slab returns n bytes in huge pages, as the index holds its rows.
func slab(tb testing.TB, n int) []byte {
	b := pages(tb, n)
	_ = syscall.Madvise(b, 14) // MADV_HUGEPAGE
	return b
}

func pages(tb testing.TB, n int) []byte {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = syscall.Munmap(b) })
	return b
}

// fenced returns memories whose bytes lie just before a page, or just after one, that
// may be neither read nor written.
func fenced(tb testing.TB) []*memory {
	page := os.Getpagesize()
	size := 64 << 10 // more than any test asks for
	size = (size + page - 1) / page * page
	regions := make([][]byte, 6)
	for i := range regions {
		b := pages(tb, size+2*page)
		for _, fence := range [][]byte{b[:page], b[page+size:]} {
			if err := syscall.Mprotect(fence, syscall.PROT_NONE); err != nil {
				tb.Fatal(err)
			}
		}
		regions[i] = b[page : page+size]
	}
	at := func(after bool) *memory {
		m := &memory{}
		m.take = func(n int) []byte {
			b := regions[m.taken%len(regions)]
			if after {
				return b[:n:n]
			}
			return b[size-n:]
		}
		return m
	}
	return []*memory{at(false), at(true)}
}
