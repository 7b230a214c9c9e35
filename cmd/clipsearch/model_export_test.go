package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

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
