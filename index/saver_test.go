package index

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index/ann"
)

// stopWrites has every write to the store fail, as where the disk is full.
func stopWrites(x *Index) (resume func()) {
	x.writing.Lock()
	defer x.writing.Unlock()
	dir := x.store.dir
	x.store.dir = filepath.Join(dir, "not there") // whose free space cannot be asked for
	return func() {
		x.writing.Lock()
		defer x.writing.Unlock()
		x.store.dir = dir
	}
}

// nearest is the picture that is nearest to that of number n.
func nearest(t *testing.T, x *Index, n int) clipsearch.ID {
	t.Helper()
	hits, err := x.Nearest(t.Context(), unit(testDim, uint64(n)), 1, nil)
	if err != nil || len(hits) != 1 {
		t.Fatal(hits, err)
	}
	return hits[0].ID
}

// TestForgetFails: where the manifest cannot be removed, the journal that belongs to
// it goes on.
func TestForgetFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	x := openSmall(t, dir)
	putLean(t, x, 0, 300)
	settle(t, x)
	flip(t, x, idKey(recordPrefix, testID(7)))
	resume := stopWrites(x)
	if _, err := x.Check(t.Context(), true); err == nil {
		t.Fatal("nothing can be written, and repair does not mind")
	}
	resume()
	putLean(t, x, 300, 320)
	if err := x.Delete(t.Context(), []clipsearch.ID{testID(8)}); err != nil {
		t.Fatal(err)
	}
	closeIndex(t, x)
	x = openSmall(t, dir)
	if nearest(t, x, 8) == testID(8) || nearest(t, x, 310) != testID(310) {
		t.Error("what was written after a repair that failed is lost")
	}
}

// saving starts to save what x has in memory, calls meanwhile when the moment is
// fixed of which all is to be, and goes on.
func saving(t *testing.T, x *Index, meanwhile func()) error {
	t.Helper()
	x.tender.end()
	x.mu.RLock()
	mem, meta := x.mem, x.meta()
	x.mu.RUnlock()
	s := &saver{x: x, meta: meta, of: mem.vectors}
	_, saved, err := s.of.Save(t.Context(), ann.Kept{}, ann.Keeper{
		At:   func(freeze func()) { s.at(freeze); meanwhile() },
		Name: func(d uint32) ann.Name { return ann.Name(mem.pictures.name(doc(d))) },
		Put:  s.put,
	})
	if err == nil {
		err = s.flush()
	}
	if err == nil {
		err = s.finish(saved)
	}
	return err
}

// TestSaveIsOvertaken: what is saved when the space is repaired or dropped leaves no
// manifest, since no journal goes with it.
func TestSaveIsOvertaken(t *testing.T) {
	forget := func(t *testing.T, x *Index) {
		x.writing.Lock()
		defer x.writing.Unlock()
		if err := x.forgetDerived(testSpace); err != nil {
			t.Fatal(err)
		}
	}
	for name, meanwhile := range map[string]func(*testing.T, *Index){
		"repair": func(t *testing.T, x *Index) {
			if _, err := x.Check(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		},
		"forget": forget,
		"change": func(t *testing.T, x *Index) { x.unload() },
		"drop": func(t *testing.T, x *Index) {
			changeSpace(t, x, otherSpace)
			forget(t, x)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "index")
			x := openSmall(t, dir)
			putLean(t, x, 0, 300)
			nearest(t, x, 1)
			flip(t, x, idKey(recordPrefix, testID(7)))
			if err := saving(t, x, func() { meanwhile(t, x) }); err != errForgotten {
				t.Errorf("saving = %v", err)
			}
			if n := keysOf(t, x, string(manifestKey(testSpace))); n != 0 {
				t.Errorf("%d manifests", n)
			}
			if n := keysOf(t, x, string(spaceKey(codesPrefix, testSpace))); n != 0 {
				t.Errorf("%d parts of codes", n)
			}
		})
	}
}

// changeSpace has x answer with another space.
func changeSpace(t *testing.T, x *Index, to clipsearch.Space) {
	t.Helper()
	ctx := t.Context()
	if err := x.SwitchTo(ctx, clipsearch.SpaceStats{Model: "other", Digest: to, Dim: testDim}); err != nil {
		t.Fatal(err)
	}
	lacks, err := x.Lacking(ctx, to, clipsearch.ID{}, 1000, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Reencode(ctx, to, reencoded(lacks, to)); err != nil {
		t.Fatal(err)
	}
	if ok, err := x.Change(ctx); !ok || err != nil {
		t.Fatal(ok, err)
	}
}

// TestSmallEndsJournal: an index that has become too small to be saved keeps no
// journal for ever.
func TestSmallEndsJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	x := openSmall(t, dir)
	putLean(t, x, 0, 60)
	settle(t, x)
	if keysOf(t, x, manifestPrefix) != 1 {
		t.Fatal("it was not saved")
	}
	var gone []clipsearch.ID
	for n := range 30 {
		gone = append(gone, testID(n))
	}
	if err := x.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := x.Delete(t.Context(), []clipsearch.ID{testID(40)}); err != nil {
			t.Fatal(err)
		}
		put(t, x, lean(40))
	}
	settle(t, x)
	if j, m := keysOf(t, x, journalPrefix), keysOf(t, x, manifestPrefix); j > 64 || m != 0 {
		t.Errorf("%d entries of the journal, %d manifests", j, m)
	}
	if files, _ := os.ReadDir(filepath.Join(dir, "vectors", testSpace.String())); len(files) > 0 {
		t.Errorf("%d files of what is forgotten are left", len(files))
	}
	mustBeClean(t, x)
	if nearest(t, x, 40) != testID(40) || nearest(t, x, 3) == testID(3) {
		t.Error("what is found is not what is there")
	}
}
