package index

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// sparseSize is how a file was long before the zeros at its end were cut: Badger's
// logs are hundreds of megabytes of them.
const sparseSize = "CLIPSEARCH.size"

// pack writes all files under dir into a small archive.
func pack(t *testing.T, dir, archive string) {
	t.Helper()
	var buf bytes.Buffer
	z, _ := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	w := tar.NewWriter(z)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		short := bytes.TrimRight(b, "\x00")
		h := &tar.Header{Name: filepath.ToSlash(name), Mode: 0o600, Size: int64(len(short)), Format: tar.FormatPAX}
		if len(short) < len(b) {
			h.PAXRecords = map[string]string{sparseSize: strconv.Itoa(len(b))}
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err = w.Write(short)
		return err
	})
	if err = errors.Join(err, w.Close(), z.Close()); err == nil {
		err = os.WriteFile(archive, buf.Bytes(), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// unpack is the inverse of pack.
func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err == nil {
			err = unpackFile(filepath.Join(dir, filepath.FromSlash(h.Name)), h, r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func unpackFile(path string, h *tar.Header, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if size := h.PAXRecords[sparseSize]; err == nil && size != "" {
		n, perr := strconv.ParseInt(size, 10, 64)
		err = errors.Join(perr, f.Truncate(n))
	}
	return errors.Join(err, f.Close())
}
