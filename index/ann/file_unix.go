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
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
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
	flag := os.O_RDWR
	if c == 0 {
		flag |= os.O_CREATE // later, a file that is not there is one that has lost rows
	}
	f, err := os.OpenFile(d.path, flag, 0o600)
	sharing := unix.MAP_SHARED
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) {
		f, err = os.Open(d.path) // a medium that is only read: what is written stays in memory
		sharing = unix.MAP_PRIVATE
	}
	if err != nil {
		return nil, fmt.Errorf("open the file of vectors: %w", err)
	}
	defer f.Close()
	at := int64(c) * int64(size)
	if sharing == unix.MAP_SHARED {
		if err := reserve(f, at, int64(size)); err != nil {
			return nil, fmt.Errorf("make room for %d MB in %s: %w", size>>20, d.path, err)
		}
	} else if info, err := f.Stat(); err != nil || info.Size() < at+int64(size) {
		return nil, fmt.Errorf("%s is cut off: %w", d.path, ErrStale)
	}
	b, err := unix.Mmap(int(f.Fd()), at, size, unix.PROT_READ|unix.PROT_WRITE, sharing)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", d.path, err)
	}
	_ = unix.Madvise(b, unix.MADV_RANDOM) // only a wish: rows are read at random
	s.keep(b)
	return b, nil
}

// release gives back the pages of a file that are not needed any more; its map stays
// for those who may still read it.
func release(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }
