package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/disk"
)

// margin is what is left free on the disk: for Badger's tables, which it writes
// when it likes, for the text index, and for everybody else.
const margin = 64 << 20

// checkSpace returns an error wrapping [clipsearch.ErrNoSpace] unless need bytes
// are free where dir is.
func checkSpace(dir string, need int64) error {
	free, err := disk.Free(dir)
	if err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	if free < need {
		return noSpace(dir, need)
	}
	return nil
}

func noSpace(dir string, need int64) error {
	free, err := disk.Free(dir)
	if err != nil {
		free = 0
	}
	return fmt.Errorf("%d MB free on %s, %d MB needed: free some and run again, nothing is lost: %w", free>>20, dir, (need+1<<20-1)>>20, clipsearch.ErrNoSpace)
}

// withSpace is err, or noSpace if the disk is what it is about.
func withSpace(err error, dir string) error {
	if disk.IsFull(err) && !errors.Is(err, clipsearch.ErrNoSpace) {
		return noSpace(dir, margin)
	}
	return err
}

// existing returns path or the first directory above it that there is.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// treeSize adds up the blocks of what lies under dir: what it takes, not what
// sparse files pretend.
func treeSize(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // gone meanwhile
		}
		if info, err := d.Info(); err == nil {
			n += diskSize(info)
		}
		return nil
	})
	return n
}
