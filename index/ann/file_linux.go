package ann

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// reserve takes blocks from the disk for size bytes of f from at on.
func reserve(f *os.File, at, size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, at, size)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return lengthen(f, at+size)
		default:
			return err
		}
	}
}
