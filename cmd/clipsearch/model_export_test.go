package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
)

// TestWriteDirLeavesNothing has a directory not come about in every way: the error
// says what to do, and neither the directory nor a part of it is left.
func TestWriteDirLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	fills := func(err error) func(string) error {
		return func(part string) error {
			return errors.Join(os.WriteFile(filepath.Join(part, "half"), nil, 0o644), err)
		}
	}
	for _, tt := range []struct {
		name, out string
		fill      func(string) error
		is        error
		says      string
	}{
		{"no folder", filepath.Join(file, "out"), fills(nil), clipsearch.ErrInvalid, "name another --out"},
		{"a file", file, fills(nil), clipsearch.ErrInvalid, "name another --out"},
		{"not empty", dir, fills(nil), clipsearch.ErrInvalid, "name another --out"},
		{"full", filepath.Join(dir, "out"), fills(fmt.Errorf("write: %w", syscall.ENOSPC)), clipsearch.ErrNoSpace, "the disk is full"},
		{"interrupted", filepath.Join(dir, "out"), func(part string) error { cancel(); return fills(nil)(part) }, context.Canceled, ""},
	} {
		err := writeDir(ctx, tt.out, tt.fill)
		if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: writeDir = %v, want %v with %q", tt.name, err, tt.is, tt.says)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("%s: %v, %v are left, want the file alone", tt.name, left, err)
		}
	}
}

// TestDropParts: what a killed process left long ago goes, and nothing else does.
func TestDropParts(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{".out.part1": 2 * oldPart, ".out.part2": 0, ".other.part1": 2 * oldPart, "out.part1": 2 * oldPart} {
		if err := os.MkdirAll(filepath.Join(dir, name, "half"), 0o755); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Join(dir, name), then, then); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeDir(t.Context(), filepath.Join(dir, "out"), func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{".other.part1", ".out.part2", "out", "out.part1"}; !slices.Equal(left, want) {
		t.Errorf("%v are left, not %v", left, want)
	}
}
