package ann

import (
	"syscall"
)

const adviseHuge = 14 // MADV_HUGEPAGE

// allocate returns n zero bytes outside of the heap, in huge pages where the system
// has them: rows are read at random, and small pages cost a look-up each. The
// collector neither counts nor moves them; free gives them back.
func allocate(n int) ([]byte, error) {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	_ = syscall.Madvise(b, adviseHuge) // only a wish
	return b, nil
}

func free(b []byte) { _ = syscall.Munmap(b) }
