package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// writeOut calls write with stdout, or with a file that takes its name only when
// it is whole. A link is followed, and what is no regular file, such as a pipe
// or a device, is written to as it is.
func (a *app) writeOut(name string, write func(io.Writer) error) error {
	return a.writeOutAs(name, 0o644, write)
}

// writeOutAs is writeOut for a file of this mode, which is on the disk when it
// returns.
func (a *app) writeOutAs(name string, mode os.FileMode, write func(io.Writer) error) error {
	if name == "" || name == "-" {
		return write(a.stdout)
	}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	st, err := os.Stat(name)
	switch {
	case err == nil && st.IsDir():
		return mistake("write %s: it is a folder: name a file", name)
	case err == nil && !st.Mode().IsRegular():
		return writeInPlace(name, write)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".clipsearch-*")
	if err != nil {
		return mistake("write %s: %v", name, err)
	}
	defer os.Remove(f.Name()) // gone by then, if all went well
	if err := errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func writeInPlace(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return mistake("write %s: %v", name, err)
	}
	return errors.Join(write(f), f.Close())
}
