package eval_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/eval"
)

const annotated = `
-- annotations.json --
{"classes": ["cat", "dog"], "images": [
 {"filename": "images/a.jpg", "label": 1, "split": "test"},
 {"filename": "b.jpg", "label": 0, "split": "test"},
 {"filename": "c.jpg", "label": 0, "split": "train"},
 {"filename": "d.jpg", "label": 1, "split": "test"}]}
-- images/a.jpg --
-- images/b.jpg --
-- d.jpg --
-- other/d.jpg --
`

const folders = `
-- dog/b.jpg --
-- dog/deep/a.JPG --
-- dog/notes.txt --
-- dog/.hidden/x.jpg --
-- dog/.x.jpg --
-- big_cat/c.jpg --
-- Ant/readme.txt --
-- .git/x.jpg --
-- top.jpg --
`

const splits = `
-- train/cat/a.jpg --
-- train/dog/b.jpg --
-- test/dog/c.jpg --
-- test/cat/d.jpg --
`

func isJPEG(name string) bool { return strings.EqualFold(filepath.Ext(name), ".jpg") }

func TestReadLabelled(t *testing.T) {
	type L = eval.Labelled
	item := func(path string, label int) eval.LabelledItem { return eval.LabelledItem{Path: path, Label: label} }
	catdog := []string{"cat", "dog"}
	tests := []struct {
		what, files string
		o           eval.LabelledOptions
		want        L
	}{
		{"annotations", annotated, eval.LabelledOptions{}, L{Split: "test", Classes: catdog, Items: []eval.LabelledItem{item("images/a.jpg", 1), item("images/b.jpg", 0), item("d.jpg", 1)}}},
		{"their file, other names, fewer pictures", annotated, eval.LabelledOptions{Data: "annotations.json", ClassNames: []string{"Katze", "Hund"}, Limit: 2}, L{Split: "test", Partial: true, Classes: []string{"Katze", "Hund"}, Items: []eval.LabelledItem{item("images/a.jpg", 1), item("images/b.jpg", 0)}}},
		{"pictures elsewhere first", annotated, eval.LabelledOptions{Images: "other"}, L{Split: "test", Classes: catdog, Items: []eval.LabelledItem{item("images/a.jpg", 1), item("images/b.jpg", 0), item("other/d.jpg", 1)}}},
		{"missing and allowed", strings.Replace(annotated, "-- images/a.jpg --\n", "", 1), eval.LabelledOptions{AllowMissing: true}, L{Split: "test", Missing: 1, Classes: catdog, Items: []eval.LabelledItem{item("images/b.jpg", 0), item("d.jpg", 1)}}},
		{"names from elsewhere alone", "-- annotations.json --\n{\"images\": [{\"filename\": \"a.jpg\", \"label\": 1}]}\n-- a.jpg --\n", eval.LabelledOptions{ClassNames: catdog}, L{Split: "all", Classes: catdog, Items: []eval.LabelledItem{item("a.jpg", 1)}}},
		{"folders", folders, eval.LabelledOptions{}, L{Split: "all", Classes: []string{"Ant", "big_cat", "dog"}, Items: []eval.LabelledItem{item("big_cat/c.jpg", 1), item("dog/b.jpg", 2), item("dog/deep/a.JPG", 2)}}},
		{"folders, evenly", folders, eval.LabelledOptions{Limit: 2}, L{Split: "all", Partial: true, Classes: []string{"Ant", "big_cat", "dog"}, Items: []eval.LabelledItem{item("big_cat/c.jpg", 1), item("dog/b.jpg", 2)}}},
		{"folders of splits", splits, eval.LabelledOptions{}, L{Split: "test", Classes: catdog, Items: []eval.LabelledItem{item("test/cat/d.jpg", 0), item("test/dog/c.jpg", 1)}}},
		{"another of them", splits, eval.LabelledOptions{Split: "train"}, L{Split: "train", Classes: catdog, Items: []eval.LabelledItem{item("train/cat/a.jpg", 0), item("train/dog/b.jpg", 1)}}},
	}
	for _, tt := range tests {
		dir, err := filepath.EvalSymlinks(unpack(t, tt.files))
		if err != nil {
			t.Fatal(err)
		}
		tt.o.Data, tt.o.IsPicture, tt.want.Name = filepath.Join(dir, tt.o.Data), isJPEG, filepath.Base(dir)
		if tt.o.Images != "" {
			tt.o.Images = filepath.Join(dir, tt.o.Images)
		}
		for i := range tt.want.Items {
			tt.want.Items[i].Path = filepath.Join(dir, filepath.FromSlash(tt.want.Items[i].Path))
		}
		got, err := eval.ReadLabelled(tt.o)
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v (-want +got):\n%s", tt.what, err, diff)
		}
	}
}

func TestReadLabelledRefuses(t *testing.T) {
	with := func(old, new string) string { return strings.Replace(annotated, old, new, 1) }
	tests := []struct {
		what, files string
		o           eval.LabelledOptions
		says        string
	}{
		{"no folder", "", eval.LabelledOptions{Data: "nowhere"}, "nowhere"},
		{"an empty folder", "", eval.LabelledOptions{}, "neither annotations.json nor a folder"},
		{"folders without pictures", "-- a/x.txt --\n-- b/y.txt --\n", eval.LabelledOptions{}, "not one picture is in the 2 folders"},
		{"a split that folders lack", splits, eval.LabelledOptions{Split: "val"}, "its splits are test, train"},
		{"no test split", strings.ReplaceAll(splits, "test/", "val/"), eval.LabelledOptions{}, "its splits are train, val"},
		{"a split of folders without", folders, eval.LabelledOptions{Split: "val"}, "no splits"},
		{"a wrong split", annotated, eval.LabelledOptions{Split: "tset"}, "its splits are test, train"},
		{"a name twice", with(`"dog"`, `"cat"`), eval.LabelledOptions{}, `classes 0 and 1 are both called "cat"`},
		{"an own name twice", annotated, eval.LabelledOptions{ClassNames: []string{"x", "x"}}, `both called "x"`},
		{"no name", with(`"dog"`, `" "`), eval.LabelledOptions{}, "class 1 has no name"},
		{"no classes", with(`["cat", "dog"]`, `[]`), eval.LabelledOptions{}, "names no classes"},
		{"names too many", annotated, eval.LabelledOptions{ClassNames: []string{"a", "b", "c"}}, "3 class names for the 2 classes"},
		{"a label above", with(`"label": 1`, `"label": 2`), eval.LabelledOptions{}, "has the label 2, but classes go from 0 to 1"},
		{"a label below", with(`"label": 1`, `"label": -1`), eval.LabelledOptions{}, "has the label -1"},
		{"a label that is no number", with(`"label": 1`, `"label": "dog"`), eval.LabelledOptions{}, "no JSON of classes and images"},
		{"half a label", with(`"label": 1`, `"label": 0.5`), eval.LabelledOptions{}, "no JSON of classes and images"},
		{"no label", with(`"label": 1, `, ``), eval.LabelledOptions{}, "image 0 (images/a.jpg) has no filename or no label"},
		{"no file name", with(`"b.jpg"`, `""`), eval.LabelledOptions{}, "image 1 () has no filename"},
		{"no images", "-- annotations.json --\n{\"classes\": [\"a\"]}\n", eval.LabelledOptions{}, "no images"},
		{"broken JSON", with(`]}`, `]`), eval.LabelledOptions{}, "no JSON"},
		{"a missing picture", with("-- d.jpg --\n", ""), eval.LabelledOptions{}, "1 of 3 pictures of"},
		{"none there, though allowed", with("-- images/a.jpg --\n-- images/b.jpg --\n-- d.jpg --\n", ""), eval.LabelledOptions{AllowMissing: true}, "not one of the 3 pictures"},
		{"a negative limit", annotated, eval.LabelledOptions{Limit: -1}, "limit"},
	}
	for _, tt := range tests {
		tt.o.Data, tt.o.IsPicture = filepath.Join(unpack(t, tt.files), tt.o.Data), isJPEG
		_, err := eval.ReadLabelled(tt.o)
		if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want ErrInvalid that says %q in one line", tt.what, err, tt.says)
		}
	}
}

func FuzzReadLabelled(f *testing.F) {
	f.Add(`{"classes": ["a", "b"], "images": [{"filename": "x.jpg", "label": 1}, {"filename": "x.jpg", "label": 0, "split": "test"}]}`)
	f.Add(`{"classes": null, "images": [{"filename": ".", "label": 99999999999999999999}]}`)
	f.Add("\ufeff[]")
	f.Fuzz(func(t *testing.T, text string) {
		dir := unpack(t, "-- x.jpg --\n")
		write(t, filepath.Join(dir, "annotations.json"), text)
		d, err := eval.ReadLabelled(eval.LabelledOptions{Data: dir, AllowMissing: true})
		if err != nil {
			if !errors.Is(err, clipsearch.ErrInvalid) {
				t.Fatalf("%q: %v is not ErrInvalid", text, err)
			}
			return
		}
		for _, it := range d.Items {
			if it.Label < 0 || it.Label >= len(d.Classes) {
				t.Fatalf("%q: label %d of %d classes", text, it.Label, len(d.Classes))
			}
		}
	})
}
