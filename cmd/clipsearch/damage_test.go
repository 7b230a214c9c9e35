package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index"
)

// flipTable changes one bit of the largest table of the index in dir.
func flipTable(t *testing.T, dir string, share float64) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "store", "*.sst"))
	var largest string
	var size int64
	for _, name := range tables {
		if st, serr := os.Stat(name); serr == nil && st.Size() > size {
			largest, size = name, st.Size()
		}
	}
	if err != nil || size == 0 {
		t.Fatalf("no tables: %v", err)
	}
	b, err := os.ReadFile(largest)
	if err != nil {
		t.Fatal(err)
	}
	b[int(share*float64(size))] ^= 4
	if err := os.WriteFile(largest, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedIndex has every command meet a damaged table: none takes what it can
// read for all there is, and export --allow-damage saves that.
func TestDamagedIndex(t *testing.T) {
	dir, _ := foreign(t, 60, nil)
	ids := picturesOf(t, dir)
	for _, share := range []float64{0.1, 0.4, 0.7} {
		flipTable(t, dir, share)
		dump := filepath.Join(t.TempDir(), "dump")
		code, stdout, stderr := runWith(nil, "export", dump, "--index", dir)
		if code != exitFailed || stdout != "" || !strings.Contains(stderr, "--allow-damage") {
			t.Errorf("export: exit %d, %q, %q", code, stdout, stderr)
		}
		if left, _ := os.ReadDir(filepath.Dir(dump)); len(left) > 0 {
			t.Errorf("export left %v", left)
		}
		if code, _, stderr := runWith(nil, "compact", "--index", dir); code != exitFailed || !strings.Contains(stderr, "nothing was changed") {
			t.Errorf("compact: exit %d, %q", code, stderr)
		}
		code, stdout, stderr = runWith(nil, "stats", "--index", dir)
		if told := stdout + stderr; !strings.Contains(told, "damaged") || strings.Contains(told, "0 pictures in") && !strings.Contains(told, "60 pictures in") {
			t.Errorf("stats: exit %d, %q", code, told)
		}
		code, stdout, _ = runWith(nil, "check", "--json", "--index", dir)
		if code != exitFailed || !strings.Contains(stdout, "clipsearch import FILE --index ELSEWHERE") || strings.Contains(stdout, `"images":0`) {
			t.Errorf("check: exit %d, %.600s", code, stdout)
		}
		wantSaved(t, dir, dump)
		similarTells(t, dir, ids)
		flipTable(t, dir, share)
	}
	wantClean(t, dir, 60)
}

func picturesOf(t *testing.T, dir string) (ids []clipsearch.ID) {
	t.Helper()
	x, err := index.Open(dir, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	page, err := x.Export(t.Context(), clipsearch.ID{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page {
		ids = append(ids, r.ID)
	}
	return ids
}

// wantSaved saves what is left of an index and makes another of it.
func wantSaved(t *testing.T, dir, dump string) {
	t.Helper()
	code, stdout, stderr := runWith(nil, "export", dump, "--allow-damage", "--json", "--index", dir)
	var sum exportSummary
	if err := json.Unmarshal([]byte(stdout), &sum); err != nil || sum.Lost == nil || sum.Images < 30 || sum.Images+sum.Lost.Images < 60 {
		t.Fatalf("export --allow-damage: exit %d, %q, %q", code, stdout, stderr)
	}
	// A thumbnail is made again, and nothing is lost then.
	if lost := *sum.Lost != (losses{}); lost != (code == exitSomeFiles) || lost != strings.Contains(stderr, "lost to damage") {
		t.Errorf("export --allow-damage: %+v, %+v, %q", sum, sum.Lost, stderr)
	}
	fresh := filepath.Join(filepath.Dir(dump), "fresh")
	if code, _, stderr := runWith(nil, "import", dump, "--index", fresh); code != exitDone {
		t.Errorf("import: exit %d, %q", code, stderr)
	}
	if code, stdout, stderr := runWith(nil, "stats", "--json", "--index", fresh); code != exitDone || strings.Contains(stdout, "damage") {
		t.Errorf("stats of what was saved: exit %d, %q, %q", code, stdout, stderr)
	}
}

// similarTells asks for pictures like one that can be read.
func similarTells(t *testing.T, dir string, ids []clipsearch.ID) {
	t.Helper()
	for _, id := range ids {
		code, stdout, _ := runWith(nil, "similar", id.String(), "--json", "--index", dir)
		if code != exitDone {
			continue // its vector is lost
		}
		if !strings.Contains(stdout, "clipsearch check") {
			t.Errorf("similar tells nothing of the damage: %.300s", stdout)
		}
		if code, stdout, stderr := runWith(nil, "similar", id.String(), "--format", "paths", "--index", dir); code != exitDone || stdout == "" || !strings.HasPrefix(stderr, "warning: ") {
			t.Errorf("similar --format paths: exit %d, %.100q, %q", code, stdout, stderr)
		}
		return
	}
	t.Error("no picture has a vector")
}

// TestSimilarUnknown asks for what is like a picture that nobody has.
func TestSimilarUnknown(t *testing.T) {
	dir, _ := foreign(t, 3, nil)
	id := clipsearch.NewID([]byte("nobody")).String()
	for _, args := range [][]string{{"similar", id}, {"search", "similar:" + id}} {
		code, stdout, stderr := runWith(nil, append(args, "--index", dir, "--json")...)
		if code != exitMistake || stdout != "" || !strings.Contains(stderr, "has no such picture") || !strings.Contains(stderr, "tells the ids") {
			t.Errorf("%q: exit %d, %q, %q, want a mistake", args, code, stdout, stderr)
		}
	}
}
