package ann

import "golang.org/x/sys/unix"

// wishHuge asks for huge pages: rows are read at random, and small pages cost a
// look-up each.
func wishHuge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) } // only a wish
