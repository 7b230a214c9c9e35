package ingest

import (
	"io"
	"os"
)

// ReadMembers reads all that can be read of an archive, and returns how much.
func ReadMembers(path string) (n int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	err = members(root{path, info}, func(m member) error {
		if m.err != nil {
			return nil
		}
		r, err := m.open()
		if err != nil {
			return err
		}
		defer r.Close()
		read, _ := io.Copy(io.Discard, r)
		n += read
		return nil
	})
	return n, err
}
