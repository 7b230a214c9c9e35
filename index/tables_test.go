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

// twoTables makes an index of two tables with n pictures each, the first numbered 0
// on and the second 1000 on, and returns its directory.
func twoTables(t *testing.T, n int, o Options) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "index")
	for round := range 2 {
		x, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			put(t, x, testEntry(1000*round+i))
		}
		closeIndex(t, x)
	}
	if n := len(storeFiles(t, dir, "*.sst")); n < 2 {
		t.Fatalf("%d tables, want two", n)
	}
	return dir
}

func storeFiles(t *testing.T, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "store", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return files
}

// content is what the files have, by name.
func content(t *testing.T, files []string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(name)] = string(b)
	}
	return all
}

// flipAt changes one bit of the file of a share of its length.
func flipAt(t *testing.T, path string, share float64) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	flipFile(t, path, int(share*float64(info.Size())))
}

// TestCompactDamagedTable merges tables of which one has a flipped bit: nothing may
// change, for with the bit flipped back all is there.
func TestCompactDamagedTable(t *testing.T) {
	for _, d := range []struct {
		name  string
		share float64
		do    func(*Index) error
	}{
		{"compact", 0.1, func(x *Index) error { return x.Compact(context.Background()) }},
		{"compact, at the end", 0.8, func(x *Index) error { return x.Compact(context.Background()) }},
		{"settle", 0.3, func(x *Index) error {
			x.store.sizes.memtable = 1 // there is much to merge
			return x.store.settle()
		}},
	} {
		t.Run(d.name, func(t *testing.T) {
			dir := twoTables(t, 40, testOptions())
			tables := storeFiles(t, dir, "*.sst")
			flipAt(t, tables[0], d.share)
			want := content(t, tables)
			x := open(t, dir)
			err := d.do(x)
			if err == nil || !strings.Contains(err.Error(), "nothing was changed") || !strings.Contains(err.Error(), "export FILE --allow-damage") {
				t.Errorf("err = %v, want it to refuse and to say what helps", err)
			}
			closeIndex(t, x)
			got := content(t, storeFiles(t, dir, "*.sst"))
			for name := range want {
				if got[name] != want[name] {
					t.Errorf("table %s is another", name)
				}
			}
			flipAt(t, tables[0], d.share)
			x = open(t, dir)
			mustBeClean(t, x)
			if err := x.Compact(context.Background()); err != nil {
				t.Errorf("Compact of what is whole: %v", err)
			}
			mustBeClean(t, x)
			mustHave(t, x, 40)
		})
	}
}

// mustHave asks for each picture of twoTables.
func mustHave(t *testing.T, x *Index, n int) {
	t.Helper()
	var want, got []clipsearch.ID
	for round := range 2 {
		for i := range n {
			id := testID(1000*round + i)
			want = append(want, id)
			if _, err := x.Image(context.Background(), id); err == nil {
				got = append(got, id)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pictures (-want +got):\n%s", diff)
	}
}

// TestDamagedTableIndex flips bits at the end of a table, without which the store
// cannot be opened: the error is in words, and says what to do.
func TestDamagedTableIndex(t *testing.T) {
	dir := twoTables(t, 20, testOptions())
	table := storeFiles(t, dir, "*.sst")[0]
	for _, share := range []float64{0.97, 0.99, 0.9999} {
		flipAt(t, table, share)
		x, err := Open(dir, testOptions())
		if err == nil {
			t.Errorf("flipped at %v: Open has nothing to say", share)
			closeIndex(t, x)
		} else if s := err.Error(); strings.Contains(s, "err:") || strings.Contains(s, "checksum mismatch") ||
			!strings.Contains(s, "table 000001.sst") || !strings.Contains(s, "--index ELSEWHERE") {
			t.Errorf("flipped at %v: Open = %v", share, err)
		}
		flipAt(t, table, share)
	}
}
