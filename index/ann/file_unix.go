//go:build unix

package ann

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// onDisk keeps whole numbers in a file.
type onDisk struct{ path string }

// newFile makes the file, empty.
func newFile(path string) (place, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make a file for vectors: %w", err)
	}
	return onDisk{path}, f.Close()
}

func (onDisk) summed() bool { return true }

func (d onDisk) name() string { return filepath.Base(d.path) }

// chunk maps chunk c, whose blocks it takes from the disk first: a page of a map
// without one would kill the process when it is written.
func (d onDisk) chunk(c, size int, s *slabs) ([]byte, error) {
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the file of vectors: %w", err)
	}
	defer f.Close()
	at := int64(c) * int64(size)
	if err := reserve(f, at, int64(size)); err != nil {
		return nil, fmt.Errorf("make room for %d MB in %s: %w", size>>20, d.path, err)
	}
	b, err := unix.Mmap(int(f.Fd()), at, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", d.path, err)
	}
	_ = unix.Madvise(b, unix.MADV_RANDOM) // only a wish: rows are read at random
	s.list = append(s.list, b)
	return b, nil
}
