package data

import (
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// Set is pictures with their captions.
type Set struct {
	Items       []Item
	Missing     int // pictures that are not there and were left out
	Uncaptioned int // pictures without a caption that were left out
	Excluded    int // pictures left out as Options.Exclude says
}

// Item is a picture of a set, with at least one caption.
type Item struct {
	Name     string // as the set has it
	Captions []string

	file     string
	at, size int64 // of the picture in file, if it is one of several there
	inside   bool
}

// NewItem returns a picture that is a file of its own.
func NewItem(file string, captions ...string) Item {
	return Item{Name: file, Captions: captions, file: file}
}

// maxPicture is how many bytes of a picture are read: no camera writes more.
const maxPicture = 256 << 20

// Read returns the bytes of the picture's file.
func (it Item) Read() ([]byte, error) {
	if info, err := os.Stat(it.file); err == nil && !info.Mode().IsRegular() { // to open a pipe would wait for ever
		return nil, invalid("%s is no regular file", it.file)
	}
	f, err := os.Open(it.file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := it.size
	if !it.inside {
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		size = info.Size()
	}
	if size > maxPicture {
		return nil, invalid("%s: %d bytes, more than the limit of %d", it.Name, size, maxPicture)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(f, it.at, size), b); err != nil {
		return nil, fmt.Errorf("read %s: %w", it.file, err)
	}
	return b, nil
}

// Options say which pictures a set has.
type Options struct {
	// Data is an annotation file (Karpathy's or COCO's JSON), a table (TSV or CSV: a path
	// and a caption a line), JSON records (a line each, or an array), webdataset's tars
	// ("shard-{000000..000009}.tar", or one, or a pattern with *), or a folder with one of
	// these.
	Data string
	// Images is where to look for the pictures first; "" for nowhere else than beside Data.
	// They lie below it or below the folder of Data: a path that leads elsewhere is an error.
	Images string
	Split  string // "train", which has restval in it, "val", "test" or "all"; "train" if empty

	// HoldOut is the share of the pictures that are "val" where the file has no such
	// split: those whose names a hash of Seed puts first, so that the order of the file
	// does not matter. None are if it is zero.
	HoldOut float64
	Seed    uint64

	Limit        int  // take the first pictures only; all if zero
	AllowMissing bool // leave out pictures that are not there, or have no caption

	// Exclude leaves out pictures by the name of their file without its folder, or by what
	// their members of a tar share; nil leaves out none.
	Exclude func(name string) bool
}

// Read reads a set. Its error wraps [clipsearch.ErrInvalid] if what Data names cannot be
// understood, a picture is missing or has no caption (without AllowMissing), or nothing
// is left.
func Read(o Options) (*Set, error) {
	switch {
	case o.HoldOut < 0 || o.HoldOut >= 1 || o.HoldOut != o.HoldOut:
		return nil, invalid("a held-out share of %v: it must be at least 0 and less than 1", o.HoldOut)
	case o.Limit < 0:
		return nil, invalid("limit %d: it must not be negative", o.Limit)
	}
	src, err := open(o.Data)
	if err != nil {
		return nil, err
	}
	all, err := src.pick(o)
	if err != nil {
		return nil, err
	}
	set := &Set{}
	if o.Exclude != nil {
		before := len(all)
		all = slices.DeleteFunc(all, func(p picture) bool { return o.Exclude(p.base()) })
		set.Excluded = before - len(all)
	}
	if o.Limit > 0 {
		all = all[:min(o.Limit, len(all))]
	}
	return set, set.add(all, src, o)
}

// add takes those pictures that are there and have captions.
func (s *Set) add(all []picture, src *source, o Options) error {
	var missing, silent []string
	at := map[string]int{} // of pictures by their file: one that is named twice is one
	below := rootsOf(src.dir, o.Images)
	for _, p := range all {
		p.Captions = written(p.Captions)
		file := p.file
		if file == "" && p.shard == "" {
			var err error
			if file, err = below.find(p); err != nil {
				return fmt.Errorf("%s: %w", src.name, err)
			}
		}
		switch {
		case len(p.Captions) == 0:
			silent = append(silent, p.label())
		case file == "":
			missing = append(missing, p.label())
		case !p.inside && at[file] > 0:
			it := &s.Items[at[file]-1]
			it.Captions = append(it.Captions, p.Captions...)
		default:
			at[file] = len(s.Items) + 1
			s.Items = append(s.Items, Item{p.label(), p.Captions, file, p.at, p.size, p.inside})
		}
	}
	s.Missing, s.Uncaptioned = len(missing), len(silent)
	switch {
	case len(missing) > 0 && !o.AllowMissing:
		return invalid("%d of %d pictures of %s are missing (%s): say where they are with --images, or leave them out with data.allow_missing", len(missing), len(all), src.name, few(missing))
	case len(silent) > 0 && !o.AllowMissing:
		return invalid("%d of %d pictures of %s have no caption (%s): give them one, or leave them out with data.allow_missing", len(silent), len(all), src.name, few(silent))
	case len(s.Items) == 0 && s.Missing+s.Uncaptioned > 0:
		return invalid("of the %d pictures of %s, %d are missing and %d have no caption (%s): say where they are with --images", len(all), src.name, s.Missing, s.Uncaptioned, few(append(missing, silent...)))
	case len(s.Items) == 0:
		return invalid("%s has no picture that may be used: %d are excluded", src.name, s.Excluded)
	}
	return nil
}

// readCaption is how many bytes of a caption are read: hundreds of times as many as a
// model does, and few enough for a vocabulary to be learned from.
const readCaption = 1 << 14

// written returns the captions that say something, on one line each.
func written(captions []string) []string {
	var some []string
	for _, c := range captions {
		c = c[:min(len(c), readCaption)]
		c = strings.Join(strings.Fields(strings.ToValidUTF8(c, "\uFFFD")), " ")
		if c != "" {
			some = append(some, c)
		}
	}
	return some
}

// few returns the first names of a list.
func few(names []string) string {
	if len(names) > 5 {
		return strings.Join(names[:5], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}

// Join returns one set of all pictures of several.
func Join(sets ...*Set) *Set {
	all := &Set{}
	for _, s := range sets {
		all.Items = append(all.Items, s.Items...)
		all.Missing += s.Missing
		all.Uncaptioned += s.Uncaptioned
		all.Excluded += s.Excluded
	}
	return all
}

// Captions returns how many captions the pictures have.
func (s *Set) Captions() int {
	n := 0
	for _, it := range s.Items {
		n += len(it.Captions)
	}
	return n
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, clipsearch.ErrInvalid)...)
}

// Texts yields every caption, picture by picture.
func (s *Set) Texts() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, it := range s.Items {
			for _, c := range it.Captions {
				if !yield(c) {
					return
				}
			}
		}
	}
}
