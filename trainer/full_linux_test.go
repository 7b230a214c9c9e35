package trainer

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clipsearch/clipsearch"
)

// TestFullDisk: a run that finds no room for a checkpoint ends with an error that says
// so, keeps the last, and goes on when there is room again.
func TestFullDisk(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir, filler := filepath.Join(disk, "out"), filepath.Join(disk, "filler")
	const size = 100_000 // numbers, of which a checkpoint has twice as many
	p := newParabola(size)
	p.before = func(step int) {
		if step == 25 {
			fill(t, filler, 200<<10)
		}
	}
	r, before, _ := testRun(dir, p, 40)
	_, err := r.Train(t.Context())
	if !errors.Is(err, clipsearch.ErrNoSpace) || !strings.Contains(err.Error(), "go on with --resume") || !strings.Contains(err.Error(), "step 20 is whole") {
		t.Errorf("on a full disk: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	r, after, _ := testRun(dir, newParabola(size), 40)
	r.Resume = true
	if _, err := r.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, all, _ := testRun(filepath.Join(t.TempDir(), "whole"), newParabola(size), 40)
	if _, err := r.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := len(*all) - len(*after)
	if !slices.Equal(lossesOf(*after), lossesOf((*all)[n:])) || n != 20 || !slices.Equal(lossesOf(*before), lossesOf((*all)[:len(*before)])) {
		t.Errorf("the losses after step %d differ from those of a whole run", n)
	}
}

// fill writes to a file until no more than so many bytes are free.
func fill(t *testing.T, name string, leave int64) {
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		var st unix.Statfs_t
		if err := unix.Statfs(name, &st); err != nil {
			t.Fatal(err)
		}
		if free := int64(st.Bavail) * st.Bsize; free <= leave {
			return
		}
		if _, err := f.Write(make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
	}
}
