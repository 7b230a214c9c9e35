package index

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// allocate gives the first size bytes of the file at path their blocks on the disk
// and leaves its length as it is. The file is made if there is none. A file system
// that cannot do it is left to luck and to the free space that Put asks for.
func allocate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return nil
		default:
			return err
		}
	}
}

// punch gives back the blocks of the file at path from a place on, whose content is
// zeros, and leaves its length as it is.
func punch(path string, from int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	const page, far = 4 << 10, 1 << 40 // beyond the length too: there is room for more
	from = (from + page - 1) / page * page
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, far)
}
