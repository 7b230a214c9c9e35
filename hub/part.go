package hub

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
)

// partFile is the file that a download is written to.
type partFile interface {
	io.ReadWriteSeeker
	Truncate(size int64) error
	Sync() error
	Close() error
}

func createPart(name string) (partFile, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
}

// part is a file on its way: what has come of it, on disk and hashed.
type part struct {
	file partFile
	want File
	n    int64 // bytes that have come
	old  int64 // of them, bytes that an earlier pull left
	sums sums
}

// sums are the digests of the bytes so far.
type sums struct{ sha256, git hash.Hash }

// newSums begins the digests of a file. Git's covers the size, which comes first.
func newSums(size int64) sums {
	s := sums{sha256.New(), sha1.New()}
	fmt.Fprintf(s.git, "blob %d\x00", size)
	return s
}

func (s sums) write(b []byte, git bool) {
	s.sha256.Write(b)
	if git {
		s.git.Write(b)
	}
}

// differ says what is wrong with bytes that should be f, or nothing.
func (s sums) differ(f File) string {
	got, want, what := hex.EncodeToString(s.sha256.Sum(nil)), f.SHA256, "SHA-256"
	if want == "" {
		got, want, what = hex.EncodeToString(s.git.Sum(nil)), f.Git, "git blob id"
	}
	if got == want {
		return ""
	}
	return fmt.Sprintf("have the %s %.12s…, not %.12s… as the hub says", what, got, want)
}

// openPart opens what an earlier pull has left of a file, or begins it.
func openPart(file partFile, want File) (*part, error) {
	p := &part{file: file, want: want}
	p.sums = newSums(want.Bytes)
	n, err := io.Copy(p.hashing(), io.LimitReader(file, want.Bytes+1))
	if err == nil && n > want.Bytes {
		return p, p.restart()
	}
	p.n, p.old = n, n
	return p, err
}

func (p *part) hashing() io.Writer {
	return writerFunc(func(b []byte) (int, error) {
		p.sums.write(b, p.want.SHA256 == "")
		return len(b), nil
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// restart throws away what has come.
func (p *part) restart() error {
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	p.n, p.old, p.sums = 0, 0, newSums(p.want.Bytes)
	_, err := p.file.Seek(0, io.SeekStart)
	return err
}

// Write appends bytes. What could not be written whole is taken back, so that n and
// the digests are those of the file.
func (p *part) Write(b []byte) (int, error) {
	if n, err := p.file.Write(b); err != nil || n < len(b) {
		_, serr := p.file.Seek(p.n, io.SeekStart)
		return 0, errors.Join(err, p.file.Truncate(p.n), serr, shortWrite(n, len(b), err))
	}
	p.sums.write(b, p.want.SHA256 == "")
	p.n += int64(len(b))
	return len(b), nil
}

func shortWrite(n, of int, err error) error {
	if err == nil && n < of {
		return io.ErrShortWrite
	}
	return nil
}

// hashFile returns what is wrong with a file on disk that should be f, and its
// SHA-256.
func hashFile(name string, f File) (wrong, sum string, err error) {
	file, err := os.Open(name)
	if err != nil {
		return "", "", err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return "", "", err
	}
	if st.Size() != f.Bytes {
		return fmt.Sprintf("are %d, not %d", st.Size(), f.Bytes), "", nil
	}
	p := part{want: f, sums: newSums(f.Bytes)}
	if _, err := io.Copy(p.hashing(), file); err != nil {
		return "", "", err
	}
	return p.sums.differ(f), hex.EncodeToString(p.sums.sha256.Sum(nil)), nil
}

// sameBytes reports whether a file holds data.
func sameBytes(name string, data []byte) bool {
	got, err := os.ReadFile(name)
	return err == nil && bytes.Equal(got, data)
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
