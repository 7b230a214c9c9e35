package optim

import (
	"syscall"
	"unsafe"
)

const page = 2 << 20 // a large one

// wishLarge asks for large pages: what goes through memory from end to end looks up
// a page for every block of it. It is only a wish.
func wishLarge(x []float32) {
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(x)))) & (page - 1)
	if n := (len(b) - skip) &^ (page - 1); n > 0 {
		_ = syscall.Madvise(b[skip:skip+n], syscall.MADV_HUGEPAGE)
	}
}
