package data

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch/internal/captions"
)

// picture is one as its source names it.
type picture struct {
	captions.Picture
	file     string // where it is, if that is known already
	at, size int64
	inside   bool
	shard    string // it lies in, if it does
	named    place  // in the list
}

// place is where a list names a picture: line 3, record 3.
type place struct {
	unit   string
	number int
}

// label is what the picture is called: names are unique in their shard only.
func (p picture) label() string {
	if p.shard == "" {
		return p.Name
	}
	return filepath.Base(p.shard) + ":" + p.Name
}

// base returns the name of the picture's file without its folder.
func (p picture) base() string { return path.Base(filepath.ToSlash(p.Name)) }

// The names that splits go by.
var splitNames = map[string][]string{
	"train": {"train", "restval", "training", ""},
	"val":   {"val", "valid", "validation", "dev"},
	"test":  {"test"},
}

// pick returns the pictures of the split that o asks for.
func (s *source) pick(o Options) ([]picture, error) {
	want := cmp.Or(o.Split, "train")
	if want == "all" {
		return s.pictures, nil
	}
	names, ok := splitNames[want]
	if !ok {
		return nil, invalid("split %q is none of train, val, test and all", o.Split)
	}
	split := s.split
	if o.HoldOut > 0 && !s.has("val") {
		held := s.heldOut(o.HoldOut, o.Seed)
		split = func(p picture) string {
			if held[p.label()] {
				return "val"
			}
			return s.split(p)
		}
	}
	picked := slices.DeleteFunc(slices.Clone(s.pictures), func(p picture) bool { return !slices.Contains(names, split(p)) })
	if len(picked) > 0 {
		return picked, nil
	}
	if want == "val" && o.HoldOut == 0 {
		return nil, noSplit{invalid("%s has no pictures in split \"val\"%s: name another file for validation, or a share of the pictures to hold out", s.name, s.splits())}
	}
	return nil, noSplit{invalid("%s has no pictures in split %q%s", s.name, want, s.splits())}
}

// ErrNoSplit is what the error of [Read] is for a split without pictures.
var ErrNoSplit = errors.New("no such split")

type noSplit struct{ error }

func (noSplit) Is(err error) bool { return err == ErrNoSplit }
func (e noSplit) Unwrap() error   { return e.error }

func (s *source) split(p picture) string { return strings.ToLower(p.Split) }

func (s *source) has(split string) bool {
	return slices.ContainsFunc(s.pictures, func(p picture) bool { return slices.Contains(splitNames[split], s.split(p)) })
}

// splits says which splits there are.
func (s *source) splits() string {
	var names []string
	for _, p := range s.pictures {
		if !slices.Contains(names, p.Split) && len(names) < 10 {
			names = append(names, p.Split)
		}
	}
	slices.Sort(names)
	if slices.Equal(names, []string{""}) {
		return " (it has no splits)"
	}
	return "; its splits are " + strings.Join(names, ", ")
}

// heldOut returns the names of a share of the training pictures, at least one.
func (s *source) heldOut(share float64, seed uint64) map[string]bool {
	type ranked struct {
		name string
		hash uint64
	}
	var all []ranked
	for _, p := range s.pictures {
		if slices.Contains(splitNames["train"], s.split(p)) {
			sum := sha256.Sum256(binary.LittleEndian.AppendUint64([]byte(p.label()), seed))
			all = append(all, ranked{p.label(), binary.LittleEndian.Uint64(sum[:])})
		}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.name, b.name))
	})
	held := map[string]bool{}
	for _, r := range all[:min(len(all), int(math.Ceil(share*float64(len(all)))))] {
		held[r.name] = true
	}
	return held
}
