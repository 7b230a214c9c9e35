package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSpools removes what dead imports have left, and leaves the living alone.
func TestSpools(t *testing.T) {
	dir := t.TempDir()
	living, err := newSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := newSpool(dir)
	if err == nil {
		err = os.WriteFile(filepath.Join(dead.dir, "model.onnx"), []byte("weights"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.lock.Unlock() // as a kill does
	young, old := filepath.Join(dir, ".import-1.tmp"), filepath.Join(dir, ".import-2.tmp")
	for _, d := range []string{young, old} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	removeSpools(dir)
	for path, want := range map[string]bool{
		living.dir: true, living.lock.Path(): true, dead.dir: false, dead.lock.Path(): false, young: true, old: false,
	} {
		if exists(path) != want {
			t.Errorf("%s is there: %v, want %v", path, !want, want)
		}
	}
	living.remove()
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// TestKilledImport has the next command find what a killed import has left.
func TestKilledImport(t *testing.T) {
	dir, _ := foreign(t, 3, nil)
	dead, err := newSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.lock.Unlock()
	if code, _, stderr := runWith(nil, "stats", "--index", dir); code != exitDone {
		t.Fatalf("stats: exit %d, %s", code, stderr)
	}
	if exists(dead.dir) {
		t.Errorf("%s is still there", dead.dir)
	}
}
