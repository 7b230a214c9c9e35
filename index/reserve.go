package index

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clipsearch/clipsearch/internal/disk"
)

// prepare gives blocks to the files that Badger has open, before the first write
// and after an attempt that failed.
func (s *store) prepare() error {
	if s.ready {
		return nil
	}
	s.flushed(10 * time.Second) // Badger may still write out what a crash left in a log
	return s.reserve()
}

// reserve gives blocks to every file that the next write may touch. Badger writes
// to maps of sparse files, and a page of a map for which the disk has no block
// kills the process; so each file gets its blocks before it is written:
//
//   - the log of the memtable, when it is new;
//   - the log of the next memtable, before Badger makes it: an empty file that
//     owns its blocks already;
//   - the value log, after Badger has begun a new one, which it does at the end of
//     a transaction;
//   - the list of discards.
//
// A table is written at the moment it is made, and there is no such way for it; it
// is what the free space that [Index.Put] asks for is meant for.
func (s *store) reserve() error {
	err := s.reserveLogs()
	s.ready = err == nil
	if disk.IsFull(err) {
		return noSpace(s.dir, s.sizes.room())
	}
	if err != nil {
		return fmt.Errorf("make room in %s: %w", s.dir, err)
	}
	return nil
}

func (s *store) reserveLogs() error {
	mem, err := newest(s.dir, ".mem")
	if err != nil {
		return err
	}
	if mem != s.mem {
		size := s.sizes.memtable + s.sizes.slack()
		for _, n := range []int{mem, mem + 1} {
			if err := allocate(filepath.Join(s.dir, fmt.Sprintf("%05d.mem", n)), size); err != nil {
				return err
			}
		}
		s.mem = mem
	}
	values, err := newest(s.dir, ".vlog")
	if err != nil {
		return err
	}
	if values != s.values {
		if err := allocate(filepath.Join(s.dir, fmt.Sprintf("%06d.vlog", values)), s.sizes.valueLog+maxThumbs+1<<20); err != nil {
			return err
		}
		s.values = values
	}
	if s.ready {
		return nil
	}
	return allocate(filepath.Join(s.dir, "DISCARD"), 1<<20)
}

// release gives back the blocks that reserve took and nothing was written to; the
// next update takes them again. Nobody may write meanwhile.
func (s *store) release() error {
	s.flushed(10 * time.Second)
	s.ready, s.mem, s.values = false, 0, 0
	if err := removeUnused(s.dir); err != nil {
		return err
	}
	for _, ext := range []string{".mem", ".vlog"} {
		files, err := filepath.Glob(filepath.Join(s.dir, "*"+ext))
		if err != nil || len(files) == 0 {
			continue
		}
		slices.Sort(files) // of numbers of one length
		path := files[len(files)-1]
		if used, err := usedBytes(path); err == nil {
			_ = punch(path, used) // a file system that cannot do it keeps them
		}
	}
	return nil
}

// usedBytes returns where the zeros begin that a file ends in.
func usedBytes(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	buf := make([]byte, 1<<20)
	for end := info.Size(); end > 0; {
		part := buf[:min(end, int64(len(buf)))]
		end -= int64(len(part))
		if _, err := f.ReadAt(part, end); err != nil {
			return 0, err
		}
		if left := bytes.TrimRight(part, "\x00"); len(left) > 0 {
			return end + int64(len(left)), nil
		}
	}
	return 0, nil
}

// newest returns the number of the newest file that ends in ext and has a size.
func newest(dir, ext string) (last int, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		var n int
		base, ok := strings.CutSuffix(f.Name(), ext)
		if !ok {
			continue
		}
		if _, err := fmt.Sscanf(base, "%d", &n); err != nil || n <= last {
			continue
		}
		if info, err := f.Info(); err == nil && info.Size() > 0 {
			last = n
		}
	}
	return last, nil
}
