package index

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/disk"
)

// TestSearchOnFullDisk: a disk without room for a file of vectors has them in memory,
// and loses none of the room that is left.
func TestSearchOnFullDisk(t *testing.T) {
	for name, left := range map[string]int64{"no room": 20 << 20, "no room for the file": margin + 1<<20} {
		t.Run(name, func(t *testing.T) {
			place := smallDisk(t, "300m")
			dir := filepath.Join(place, "index")
			x := openSmall(t, dir)
			putLean(t, x, 0, 300)
			closeIndex(t, x)
			fillDisk(t, filepath.Join(place, "filler"), left)
			x = openSmall(t, dir)
			before, err := disk.Free(place)
			if err != nil {
				t.Fatal(err)
			}
			if nearest(t, x, 7) != testID(7) {
				t.Error("what is there is not found")
			}
			if _, err := x.Match(t.Context(), "red", 1, nil); err != nil {
				t.Error(err)
			}
			_ = x.Settle(t.Context()) // there is no room to
			if after, err := disk.Free(place); err != nil || after < before-1<<20 {
				t.Errorf("%d of %d kB are left: %v", after>>10, before>>10, err)
			}
			if n := keysOf(t, x, codesPrefix); n != 0 {
				t.Errorf("%d parts of codes for which there is no file", n)
			}
			if err := os.Remove(filepath.Join(place, "filler")); err != nil {
				t.Fatal(err)
			}
			put(t, x, lean(300))
			if nearest(t, x, 300) != testID(300) {
				t.Error("what came later is not found")
			}
			closeIndex(t, x)
			x = openSmall(t, dir)
			settle(t, x)
			closeIndex(t, x)
			x = openSmall(t, dir)
			if nearest(t, x, 300) != testID(300) || !loadedSaved(x) {
				t.Error("with room again, vectors are not kept")
			}
		})
	}
}

// TestRowsDoNotFit: where a file turns out to have no room after all, none is left.
func TestRowsDoNotFit(t *testing.T) {
	place := smallDisk(t, "300m")
	x := openSmall(t, filepath.Join(place, "index"))
	putLean(t, x, 0, 300)
	vectors := filepath.Join(x.dir, "vectors", testSpace.String())
	if err := os.MkdirAll(vectors, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(vectors, "rows-1"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	fillDisk(t, filepath.Join(place, "filler"), 1<<20)
	if nearest(t, x, 7) != testID(7) {
		t.Error("what is there is not found")
	}
	if files, err := os.ReadDir(vectors); err != nil || len(files) > 0 {
		t.Errorf("left: %v, %v", files, err)
	}
	if _, err := x.Nearest(t.Context(), unit(testDim, 1), 3, clipsearch.Filter{{Field: "tag", Op: "has", Text: "street"}}); err != nil {
		t.Error(err)
	}
}
