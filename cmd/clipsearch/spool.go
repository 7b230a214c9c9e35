package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// spool is where an import puts the files of models that the index has not: a
// directory in the index, and beside it a file that is locked while the import lives.
type spool struct {
	dir  string
	lock *flock.Flock
}

const (
	spoolPrefix = ".import-"
	spoolDir    = ".tmp"
	spoolLock   = ".lock"
)

// newSpool makes one. The lock is there before the directory, so that nobody takes it
// for a dead one's.
func newSpool(index string) (*spool, error) {
	f, err := os.CreateTemp(index, spoolPrefix+"*"+spoolLock)
	if err != nil {
		return nil, err
	}
	f.Close()
	s := &spool{dir: strings.TrimSuffix(f.Name(), spoolLock) + spoolDir, lock: flock.New(f.Name())}
	if ok, err := s.lock.TryLock(); err != nil || !ok {
		os.Remove(f.Name())
		return nil, errors.Join(err, errors.New("lock "+f.Name()))
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *spool) remove() {
	os.RemoveAll(s.dir)
	_ = s.lock.Unlock()
	os.Remove(s.lock.Path())
}

// removeSpools removes what imports into an index have left that were killed.
func removeSpools(index string) {
	entries, err := os.ReadDir(index)
	if err != nil {
		return
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), spoolDir)
		if ok && e.IsDir() && strings.HasPrefix(name, spoolPrefix) {
			removeSpool(filepath.Join(index, name))
		}
	}
}

// removeSpool removes a spool, whose names begin with base, unless its import lives.
func removeSpool(base string) {
	s := spool{dir: base + spoolDir, lock: flock.New(base + spoolLock)}
	if !exists(base + spoolLock) { // of an earlier program, which had no lock
		if st, err := os.Stat(s.dir); err == nil && time.Since(st.ModTime()) > 24*time.Hour {
			os.RemoveAll(s.dir)
		}
		return
	}
	if ok, err := s.lock.TryLock(); err == nil && ok {
		s.remove()
	}
}
