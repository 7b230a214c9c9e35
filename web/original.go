package web

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/clipsearch/clipsearch"
)

// originalTimeout is how long a client may take to fetch an original.
const originalTimeout = 30 * time.Minute

// original answers GET /images/{id}/original: the bytes that the ID names.
func (s *Server) original(w http.ResponseWriter, r *http.Request) error {
	m, err := s.named(r)
	if err != nil {
		return err
	}
	file, name, err := s.open(m)
	if err != nil {
		return err
	}
	defer file.Close()
	kind := mime.FormatMediaType("inline", map[string]string{"filename": strings.ToValidUTF8(filepath.Base(name), "_")})
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(originalTimeout)) // or the server's own holds
	forever(w, m.ID.String())
	w.Header().Set("Content-Type", "image/"+m.Format)
	w.Header().Set("Content-Disposition", kind)
	http.ServeContent(w, r, "", time.Time{}, file)
	return nil
}

// Why a path cannot be served.
var (
	errOutside = errors.New("none of its paths is below the folders that originals are served from")
	errGone    = errors.New("its files are gone: bring them back, or forget them with `clipsearch prune`")
	errChanged = errors.New("its files have changed since: run `clipsearch ingest` on them")
)

// open opens the first file of m that is below one of s.Roots and still holds
// m's bytes. The caller closes it.
func (s *Server) open(m clipsearch.Image) (*os.File, string, error) {
	why := errGone
	for _, f := range m.Files {
		file, err := s.openBelow(f.Path)
		if err == nil {
			if unchanged(file, f, m.ID) {
				return file, f.Path, nil
			}
			_ = file.Close()
			err = errChanged
		}
		if errors.Is(err, errOutside) || errors.Is(err, errChanged) {
			why = err
		}
	}
	return nil, "", fail(http.StatusNotFound, "picture %s cannot be shown in full: %w", m.ID, why)
}

// openBelow opens a regular file whose real path is below the real path of one
// of s.Roots. It is opened through the root: what becomes of a link in between
// changes nothing.
func (s *Server) openBelow(path string) (*os.File, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, errGone
	}
	for _, dir := range s.roots() {
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			continue
		}
		if dir, err = filepath.Abs(dir); err != nil {
			continue
		}
		if dir == real { // a root may be a single file
			return openRegular(filepath.Dir(dir), filepath.Base(dir))
		}
		rel, err := filepath.Rel(dir, real)
		if err != nil || !filepath.IsLocal(rel) {
			continue
		}
		return openRegular(dir, rel)
	}
	return nil, errOutside
}

func (s *Server) roots() []string {
	if s.Roots == nil {
		return nil
	}
	return s.Roots()
}

// openRegular opens dir's file rel unless it is a pipe or another thing that a
// reader would wait for.
func openRegular(dir, rel string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, errGone
	}
	defer root.Close()
	info, err := root.Stat(rel)
	if err != nil || !info.Mode().IsRegular() {
		return nil, errGone
	}
	file, err := root.Open(rel)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("open %s: %w", rel, fs.ErrPermission)
	}
	if err != nil {
		return nil, errGone
	}
	return file, nil
}

// unchanged reports whether file holds the bytes of id: at a glance if its size
// and time are those of f, else by reading it.
func unchanged(file *os.File, f clipsearch.File, id clipsearch.ID) bool {
	info, err := file.Stat()
	if err != nil || info.Size() != f.Size {
		return false
	}
	if info.ModTime().Equal(f.ModTime) {
		return true
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return false
	}
	_, err = file.Seek(0, io.SeekStart)
	return err == nil && clipsearch.ID(sum.Sum(nil)[:len(id)]) == id
}
