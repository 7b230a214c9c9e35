package ingest

import (
	"bytes"
	"io"
)

// ReadPaths reads paths that are separated by NUL bytes, as `find -print0` writes
// them, or by newlines where there is no NUL. Empty ones are left out; the bytes
// of names are kept, UTF-8 or not.
func ReadPaths(r io.Reader) ([]string, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	separator, trim := "\n", "\r"
	if bytes.IndexByte(data, 0) >= 0 {
		separator, trim = "\x00", ""
	}
	var paths []string
	for line := range bytes.SplitSeq(data, []byte(separator)) {
		if line = bytes.TrimSuffix(line, []byte(trim)); len(line) > 0 {
			paths = append(paths, string(line))
		}
	}
	return paths, nil
}
