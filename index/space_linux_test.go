package index

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/disk"
)

// smallDisk mounts a file system of size, or skips the test.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk writes to path, gently as other programs do, until nothing is free.
func fillDisk(t *testing.T, path string, leave int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		free, err := disk.Free(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		if free <= leave {
			return
		}
		if _, err := f.Write(make([]byte, min(4<<20, free-leave))); err != nil && !disk.IsFull(err) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestDiskFillsUp fills the disk while a process puts pictures: it ends with the
// error, nothing acknowledged is lost, and with room made again it goes on.
func TestDiskFillsUp(t *testing.T) {
	place := smallDisk(t, "200m")
	dir, filler := filepath.Join(place, "index"), filepath.Join(place, "filler")
	cmd, lines := putChild(t, dir, "INDEX_TEST_MODEL=1")
	var stored []int
	var last string
	begin := 1 + rand.IntN(60)
	full := make(chan struct{})
	for lines.Scan() {
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "stored %d", &n); err == nil {
			if stored = append(stored, n); len(stored) == begin {
				go func() { defer close(full); fillDisk(t, filler, 0) }()
			}
			continue
		}
		if strings.HasPrefix(lines.Text(), "error") {
			last = lines.Text()
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the process died: %v", err)
	}
	<-full
	if !strings.Contains(last, "MB needed: free some and run again, nothing is lost") {
		t.Fatalf("after %d batches: %q, want it to tell of the space", len(stored), last)
	}
	t.Logf("filled from batch %d on: %d batches, then %s", begin, len(stored), last)
	if _, err := Open(dir, withModel()); !errors.Is(err, clipsearch.ErrNoSpace) {
		t.Errorf("Open on a full disk = %v, want ErrNoSpace", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	x, err := Open(dir, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	var ids []clipsearch.ID
	for _, n := range stored {
		for i := range 16 {
			ids = append(ids, testID(n+i))
		}
	}
	has, err := x.Has(context.Background(), ids)
	for i, ok := range has {
		if !ok {
			t.Errorf("picture %v was acknowledged and is gone", ids[i])
		}
	}
	if err != nil {
		t.Error(err)
	}
	for n := 2000; n < 2400; n++ {
		put(t, x, testEntry(n))
	}
	mustBeClean(t, x)
}

// TestFullDisk opens and makes an index where there is no room.
func TestFullDisk(t *testing.T) {
	place := smallDisk(t, "64m")
	dir := filepath.Join(place, "index")
	_, err := Open(dir, testOptions())
	if !errors.Is(err, clipsearch.ErrNoSpace) || !strings.Contains(err.Error(), "MB needed") {
		t.Errorf("Open = %v, want ErrNoSpace", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("something was made")
	}
}

// TestCompactSmallDisk compacts a small index where little is free.
func TestCompactSmallDisk(t *testing.T) {
	dir := filepath.Join(smallDisk(t, "200m"), "index")
	x, err := Open(dir, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 50 {
		put(t, x, testEntry(n))
	}
	closeIndex(t, x)
	fillDisk(t, filepath.Join(filepath.Dir(dir), "filler"), 70<<20)
	if x, err = Open(dir, testOptions()); err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if err := x.Compact(context.Background()); err != nil {
		t.Errorf("Compact with 70 MB free: %v", err)
	}
}
