package index

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/clipsearch/clipsearch"
)

// afterKill copies the directory of an open index: what a kill -9 would leave.
func afterKill(t *testing.T, x *Index) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "killed")
	if out, err := exec.Command("cp", "-a", "--sparse=always", x.dir, to).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	return to
}

// TestSealReturns: a seal that a power cut brings back after tables were written does
// not make rubbish of them.
func TestSealReturns(t *testing.T) {
	o := testOptions()
	o.sizes = sizes{memtable: 1 << 20, valueLog: 1 << 20}
	dir := filepath.Join(t.TempDir(), "index")
	reopen := func(dir string) *Index {
		x, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { x.Close() })
		return x
	}
	x := reopen(dir)
	put(t, x, testEntry(1))
	closeIndex(t, x)
	seal, err := os.ReadFile(filepath.Join(dir, "store.seal"))
	if err != nil {
		t.Fatal(err)
	}
	x = reopen(dir)
	var ids []clipsearch.ID
	for i := 0; i < 1000; i += 50 {
		var batch []clipsearch.Entry
		for n := i; n < i+50; n++ {
			batch, ids = append(batch, testEntry(n)), append(ids, testID(n))
		}
		put(t, x, batch...)
	}
	to := afterKill(t, x)
	if err := os.WriteFile(filepath.Join(to, "store.seal"), seal, 0o600); err != nil {
		t.Fatal(err)
	}
	has, err := reopen(to).Has(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for i, ok := range has {
		if !ok {
			t.Fatalf("picture %d was acknowledged and is gone", i)
		}
	}
}
