package index

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/disk"
)

// create makes an index without pictures in dir. Until its meta is written, last,
// there is none.
func create(dir string, o Options) (Meta, error) {
	m := Meta{Format: Format, Space: o.Space, Model: o.Model, Dim: o.Dim, Language: o.Language}
	if o.Space == (clipsearch.Space{}) || o.Dim < 1 {
		return m, fmt.Errorf("make index %s: a space and a dimension are needed: %w", dir, clipsearch.ErrInvalid)
	}
	if err := CheckLanguage(m.WordLanguage()); err != nil {
		return m, fmt.Errorf("make index %s: %w", dir, err)
	}
	if isFile(dir) {
		return m, fmt.Errorf("index %s is a file: name a folder with --index: %w", dir, clipsearch.ErrInvalid)
	}
	place := existing(dir)
	free, err := disk.Free(place)
	if err != nil {
		return m, fmt.Errorf("ask for the free space of %s: %w", place, err)
	}
	if err := checkSpace(place, margin+sizesFor(free).room()); err != nil {
		return m, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return m, fmt.Errorf("make index: %w", err)
	}
	removeHalfCopies(dir, 0)
	if o.keeps(m.Space, spaceEntry{m.Model, m.Dim}) {
		err = saveModel(dir, m.Space, o)
	}
	if err != nil {
		return m, withSpace(fmt.Errorf("make index %s: %w", dir, err), dir)
	}
	return m, withSpace(writeMeta(dir, m), dir)
}

// keeps reports whether an index should have a copy of a model.
func (o Options) keeps(space clipsearch.Space, e spaceEntry) bool {
	if o.SaveModel == nil || o.Keeps == nil {
		return o.SaveModel != nil
	}
	return o.Keeps(clipsearch.SpaceModel{Space: space, Model: e.Model, Dim: e.Dim})
}

// saves reports whether the copy of the model of a space can be made again.
func (o Options) saves(space clipsearch.Space) bool {
	if o.SaveModel == nil || o.Saves == nil {
		return o.SaveModel != nil && (o.Space == space || o.Space == clipsearch.Space{})
	}
	return o.Saves(space)
}

// KeepModel puts a copy of the model of a space into the index in dir, unless there
// is a whole one. Another process may have the index open: SwitchTo makes use of
// the copy, and nobody before.
func KeepModel(dir string, space clipsearch.Space, o Options) error {
	if path := ModelDir(dir, space); o.CheckModel != nil {
		if _, err := os.Stat(path); err == nil && len(o.CheckModel(path)) == 0 {
			return nil
		}
	}
	if err := checkSpace(dir, margin); err != nil {
		return err
	}
	if err := saveModel(dir, space, o); err != nil {
		return withSpace(fmt.Errorf("keep the model in index %s: %w", dir, err), dir)
	}
	return nil
}

// removeHalfCopies removes what processes that were killed have left of copies of
// models, if nobody has written to it for age.
func removeHalfCopies(dir string, age time.Duration) {
	left, err := filepath.Glob(filepath.Join(dir, "models", "new-*.tmp"))
	if err != nil {
		return
	}
	for _, l := range left {
		if info, err := os.Stat(l); err == nil && time.Since(info.ModTime()) >= age {
			os.RemoveAll(l)
		}
	}
}

// saveModel puts a copy of the model into dir, whole or not at all.
func saveModel(dir string, space clipsearch.Space, o Options) error {
	if o.SaveModel == nil {
		return nil
	}
	models, final := filepath.Join(dir, "models"), ModelDir(dir, space)
	if err := os.MkdirAll(models, 0o700); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(models, "new-*.tmp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := o.SaveModel(tmp); err != nil {
		return fmt.Errorf("copy the model: %w", err)
	}
	if err := syncTree(tmp); err != nil {
		return err
	}
	if o.CheckModel != nil {
		if wrong := o.CheckModel(tmp); len(wrong) > 0 {
			return fmt.Errorf("copy the model: %s", wrong[0])
		}
	}
	if err := os.RemoveAll(final); err != nil {
		return err
	}
	if err := os.Rename(tmp, final); err != nil {
		return err
	}
	return syncDir(models)
}

// syncTree writes all that lies under dir through to the disk.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return syncDir(path)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
