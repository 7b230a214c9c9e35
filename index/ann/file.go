package ann

import (
	"os"
	"path/filepath"
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
	return newFile(filepath.Join(x.options.Dir, filePrefix+strconv.FormatInt(x.files.Add(1), 10)))
}

// filed reports whether the whole numbers of n rows belong into a file.
func (x *Index) filed(n int) bool {
	return filesAreMapped && x.options.Dir != "" && n >= x.options.DirFrom
}

// lastFile returns the highest number of a file in dir.
func lastFile(dir string) (last int64) {
	files, _ := os.ReadDir(dir) // none if it cannot be read: making one will say why
	for _, f := range files {
		if number, ok := strings.CutPrefix(f.Name(), filePrefix); ok {
			if n, err := strconv.ParseInt(number, 10, 64); err == nil {
				last = max(last, n)
			}
		}
	}
	return last
}

// lengthen has f reach to size at least.
func lengthen(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil || info.Size() >= size {
		return err
	}
	return f.Truncate(size)
}
