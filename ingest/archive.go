package ingest

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/flate"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/clipsearch/clipsearch"
)

// memberMark stands between the path of an archive and the name of a picture in it.
const memberMark = "!/"

func isArchive(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".zip" || ext == ".tar"
}

// splitMember takes the path of a picture in an archive apart.
func splitMember(path string) (archive, name string, ok bool) {
	for _, ext := range []string{".zip", ".tar"} {
		if i := strings.Index(strings.ToLower(path), ext+memberMark); i >= 0 {
			return path[:i+len(ext)], path[i+len(ext)+len(memberMark):], true
		}
	}
	return "", "", false
}

// member is a file in an archive. It holds no open file: an archive may have
// more pictures than a process may have files.
type member struct {
	archive string
	name    string
	offset  int64 // of its data in the archive
	packed  int64 // bytes there
	size    int64
	time    time.Time
	deflate bool
	crc     uint32 // of a .zip only
	checked bool   // crc is known
	err     error  // why it cannot be read
}

// cleanName is the name without "..", ".", and leading slashes.
func (m member) cleanName() string { return strings.TrimPrefix(path.Clean("/"+m.name), "/") }

// open reads the member from the archive anew; several may be read at once.
func (m member) open() (io.ReadCloser, error) {
	file, err := os.Open(m.archive)
	if err != nil {
		return nil, err
	}
	var r io.Reader = io.NewSectionReader(file, m.offset, m.packed)
	if m.deflate {
		r = flate.NewReader(bufio.NewReader(r))
	}
	return &memberReader{Reader: io.LimitReader(r, m.size+1), file: file, want: m, sum: crc32.NewIEEE()}, nil
}

// memberReader fails at the end if the bytes are not those that were packed.
type memberReader struct {
	io.Reader
	file *os.File
	want member
	sum  hash.Hash32
	n    int64
}

func (r *memberReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += int64(n)
	if r.want.checked {
		r.sum.Write(p[:n])
	}
	if err == io.EOF && (r.n != r.want.size || r.want.checked && r.sum.Sum32() != r.want.crc) {
		err = fmt.Errorf("the archive is damaged here: %w", clipsearch.ErrInvalid)
	}
	return n, err
}

func (r *memberReader) Close() error { return r.file.Close() }

// walkArchive emits the pictures of an archive, as if it were a folder.
func (s *scanner) walkArchive(root root) error {
	names := map[string]bool{}
	var stopped error
	err := members(root, func(m member) error {
		name := m.cleanName()
		full := root.path + memberMark + name
		if names[name] || !s.extensions[strings.ToLower(path.Ext(name))] || hiddenBelow(name) || s.excluded(full, name) {
			s.skipped++
			return nil
		}
		names[name] = true
		stopped = s.emit(found{
			file: clipsearch.File{Path: full, Size: m.size, ModTime: m.time},
			open: m.open,
			err:  m.err,
		})
		return stopped
	})
	if err != nil && stopped == nil { // the archive, not our reader, is at fault
		return s.emit(found{
			file: clipsearch.File{Path: root.path, Size: root.info.Size(), ModTime: root.info.ModTime()},
			err:  fmt.Errorf("read archive: %w", plain(err)),
		})
	}
	return stopped
}

func hiddenBelow(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if hidden(part) {
			return true
		}
	}
	return false
}

// members calls yield for each regular file of an archive.
func members(root root, yield func(member) error) error {
	file, err := os.Open(root.path)
	if err != nil {
		return err
	}
	defer file.Close()
	if strings.EqualFold(filepath.Ext(root.path), ".zip") {
		return zipMembers(file, root.info, yield)
	}
	return tarMembers(file, root.info, yield)
}

func zipMembers(file *os.File, info fs.FileInfo, yield func(member) error) error {
	z, err := zip.NewReader(file, info.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // nothing is unpacked
		return err
	}
	for _, f := range z.File {
		if !f.Mode().IsRegular() {
			continue
		}
		m := member{
			archive: file.Name(), name: f.Name, packed: int64(f.CompressedSize64), size: int64(f.UncompressedSize64),
			time: f.Modified, deflate: f.Method == zip.Deflate, crc: f.CRC32, checked: true,
		}
		if m.time.IsZero() {
			m.time = info.ModTime()
		}
		if m.offset, m.err = f.DataOffset(); m.err == nil {
			m.err = unreadable(f)
		}
		if err := yield(m); err != nil {
			return err
		}
	}
	return nil
}

func unreadable(f *zip.File) error {
	const encrypted = 1
	switch {
	case f.Flags&encrypted != 0:
		return fmt.Errorf("encrypted in its archive: %w", clipsearch.ErrInvalid)
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return fmt.Errorf("packed by method %d, which is not known here: %w", f.Method, clipsearch.ErrInvalid)
	case f.UncompressedSize64 > maxFile:
		return tooLarge(f.UncompressedSize64)
	}
	return nil
}

func tarMembers(file *os.File, info fs.FileInfo, yield func(member) error) error {
	t := tar.NewReader(file)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		// The reader takes whole blocks and nothing ahead, so the file stands
		// where the data begins.
		offset, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		m := member{archive: file.Name(), name: h.Name, offset: offset, packed: h.Size, size: h.Size, time: h.ModTime}
		if offset+h.Size > info.Size() {
			m.err = fmt.Errorf("the archive ends before it: %w", clipsearch.ErrInvalid)
		}
		if err := yield(m); err != nil {
			return err
		}
	}
}
