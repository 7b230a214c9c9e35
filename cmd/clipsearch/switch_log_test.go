//go:build !nomodel && unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSwitchLog has a process in the background leave an error, and the change given
// up: nobody hears of the error any more, nor takes what was wanted for one.
func TestSwitchLog(t *testing.T) {
	first, second := twoModels(t)
	dir := t.TempDir()
	index, pictures := filepath.Join(dir, "index"), filepath.Join(dir, "pictures")
	tinyPictures(t, pictures, 300)
	command(t, "ingest", pictures, "--index", index, "--model", first, "--quiet")
	log := filepath.Join(index, switchLog)
	if err := os.WriteFile(log, []byte("the sky fell\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := program(t, "model", "switch", second, "--json", "--index", index).Output(); err != nil {
		t.Fatalf("switch: %v: %s", err, out)
	}
	if said, _ := os.ReadFile(log); strings.Contains(string(said), "sky") {
		t.Errorf("after a change has begun the log says %q", said)
	}
	if err := os.WriteFile(log, []byte("the sky fell\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "model", "switch", "--rollback", "--index", index, "--quiet")
	time.Sleep(2 * time.Second) // the process finds out
	if said, _ := os.ReadFile(log); len(said) > 0 {
		t.Errorf("after the change was given up the log says %q", said)
	}
	if out := command(t, "stats", "--index", index, "--json"); strings.Contains(out, "sky") || strings.Contains(out, "somebody else") {
		t.Errorf("stats: %s", out)
	}
}
