package data

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
)

// TestOutside: pictures lie below the list's folder or the one that is named, whatever
// form the list has.
func TestOutside(t *testing.T) {
	for _, tt := range []struct {
		name, file, text string
		images           string // below the test's folder
		says             string // "": it is found
	}{
		{"up", "x.tsv", "a.jpg\tone\n../b.jpg\ttwo\n", "", "lists/x.tsv: line 2 names ../b.jpg, which lies outside of the folder of the list, TOP/lists: name a folder"},
		{"up and down again", "x.tsv", "../lists/a.jpg\tone\n", "", ""},
		{"up within", "x.tsv", "deep/../a.jpg\tone\n", "", ""},
		{"up, behind a heading", "x.csv", "title,path\none,a.jpg\ntwo,../../b.jpg\n", "", "line 3 names ../../b.jpg"},
		{"up in records", "x.jsonl", `{"image":"a.jpg","text":"one"}` + "\n" + `{"image":"../b.jpg","text":"two"}`, "", "record 2 names ../b.jpg"},
		{"up by name", "x.json", `{"images":[{"filename":"../b.jpg","sentences":[{"raw":"two"}]}]}`, "", "picture 1 names ../b.jpg"},
		{"up by folder", "x.json", `{"images":[{"filepath":"..","filename":"b.jpg","sentences":[{"raw":"two"}]}]}`, "", "picture 1 names ../b.jpg"},
		{"up from --images", "x.tsv", "../b.jpg\ttwo\n", "pictures", "outside of --images TOP/pictures and of the folder of the list, TOP/lists"},
		{"up, below --images", "x.tsv", "../pictures/c.jpg\ttwo\n", ".", ""},
		{"up, by a link", "x.tsv", "../link/c.jpg\ttwo\n", "link", ""},
		{"up, below --images, missing", "x.tsv", "../pictures/none.jpg\ttwo\n", ".", "are missing"},
		{"whole, below the list", "x.tsv", "TOP/lists/a.jpg\tone\n", "", ""},
		{"whole, below --images", "x.tsv", "TOP/b.jpg\ttwo\n", ".", ""},
		{"whole, by a link", "x.tsv", "TOP/pictures/c.jpg\tone\n", "link", ""},
		{"whole, as within --images", "x.tsv", "/c.jpg\tone\n", "pictures", ""},
		{"whole, elsewhere", "x.tsv", "TOP/b.jpg\ttwo\n", "pictures", "line 1 names TOP/b.jpg, which lies outside"},
		{"whole, below, missing", "x.tsv", "TOP/lists/none.jpg\tone\n", "", "are missing"},
		{"whole, elsewhere, missing", "x.tsv", "/nowhere/none.jpg\tone\n", "", "line 1 names /nowhere/none.jpg, which lies outside"},
	} {
		top := folder(t, map[string]string{"lists/a.jpg": "", "lists/deep/d.jpg": "", "b.jpg": "", "pictures/c.jpg": ""})
		if err := os.Symlink("pictures", filepath.Join(top, "link")); err != nil {
			t.Skip(err)
		}
		list := filepath.Join(top, "lists", tt.file)
		if err := os.WriteFile(list, []byte(strings.ReplaceAll(tt.text, "TOP", top)), 0o644); err != nil {
			t.Fatal(err)
		}
		o := Options{Data: list, AllowMissing: strings.Contains(tt.says, "outside")}
		if tt.images != "" {
			o.Images = filepath.Join(top, tt.images)
		}
		_, err := Read(o)
		says := strings.ReplaceAll(tt.says, "TOP", top)
		switch {
		case says == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case says != "" && (err == nil || !strings.Contains(err.Error(), says) || !errors.Is(err, clipsearch.ErrInvalid)):
			t.Errorf("%s: %v, want %q", tt.name, err, says)
		}
	}
}
