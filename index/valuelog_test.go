package index

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

// smallLogs are options with small value logs.
func smallLogs() Options {
	o := testOptions()
	o.sizes = sizes{memtable: 8 << 20, valueLog: 1 << 20}
	return o
}

// thumbsLeft returns which of pictures from up to to have their thumbnails.
func thumbsLeft(x *Index, from, to int) (left []int) {
	for n := from; n < to; n++ {
		if jpeg, err := x.Thumb(context.Background(), testID(n)); err == nil && bytes.Equal(jpeg, testThumb(n)) {
			left = append(left, n)
		}
	}
	return left
}

// flipThumb changes a bit of a picture's thumbnail in its value log: of the header of
// its entry, or of the thumbnail itself.
func flipThumb(t *testing.T, dir string, n int, header bool) {
	t.Helper()
	thumb := testThumb(n)
	for _, name := range storeFiles(t, dir, "*.vlog") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(b, thumb)
		if at < 0 {
			continue
		}
		key := bytes.LastIndex(b[:at], idKey(thumbPrefix, testID(n)))
		if at += 500; header {
			at = key - 3 // the length of the value
		}
		flipFile(t, name, at)
		return
	}
	t.Fatalf("the thumbnail of picture %d is nowhere", n)
}

// TestValueLogDamage flips bits in value logs: pictures may lose the thumbnails that
// are hit, and no others; not when the index is opened, not when it is compacted.
func TestValueLogDamage(t *testing.T) {
	const n = 400
	hit := []int{40, 43, 200, 370, n - 3}
	for _, header := range []bool{false, true} {
		t.Run(fmt.Sprintf("header %v", header), func(t *testing.T) {
			x := openLogs(t, filepath.Join(t.TempDir(), "index"))
			dir := x.dir
			for i := range n {
				put(t, x, testEntry(i))
			}
			closeIndex(t, x)
			for _, i := range hit {
				flipThumb(t, dir, i, header)
			}
			x = openLogs(t, dir)
			var want []int
			for i := range n {
				if !slices.Contains(hit, i) {
					want = append(want, i)
				}
			}
			if diff := cmp.Diff(want, thumbsLeft(x, 0, n)); diff != "" {
				t.Fatalf("thumbnails after Open (-want +got):\n%s", diff)
			}
			x = shrink(t, x, n, func(i int) bool { return i%4 == 0 || slices.Contains(hit, i) })
			want = slices.DeleteFunc(want, func(i int) bool { return i%4 != 0 })
			if diff := cmp.Diff(want, thumbsLeft(x, 0, n)); diff != "" {
				t.Errorf("thumbnails after Compact (-want +got):\n%s", diff)
			}
		})
	}
}

func openLogs(t *testing.T, dir string) *Index {
	t.Helper()
	x, err := Open(dir, smallLogs())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

// shrink deletes the pictures below n that are not to be kept, and compacts: the value
// logs must get smaller. It opens the index anew, since tables that nobody has written
// out know nothing of what was deleted.
func shrink(t *testing.T, x *Index, n int, keep func(int) bool) *Index {
	t.Helper()
	ctx := context.Background()
	var gone []clipsearch.ID
	for i := range n {
		if !keep(i) {
			gone = append(gone, testID(i))
		}
	}
	if err := x.Delete(ctx, gone); err != nil {
		t.Fatal(err)
	}
	dir := x.dir
	before := logBytes(t, dir)
	for range 2 {
		closeIndex(t, x)
		x = openLogs(t, dir)
		if err := x.Compact(ctx); err != nil {
			t.Fatalf("Compact: %v", err)
		}
	}
	closeIndex(t, x)
	if after := logBytes(t, dir); after > before*2/3 {
		t.Errorf("value logs have %d kB after %d", after>>10, before>>10)
	}
	return openLogs(t, dir)
}

func logBytes(t *testing.T, dir string) (n int64) {
	t.Helper()
	for _, name := range storeFiles(t, dir, "*.vlog") {
		if info, err := os.Stat(name); err == nil {
			n += min(info.Size(), diskSize(info))
		}
	}
	return n
}

// TestFillerEntry makes entries of gaps of every size.
func TestFillerEntry(t *testing.T) {
	for size := range 40000 {
		if size > 300 && size%97 != 0 && size < 16000 {
			continue
		}
		b := fillerEntry(make([]byte, size))
		if b == nil {
			if size >= 20 {
				t.Errorf("no entry of %d bytes", size)
			}
			continue
		}
		if n, ok := entryAt(b, 0); !ok || n != size || !ourKey(b) || !isDeletedEntry(b) {
			t.Fatalf("an entry of %d bytes: %d, %v", size, n, ok)
		}
	}
}

func isDeletedEntry(b []byte) bool { return b[0] == logDeleted }

// TestCompactGivesBack compacts an index that somebody has open and writes to: what was
// kept ready for writes goes too, and the next write has it again.
func TestCompactGivesBack(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	for i := range 20 {
		put(t, x, testEntry(i))
	}
	if err := x.text.settle(ctx); err != nil { // or it writes when it likes
		t.Fatal(err)
	}
	store := filepath.Join(x.dir, "store")
	before := treeSize(store)
	if err := x.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	if after := treeSize(store); runtime.GOOS == "linux" && (after > 4<<20 || before < 16<<20) {
		t.Errorf("the store takes %d kB after Compact and %d before", after>>10, before>>10)
	}
	for i := range 40 {
		put(t, x, testEntry(i))
	}
	if now := treeSize(store); runtime.GOOS == "linux" && now < 16<<20 {
		t.Errorf("the store takes %d kB after a write: its files have no blocks", now>>10)
	}
	mustBeClean(t, x)
	dir := x.dir
	closeIndex(t, x)
	x = open(t, dir)
	mustBeClean(t, x)
	if left := thumbsLeft(x, 0, 40); len(left) != 40 {
		t.Errorf("%d of 40 thumbnails are left", len(left))
	}
}
