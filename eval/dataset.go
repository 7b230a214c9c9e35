package eval

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch/internal/captions"
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
	file, err := captions.File(o.Data, o.Name)
	if err != nil {
		return Dataset{}, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return Dataset{}, invalid("read annotations: %v", err)
	}
	entries, err := captions.Parse(text)
	if err != nil {
		return Dataset{}, fmt.Errorf("read annotations %s: %w", file, err)
	}
	d := Dataset{Name: o.Name}
	if d.Split, entries, err = pickSplit(entries, func(p captions.Picture) string { return p.Split }, o.Split, file); err != nil {
		return Dataset{}, err
	}
	if o.Limit > 0 && o.Limit < len(entries) {
		entries, d.Partial = entries[:o.Limit], true
	}
	return d.locate(entries, file, o)
}

// pickSplit returns the entries of a split. A file without splits is one split,
// called "all".
func pickSplit[E any](entries []E, of func(E) string, split, file string) (string, []E, error) {
	var names []string
	for _, e := range entries {
		if !slices.Contains(names, of(e)) {
			names = append(names, of(e))
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
	entries = slices.DeleteFunc(entries, func(e E) bool { return of(e) != split })
	if len(entries) == 0 {
		return "", nil, invalid("%s has no pictures in split %q; its splits are %s", file, split, strings.Join(names, ", "))
	}
	return split, entries, nil
}

// locate finds the pictures of entries.
func (d Dataset) locate(entries []captions.Picture, file string, o DatasetOptions) (Dataset, error) {
	var missing []string
	for _, e := range entries {
		if len(e.Captions) == 0 {
			return Dataset{}, invalid("%s: picture %s has no caption", file, e.Name)
		}
		if path := e.Find(filepath.Dir(file), o.Images); path != "" {
			d.Items = append(d.Items, Item{path, e.Captions})
		} else {
			missing = append(missing, e.Name)
		}
	}
	d.Missing = len(missing)
	if err := checkMissing(missing, len(entries), file, o.AllowMissing); err != nil {
		return Dataset{}, err
	}
	return d, nil
}

// checkMissing tells of pictures that are not there, unless that is allowed and
// some are.
func checkMissing(missing []string, of int, file string, allowed bool) error {
	few := strings.Join(missing[:min(5, len(missing))], ", ")
	switch {
	case len(missing) > 0 && !allowed:
		return invalid("%d of %d pictures of %s are missing (%s): say where they are with --images, or leave them out with --allow-missing", len(missing), of, file, few)
	case len(missing) == of:
		return invalid("not one of the %d pictures of %s is there (%s): say where they are with --images", of, file, few)
	}
	return nil
}
