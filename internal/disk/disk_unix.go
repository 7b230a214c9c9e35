//go:build unix

package disk

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Free returns how many bytes this user may still write where dir is.
func Free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(uint64(st.Bavail) * uint64(st.Bsize)), nil
}

// IsFull reports whether err says that there is no room left, or none for this user.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
