package eval

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/clipsearch/clipsearch/internal/captions"
)

// Labelled is a split of pictures that belong to one class each.
type Labelled struct {
	Name    string // of the folder
	Split   string
	Classes []string
	Items   []LabelledItem
	Missing int  // pictures of the split that are not there and were left out
	Partial bool // a limit left some out
}

// LabelledItem is a picture of one class.
type LabelledItem struct {
	Path  string // of the file
	Label int    // from 0
}

// LabelledOptions say where labelled pictures are and what of them is wanted.
type LabelledOptions struct {
	Data         string                 // an annotation file, a folder with annotations.json, or one with a folder for each class
	Images       string                 // where to look first for the pictures of an annotation file; may be empty
	Split        string                 // "test" if empty and there are splits
	ClassNames   []string               // in place of the data's own, if not empty
	Limit        int                    // take that many pictures, evenly over the split; all if zero
	AllowMissing bool                   // leave out pictures that are not there
	IsPicture    func(name string) bool // which files of a class's folder are pictures; all if nil
}

// annotationsName is the file that tells the classes of the pictures beside it.
const annotationsName = "annotations.json"

// ReadLabelled reads a split. It is an error wrapping [clipsearch.ErrInvalid] if
// it is empty, cannot be read, has classes that cannot be told apart or labels out
// of range, or, without AllowMissing, lacks pictures.
func ReadLabelled(o LabelledOptions) (Labelled, error) {
	if o.Limit < 0 {
		return Labelled{}, invalid("limit %d: it must not be negative", o.Limit)
	}
	info, err := os.Stat(o.Data)
	if err != nil {
		return Labelled{}, invalid("data %s: %v", o.Data, err)
	}
	file, read := o.Data, readAnnotations
	if info.IsDir() {
		file = filepath.Join(o.Data, annotationsName)
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			file, read = o.Data, readFolders
		}
	}
	d, err := read(file, o)
	if err != nil {
		return Labelled{}, err
	}
	d.Name = o.name(info)
	if len(o.ClassNames) > 0 {
		if len(o.ClassNames) != len(d.Classes) && len(d.Classes) > 0 {
			return Labelled{}, invalid("%d class names for the %d classes of %s: give one a class, in their order", len(o.ClassNames), len(d.Classes), file)
		}
		d.Classes = o.ClassNames
	}
	return d, d.check(file)
}

// name is what to call the data: its folder.
func (o LabelledOptions) name(info fs.FileInfo) string {
	path, err := filepath.Abs(o.Data)
	if err != nil {
		path = o.Data
	}
	if !info.IsDir() {
		path = filepath.Dir(path)
	}
	return filepath.Base(path)
}

// check refuses classes that cannot be told apart and labels out of range.
func (d *Labelled) check(file string) error {
	if len(d.Classes) == 0 {
		return invalid("%s names no classes: give their names with --classnames", file)
	}
	at := map[string]int{}
	for c, name := range d.Classes {
		if strings.TrimSpace(name) == "" {
			return invalid("%s: class %d has no name", file, c)
		}
		if first, ok := at[name]; ok {
			return invalid("%s: classes %d and %d are both called %q, and no model can tell them apart: give names of your own with --classnames", file, first, c, name)
		}
		at[name] = c
	}
	for _, it := range d.Items {
		if it.Label < 0 || it.Label >= len(d.Classes) {
			return invalid("%s: picture %s has the label %d, but classes go from 0 to %d", file, it.Path, it.Label, len(d.Classes)-1)
		}
	}
	return nil
}

// evenly keeps n of items, or all if n is zero: most sets are sorted by class.
func evenly[T any](items []T, n int) (kept []T, partial bool) {
	if n == 0 || n >= len(items) {
		return items, false
	}
	for i := range n {
		kept = append(kept, items[i*len(items)/n])
	}
	return kept, true
}

// annotation is an entry of annotations.json.
type annotation struct {
	Filename, Split string
	Label           *int
}

func readAnnotations(file string, o LabelledOptions) (Labelled, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Labelled{}, invalid("read annotations: %v", err)
	}
	var content struct {
		Classes []string
		Images  []annotation
	}
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &content); err != nil {
		return Labelled{}, invalid("read annotations %s: this is no JSON of classes and images with filename and label: %v", file, err)
	}
	for i, e := range content.Images {
		if e.Filename == "" || e.Label == nil {
			return Labelled{}, invalid("%s: image %d (%s) has no filename or no label", file, i, e.Filename)
		}
	}
	if len(content.Images) == 0 {
		return Labelled{}, invalid("%s: there are no images in it", file)
	}
	d := Labelled{Classes: content.Classes}
	var entries []annotation
	if d.Split, entries, err = pickSplit(content.Images, func(a annotation) string { return a.Split }, o.Split, file); err != nil {
		return Labelled{}, err
	}
	entries, d.Partial = evenly(entries, o.Limit)
	return d, d.locate(entries, file, o)
}

// locate finds the pictures of entries.
func (d *Labelled) locate(entries []annotation, file string, o LabelledOptions) error {
	var missing []string
	for _, e := range entries {
		p := captions.Picture{Name: filepath.FromSlash(e.Filename)}
		if path := p.Find(filepath.Dir(file), o.Images); path != "" {
			d.Items = append(d.Items, LabelledItem{path, *e.Label})
		} else {
			missing = append(missing, e.Filename)
		}
	}
	d.Missing = len(missing)
	return checkMissing(missing, len(entries), file, o.AllowMissing)
}
