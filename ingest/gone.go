package ingest

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Gone reports whether nothing is at path any more; where that is not clear, as
// without permission to look, nothing is gone. A picture in an archive goes with
// its archive.
func Gone(path string) bool {
	if archive, _, ok := splitMember(path); ok {
		path = archive
	}
	_, err := os.Stat(path) // of a link, what it leads to
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
