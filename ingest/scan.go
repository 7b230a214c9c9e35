package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/picture"
)

// found is a file that the walk came upon.
type found struct {
	file  clipsearch.File
	open  func() (io.ReadCloser, error) // nil: the file at file.Path
	texts []string                      // paths of its sidecars
	err   error                         // why it cannot be used

	row int           // of Ready
	id  clipsearch.ID // of what the store has seen there unchanged; set by sift
}

// root is where a walk begins.
type root struct {
	path string // absolute and clean
	info fs.FileInfo
}

// openRoots looks at every root before anything is done.
func openRoots(paths []string) ([]root, error) {
	roots := make([]root, 0, len(paths))
	for _, path := range paths {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("ingest %q: %w", path, err)
		}
		info, err := os.Stat(abs)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("ingest %q: there is no such file or folder: %w", path, clipsearch.ErrInvalid)
		}
		if err != nil {
			return nil, fmt.Errorf("ingest %q: %w: %w", path, plain(err), clipsearch.ErrInvalid)
		}
		roots = append(roots, root{abs, info})
	}
	return roots, nil
}

// scanner walks. Files that are named come first, then folders, then what
// symbolic links to folders lead to, so that a file found twice keeps its own path.
type scanner struct {
	exclude    []string
	extensions map[string]bool
	leave      map[string]bool // paths of Pipeline.Skip, as given and resolved
	named      map[string]bool // files that are roots
	dirs       map[string]bool // resolved folders walked
	links      []link
	emit       func(found) error
	skipped    int
}

// link is a symbolic link to a folder, to be walked when all else is done.
type link struct{ path, rel, target string }

func (r *run) scan(ctx context.Context) error {
	if r.Ready != nil {
		return r.scanReady(ctx)
	}
	n := 0
	s := r.newScanner(func(f found) error { n++; return send(ctx, r.files, f) })
	err := s.walkRoots(r.roots)
	r.skipped = s.skipped
	r.total.Store(int64(n))
	return err
}

func (p *Pipeline) newScanner(emit func(found) error) *scanner {
	s := &scanner{
		exclude: p.Exclude, extensions: map[string]bool{}, leave: map[string]bool{},
		named: map[string]bool{}, dirs: map[string]bool{}, emit: emit,
	}
	for _, ext := range picture.Extensions() {
		s.extensions[ext] = true
	}
	for _, path := range p.Skip {
		if abs, err := filepath.Abs(path); err == nil {
			s.leave[abs], s.leave[resolved(abs)] = true, true
		}
	}
	return s
}

func (s *scanner) walkRoots(roots []root) error {
	for _, root := range roots {
		if root.info.IsDir() || s.named[root.path] {
			continue
		}
		s.named[root.path] = true
		if err := s.walkFile(root); err != nil {
			return err
		}
	}
	for _, root := range roots {
		if !root.info.IsDir() {
			continue
		}
		if err := s.walkDir(root.path, resolved(root.path), ""); err != nil {
			return err
		}
	}
	for len(s.links) > 0 {
		l := s.links[0]
		s.links = s.links[1:]
		if err := s.walkDir(l.path, l.target, l.rel); err != nil {
			return err
		}
	}
	return nil
}

// walkFile takes a file that was named, whatever its extension.
func (s *scanner) walkFile(root root) error {
	if s.leave[root.path] || s.excluded(root.path, filepath.Base(root.path)) {
		s.skipped++
		return nil
	}
	if isArchive(root.path) {
		return s.walkArchive(root)
	}
	return s.emit(namedFile(root))
}

// namedFile is a file that was named, with its sidecars.
func namedFile(root root) found {
	f := found{file: clipsearch.File{Path: root.path, Size: root.info.Size(), ModTime: root.info.ModTime()}, err: irregular(root.info)}
	for _, text := range sidecarNames(root.path) {
		if info, err := os.Stat(text); err == nil && info.Mode().IsRegular() {
			f.texts = append(f.texts, text)
		}
	}
	return f
}

// walkDir walks dir, which lies at rel below its root and is really at real.
func (s *scanner) walkDir(dir, real, rel string) error {
	if s.dirs[real] {
		return nil
	}
	s.dirs[real] = true
	if s.leave[dir] || s.leave[real] {
		s.skipped++
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil { // what could be read of it is walked all the same
		if err := s.emit(found{file: clipsearch.File{Path: dir}, err: plain(err)}); err != nil {
			return err
		}
	}
	names := textNames(entries)
	for _, e := range entries {
		path, rel := join(dir, e.Name()), join(rel, e.Name())
		var err error
		switch {
		case s.named[path]:
		case hidden(e.Name()) || s.leave[path] || s.excluded(path, rel):
			s.skipped++
		case e.IsDir():
			err = s.walkDir(path, join(real, e.Name()), rel)
		default:
			err = s.walkEntry(path, rel, e, names)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// walkEntry takes what is no folder: a file, or a link to a file or a folder.
func (s *scanner) walkEntry(path, rel string, e fs.DirEntry, names texts) error {
	stat := e.Info
	if e.Type()&fs.ModeSymlink != 0 {
		stat = func() (fs.FileInfo, error) { return follow(path) }
	}
	info, err := stat()
	if err == nil && info.IsDir() {
		return s.later(path, rel)
	}
	if !s.extensions[strings.ToLower(filepath.Ext(path))] {
		s.skipped++
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) && e.Type()&fs.ModeSymlink == 0 {
		return nil // it went while we walked
	}
	f := found{file: clipsearch.File{Path: path}, err: err}
	if err == nil {
		f.file.Size, f.file.ModTime, f.err = info.Size(), info.ModTime(), irregular(info)
		f.texts = names.of(path)
	}
	return s.emit(f)
}

// later remembers a link to a folder. One that leads to a folder it lies in is a
// loop; whoever wants all of that folder names it.
func (s *scanner) later(path, rel string) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return s.emit(found{file: clipsearch.File{Path: path}, err: plain(err)})
	}
	if !within(resolved(filepath.Dir(path)), target) {
		s.links = append(s.links, link{path, rel, target})
	}
	return nil
}

// excluded reports whether a glob matches the path, the path below its root, or
// the name.
func (s *scanner) excluded(path, rel string) bool {
	return slices.ContainsFunc(s.exclude, func(glob string) bool {
		for _, p := range []string{filepath.ToSlash(rel), filepath.ToSlash(path), filepath.Base(path)} {
			if doublestar.MatchUnvalidated(glob, p) {
				return true
			}
		}
		return false
	})
}

// hidden reports whether a folder's own business is called so: dot files, and
// what photo servers and systems leave beside pictures.
func hidden(name string) bool {
	switch name {
	case "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "Thumbs":
		return true
	}
	return strings.HasPrefix(name, ".")
}

// follow says what a symbolic link leads to.
func follow(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		target, _ := os.Readlink(path)
		return nil, fmt.Errorf("symbolic link to %q, where nothing is: %w", target, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("symbolic link: %w", plain(err))
	}
	return info, nil
}

// irregular refuses what cannot be read to its end.
func irregular(info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return fmt.Errorf("a %s, and no file: %w", kind(info.Mode()), clipsearch.ErrInvalid)
}

func kind(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeDevice != 0:
		return "device"
	}
	return "thing of mode " + mode.String()
}

// join is filepath.Join of what is clean already; a name keeps its bytes.
func join(dir, name string) string {
	if dir == "" || os.IsPathSeparator(dir[len(dir)-1]) {
		return dir + name
	}
	return dir + string(filepath.Separator) + name
}

// within reports whether path is dir or lies below it; both are clean.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, join(dir, ""))
}
