package index

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

// small has graphs and saved codes of few vectors.
var small = tuning{graph: 100, saved: 50}

// openSmall opens or makes an index in dir with the tuning small.
func openSmall(t testing.TB, dir string) *Index {
	t.Helper()
	return openTuned(t, dir, small)
}

// lean is an entry that is quick to store.
func lean(n int) clipsearch.Entry {
	e := testEntry(n)
	e.Captions, e.CaptionVectors, e.Thumb = nil, nil, testThumb(n)[:64]
	return e
}

func putLean(t testing.TB, x *Index, from, to int) {
	t.Helper()
	var batch []clipsearch.Entry
	for i := from; i < to; i++ {
		batch = append(batch, lean(i))
	}
	put(t, x, batch...)
}

func settle(t testing.TB, x *Index) {
	t.Helper()
	if err := x.Settle(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// nearby is what some queries find.
func nearby(t testing.TB, x *Index) (list [][]clipsearch.Hit) {
	t.Helper()
	for q := range 10 {
		hits, err := x.Nearest(context.Background(), unit(testDim, uint64(q)+1e8), 12, nil)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, hits)
	}
	return list
}

// keysOf counts the keys of the store with a prefix.
func keysOf(t testing.TB, x *Index, prefix string) (n int) {
	t.Helper()
	err := x.store.view(func(t tx) error {
		keys, err := t.keys([]byte(prefix))
		n = len(keys)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// loadedSaved reports whether what is in memory came from the parts in the store, or
// was saved there since by the tender.
func loadedSaved(x *Index) bool {
	x.saving.Lock() // the tender may be at it
	defer x.saving.Unlock()
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.mem.vectors != nil && x.mem.vectors.saved > 0 || x.mem.vectors != nil && x.mem.vectors.kept.Rows > 0
}

func TestDerivedIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	x := openSmall(t, dir)
	putLean(t, x, 0, 300)
	settle(t, x)
	if keysOf(t, x, manifestPrefix) != 1 || keysOf(t, x, codesPrefix) == 0 || keysOf(t, x, graphPrefix) == 0 {
		t.Fatalf("%d manifests, %d parts of codes, %d of a graph", keysOf(t, x, manifestPrefix), keysOf(t, x, codesPrefix), keysOf(t, x, graphPrefix))
	}
	mustBeClean(t, x)
	// What is written from here on only the journal knows.
	putLean(t, x, 300, 340)
	if err := x.Delete(t.Context(), []clipsearch.ID{testID(1), testID(2), testID(310)}); err != nil {
		t.Fatal(err)
	}
	want := nearby(t, x)
	closeIndex(t, x)

	x = openSmall(t, dir)
	if diff := cmp.Diff(want, nearby(t, x)); diff != "" {
		t.Errorf("after it was opened again (-before +after):\n%s", diff)
	}
	if !loadedSaved(x) {
		t.Error("what the store has was not used")
	}
	mustBeClean(t, x)
	settle(t, x)
	if n := keysOf(t, x, journalPrefix); n != 0 {
		t.Errorf("%d entries of the journal are left after all was written", n)
	}
	if files, err := os.ReadDir(filepath.Join(dir, "vectors", testSpace.String())); err != nil || len(files) != 1 {
		t.Errorf("files of vectors: %v, %v", files, err)
	}
	closeIndex(t, x)
	x = openSmall(t, dir)
	if diff := cmp.Diff(want, nearby(t, x)); diff != "" {
		t.Errorf("after it was written and opened once more (-before +after):\n%s", diff)
	}
	mustBeClean(t, x)
}

// TestDerivedIsDamaged: whatever befalls what is derived, the answers stay, Check
// names it, and repair mends it.
func TestDerivedIsDamaged(t *testing.T) {
	first := func(t *testing.T, x *Index, prefix string) (key []byte) {
		_ = x.store.view(func(t tx) error {
			keys, err := t.keys([]byte(prefix))
			key = keys[0]
			return err
		})
		return key
	}
	for name, tt := range map[string]struct {
		what string
		do   func(t *testing.T, x *Index)
	}{
		"codes":        {"part 0 of the codes is damaged", func(t *testing.T, x *Index) { flip(t, x, first(t, x, codesPrefix)) }},
		"graph":        {"part 0 of the graph is damaged", func(t *testing.T, x *Index) { flip(t, x, first(t, x, graphPrefix)) }},
		"manifest":     {"the manifest of the codes is damaged", func(t *testing.T, x *Index) { flip(t, x, first(t, x, manifestPrefix)) }},
		"journal":      {"of the journal is damaged", func(t *testing.T, x *Index) { flip(t, x, first(t, x, journalPrefix)) }},
		"a part gone":  {"part 0 of the codes is missing", func(t *testing.T, x *Index) { remove(t, x, first(t, x, codesPrefix)) }},
		"a graph gone": {"part 0 of the graph is missing", func(t *testing.T, x *Index) { remove(t, x, first(t, x, graphPrefix)) }},
		"the file gone": {"", func(t *testing.T, x *Index) {
			if err := os.RemoveAll(filepath.Join(x.dir, "vectors")); err != nil {
				t.Fatal(err)
			}
		}},
		"rows of the file": {"its numbers in the file", func(t *testing.T, x *Index) {
			files, err := filepath.Glob(filepath.Join(x.dir, "vectors", "*", "*"))
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			for row := range 20 {
				flipFile(t, files[0], row*(3*64+4)+7) // testDim is padded to 64
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "index")
			x := openSmall(t, dir)
			putLean(t, x, 0, 200)
			settle(t, x)
			putLean(t, x, 200, 210)
			want := nearby(t, x)
			closeIndex(t, x)

			x = openSmall(t, dir)
			tt.do(t, x)
			if tt.what != "" {
				mustName(t, x, tt.what) // before a search: who loads what is damaged makes it again
			}
			if diff := cmp.Diff(want, nearby(t, x)); diff != "" {
				t.Errorf("answers with damage (-before +after):\n%s", diff)
			}
			if _, err := x.Check(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			mustBeClean(t, x)
			if diff := cmp.Diff(want, nearby(t, x)); diff != "" {
				t.Errorf("answers after repair (-before +after):\n%s", diff)
			}
			settle(t, x)
			closeIndex(t, x)
			x = openSmall(t, dir)
			if diff := cmp.Diff(want, nearby(t, x)); diff != "" || !loadedSaved(x) {
				t.Errorf("answers of what was made again (-before +after):\n%s", diff)
			}
			mustBeClean(t, x)
		})
	}
}

// mustName checks that Check names something so, which it can repair.
func mustName(t *testing.T, x *Index, what string) {
	t.Helper()
	problems, err := x.Check(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.Contains(p.What, what) && p.Repairable {
			return
		}
	}
	t.Errorf("Check = %+v, want one that says %q", problems, what)
}
