package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/clipsearch/clipsearch"
)

func TestWriteOut(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	write := func(text string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := fmt.Fprint(w, text); return err }
	}
	if err := os.Symlink(file, link); err != nil {
		t.Skip(err)
	}
	var a app
	for _, name := range []string{file, link} {
		if err := a.writeOut(name, write(name)); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(file); string(got) != name {
			t.Errorf("after writing to %s the file holds %q", name, got)
		}
	}
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is no link any more: %v %v", st, err)
	}
	failed := errors.New("half way")
	err := a.writeOut(file, func(w io.Writer) error { fmt.Fprint(w, "half"); return failed })
	if got, _ := os.ReadFile(file); !errors.Is(err, failed) || string(got) != link {
		t.Errorf("a write that fails gives %v and leaves %q", err, got)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
	if err := a.writeOut(dir, write("x")); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("writing to a folder: %v is not ErrInvalid", err)
	}
	if err := a.writeOut(os.DevNull, write("x")); err != nil {
		t.Error(err)
	}
	if st, err := os.Stat(os.DevNull); err != nil || st.Mode().IsRegular() {
		t.Error("the null device has become a file")
	}
}
