package eval

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Dataset is a split of pictures with their captions.
type Dataset struct {
	Name    string
	Split   string
	Items   []Item
	Missing int  // pictures of the split that are not there and were left out
	Partial bool // a limit left some out
}

// Item is a picture of a data set.
type Item struct {
	Path     string // of the file
	Captions []string
}

// DatasetOptions say where a data set is and what of it is wanted.
type DatasetOptions struct {
	Name         string // "flickr8k", "flickr30k", "coco" or "karpathy": what to call it, and which file of several to take
	Data         string // an annotation file, or a folder with one
	Images       string // where to look for the pictures first; "" for nowhere else than beside the file
	Split        string // "test" if empty
	Limit        int    // take the first pictures only; all if zero
	AllowMissing bool   // leave out pictures that are not there
}

// datasets are the names that published figures exist for, and Karpathy's form
// under any other name.
var datasets = [...]string{"flickr8k", "flickr30k", "coco", "karpathy"}

// ReadDataset reads a split. It is an error wrapping [clipsearch.ErrInvalid] if
// the annotations cannot be read, the split is empty, a picture has no caption
// or, without AllowMissing, is not there.
func ReadDataset(o DatasetOptions) (Dataset, error) {
	if !slices.Contains(datasets[:], o.Name) {
		return Dataset{}, invalid("dataset %q is none of %s", o.Name, strings.Join(datasets[:], ", "))
	}
	if o.Limit < 0 {
		return Dataset{}, invalid("limit %d: it must not be negative", o.Limit)
	}
	file, err := annotationFile(o.Data, o.Name)
	if err != nil {
		return Dataset{}, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return Dataset{}, invalid("read annotations: %v", err)
	}
	entries, err := parseAnnotations(text)
	if err != nil {
		return Dataset{}, fmt.Errorf("read annotations %s: %w", file, err)
	}
	d := Dataset{Name: o.Name}
	if d.Split, entries, err = pickSplit(entries, o.Split, file); err != nil {
		return Dataset{}, err
	}
	if o.Limit > 0 && o.Limit < len(entries) {
		entries, d.Partial = entries[:o.Limit], true
	}
	return d.locate(entries, file, o)
}

// annotationFile returns the file that data names: data itself, or the first of
// the known names in the folder that it is.
func annotationFile(data, dataset string) (string, error) {
	info, err := os.Stat(data)
	if err != nil {
		return "", invalid("data %s: %v", data, err)
	}
	if !info.IsDir() {
		return data, nil
	}
	patterns := []string{"karpathy.json", "dataset_" + dataset + ".json", "dataset_*.json", "karpathy_test.json", "*_test_karpathy.txt", "results_20130124.token", "captions_*.json"}
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(literally(data), p))
		if err != nil {
			return "", invalid("data %s: %v", data, err)
		}
		switch {
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			return "", invalid("data %s holds %d files called %s: name one of them, as %s", data, len(found), p, found[0])
		}
	}
	return "", invalid("data %s holds none of %s", data, strings.Join(slices.Delete(patterns, 1, 2), ", "))
}

// literally escapes what Glob would read as a pattern.
func literally(dir string) string {
	if os.PathSeparator == '\\' {
		return dir // where there is no escaping
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// pickSplit returns the entries of a split. A file without splits is one split,
// called "all".
func pickSplit(entries []entry, split, file string) (string, []entry, error) {
	var names []string
	for _, e := range entries {
		if !slices.Contains(names, e.split) {
			names = append(names, e.split)
		}
	}
	slices.Sort(names)
	if slices.Equal(names, []string{""}) {
		if split != "" && split != "test" && split != "all" {
			return "", nil, invalid("%s has no splits, and so no split %q", file, split)
		}
		return "all", entries, nil
	}
	if split == "" {
		split = "test"
	}
	entries = slices.DeleteFunc(entries, func(e entry) bool { return e.split != split })
	if len(entries) == 0 {
		return "", nil, invalid("%s has no pictures in split %q; its splits are %s", file, split, strings.Join(names, ", "))
	}
	return split, entries, nil
}

// locate finds the pictures of entries.
func (d Dataset) locate(entries []entry, file string, o DatasetOptions) (Dataset, error) {
	var missing []string
	for _, e := range entries {
		if len(e.captions) == 0 {
			return Dataset{}, invalid("%s: picture %s has no caption", file, e.name)
		}
		if path := e.find(filepath.Dir(file), o.Images); path != "" {
			d.Items = append(d.Items, Item{path, e.captions})
		} else {
			missing = append(missing, e.name)
		}
	}
	d.Missing = len(missing)
	few := strings.Join(missing[:min(5, len(missing))], ", ")
	switch {
	case len(missing) > 0 && !o.AllowMissing:
		return Dataset{}, invalid("%d of %d pictures of %s are missing (%s): say where they are with --images, or leave them out with --allow-missing", len(missing), len(entries), file, few)
	case len(d.Items) == 0:
		return Dataset{}, invalid("not one of the %d pictures of %s is there (%s): say where they are with --images", len(entries), file, few)
	}
	return d, nil
}

// find returns the first place where the picture of e lies, or "".
func (e entry) find(dir, images string) string {
	var places []string
	if images != "" {
		places = append(places, filepath.Join(images, e.folder, e.name), filepath.Join(images, e.name))
	}
	if e.folder != "" {
		places = append(places, filepath.Join(dir, e.folder, e.name))
	}
	for _, sub := range []string{"images", "train2014", "val2014", ""} {
		places = append(places, filepath.Join(dir, sub, e.name))
	}
	for _, p := range places {
		if info, err := os.Stat(p); err == nil && !info.IsDir() {
			return p
		}
	}
	return ""
}
