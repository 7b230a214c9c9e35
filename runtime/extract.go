package runtime

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// limits bound what is unpacked, in bytes.
type limits struct {
	library int64
	content int64 // of a .tgz as a whole: what is passed over is unpacked too
}

// generous fits the largest archives there are: 46 MB of library, 300 MB in
// all.
func generous() limits { return limits{library: 256 << 20, content: 2 << 30} }

// extract writes the one regular file of a .whl, .zip or .tgz whose name matches
// pattern to dst. Its name in the archive is only compared, never used as a path.
func extract(archive, pattern, dst string, most limits) error {
	if strings.HasSuffix(archive, ".tgz") {
		return extractTar(archive, pattern, dst, most)
	}
	return extractZip(archive, pattern, dst, most)
}

func extractZip(archive, pattern, dst string, most limits) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer z.Close()
	for _, f := range z.File {
		if ok, _ := path.Match(pattern, f.Name); !ok || !f.Mode().IsRegular() {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		return writeLibrary(dst, r, most)
	}
	return fmt.Errorf("there is no %s in it", pattern)
}

func extractTar(archive, pattern, dst string, most limits) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for t := tar.NewReader(io.LimitReader(gz, most.content)); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("there is no %s in it", pattern)
		}
		if err != nil {
			return err
		}
		if ok, _ := path.Match(pattern, strings.TrimPrefix(h.Name, "./")); ok && h.Typeflag == tar.TypeReg {
			return writeLibrary(dst, t, most)
		}
	}
}

// writeLibrary writes and syncs the file: it is renamed into place next.
func writeLibrary(dst string, r io.Reader, most limits) error {
	f, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(r, most.library+1))
	if n > most.library {
		err = fmt.Errorf("the library is larger than %d MB", most.library>>20)
	}
	return errors.Join(err, f.Sync(), f.Close())
}
