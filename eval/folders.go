package eval

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// readFolders reads pictures that lie in a folder for each class, called as it is
// (ImageFolder, as torchvision has it), in the order of the names; or in a folder
// for each split with such folders.
func readFolders(dir string, o LabelledOptions) (Labelled, error) {
	d := Labelled{Split: "all"}
	folders, err := subfolders(dir)
	if err != nil {
		return Labelled{}, err
	}
	if len(folders) == 0 {
		return Labelled{}, invalid("%s holds neither %s nor a folder for each class", dir, annotationsName)
	}
	if areSplits(folders) {
		if d.Split = o.Split; d.Split == "" {
			d.Split = "test"
		}
		if !slices.Contains(folders, d.Split) {
			return Labelled{}, invalid("%s has no folder for the split %q; its splits are %s", dir, d.Split, strings.Join(folders, ", "))
		}
		dir = filepath.Join(dir, d.Split)
		if folders, err = subfolders(dir); err != nil {
			return Labelled{}, err
		}
	} else if o.Split != "" && o.Split != "test" && o.Split != "all" {
		return Labelled{}, invalid("%s has no splits, and so no split %q", dir, o.Split)
	}
	d.Classes = folders
	for label, name := range folders {
		if err := d.gather(filepath.Join(dir, name), label, o.IsPicture); err != nil {
			return Labelled{}, err
		}
	}
	if len(d.Items) == 0 {
		return Labelled{}, invalid("not one picture is in the %d folders of %s", len(folders), dir)
	}
	d.Items, d.Partial = evenly(d.Items, o.Limit)
	return d, nil
}

// areSplits reports whether folders are splits and not classes.
func areSplits(folders []string) bool {
	for _, name := range folders {
		if !slices.Contains([]string{"train", "val", "valid", "validation", "dev", "test"}, name) {
			return false
		}
	}
	return true
}

// subfolders are the names of the folders in dir, sorted by their bytes. Hidden ones
// are left out.
func subfolders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, invalid("data %s: %v", dir, err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && info.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// gather adds the pictures of a class, at any depth.
func (d *Labelled) gather(dir string, label int, isPicture func(string) bool) error {
	root, err := filepath.EvalSymlinks(dir) // WalkDir does not follow a link
	if err != nil {
		return invalid("data %s: %v", dir, err)
	}
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		hidden := path != root && strings.HasPrefix(e.Name(), ".")
		switch {
		case err != nil:
			return err
		case e.IsDir() && hidden:
			return fs.SkipDir
		case !e.IsDir() && !hidden && (isPicture == nil || isPicture(path)):
			d.Items = append(d.Items, LabelledItem{path, label})
		}
		return nil
	})
	if err != nil {
		return invalid("data %s: %v", dir, err)
	}
	return nil
}
