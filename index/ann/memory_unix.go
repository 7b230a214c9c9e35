//go:build unix

package ann

import "golang.org/x/sys/unix"

// allocate returns n zero bytes outside of the heap. The collector neither counts nor
// moves them; free gives them back.
func allocate(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err == nil {
		wishHuge(b)
	}
	return b, err
}

// free gives back what allocate, or a map of a file, took.
func free(b []byte) { _ = unix.Munmap(b) }
