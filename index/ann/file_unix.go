//go:build unix

package ann

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const filesAreMapped = true

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

// openFile opens a file that is there.
func openFile(path string) (place, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("the file of vectors: %w: %w", err, ErrStale)
	}
	return onDisk{path}, nil
}

func (onDisk) summed() bool { return true }

func (d onDisk) name() string { return filepath.Base(d.path) }

// chunk maps chunk c, whose blocks it takes from the disk first: a page of a map
// without one would kill the process when it is written.
func (d onDisk) chunk(c, size int, s *slabs) ([]byte, error) {
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o600)
	access := unix.PROT_READ | unix.PROT_WRITE
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) {
		f, err = os.Open(d.path) // a medium that is only read; so is its index
		access = unix.PROT_READ
	}
	if err != nil {
		return nil, fmt.Errorf("open the file of vectors: %w", err)
	}
	defer f.Close()
	at := int64(c) * int64(size)
	if access&unix.PROT_WRITE != 0 {
		if err := reserve(f, at, int64(size)); err != nil {
			return nil, fmt.Errorf("make room for %d MB in %s: %w", size>>20, d.path, err)
		}
	} else if info, err := f.Stat(); err != nil || info.Size() < at+int64(size) {
		return nil, fmt.Errorf("%s is cut off: %w", d.path, ErrStale)
	}
	b, err := unix.Mmap(int(f.Fd()), at, size, access, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", d.path, err)
	}
	_ = unix.Madvise(b, unix.MADV_RANDOM) // only a wish: rows are read at random
	s.list = append(s.list, b)
	return b, nil
}

// release gives back the pages of a file that are not needed any more; its map stays
// for those who may still read it.
func release(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }
