package ann

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A file of whole numbers is derived: it is written through a map of it, a chunk
// after the other, and never synced. What is lost of it the sums of its rows tell.

const filePrefix = "rows-"

// newPlace makes a place for the whole numbers of new rows, of which there will be n.
func (x *Index) newPlace(n int) (place, error) {
	if !x.filed(n) {
		return inMemory{}, nil
	}
	return newFile(filepath.Join(x.options.Dir, filePrefix+strconv.FormatUint(rand.Uint64(), 36))) // of no other rows, whoever made them
}

// dropPlace removes what new rows were to lie in, if it is a file.
func (x *Index) dropPlace(p place) {
	if p.name() != "" {
		_ = os.Remove(filepath.Join(x.options.Dir, p.name())) // else Tidy does
	}
}

// filed reports whether the whole numbers of n rows belong into a file.
func (x *Index) filed(n int) bool {
	return filesAreMapped && x.options.Dir != "" && n >= x.options.DirFrom
}

// Tidy removes the files of rows in Dir that are neither in use nor among keep, unless
// [Index.Work] is under way: then that is left to the next time.
func (x *Index) Tidy(keep ...string) error {
	if !x.working.TryLock() {
		return nil
	}
	defer x.working.Unlock()
	files, _ := os.ReadDir(x.options.Dir) // none if there is no Dir
	keep = append(keep, x.state.Load().rows.place.name())
	var all error
	for _, f := range files {
		if strings.HasPrefix(f.Name(), filePrefix) && !slices.Contains(keep, f.Name()) {
			all = errors.Join(all, os.Remove(filepath.Join(x.options.Dir, f.Name())))
		}
	}
	return all
}

// lengthen has f reach to size at least.
func lengthen(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil || info.Size() >= size {
		return err
	}
	return f.Truncate(size)
}
