package data

import (
	"bytes"
	"cmp"
	"errors"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

// folder writes files; a picture's name may have any content, as Read does not look.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pairs is a set as "name: caption | caption" lines.
func pairs(s *Set) string {
	var lines []string
	for _, it := range s.Items {
		lines = append(lines, it.Name+": "+strings.Join(it.Captions, " | "))
	}
	return strings.Join(lines, "\n")
}

func TestForms(t *testing.T) {
	const want = "a.jpg: one dog | two, dogs\nb.png: three"
	for name, text := range map[string]string{
		"karpathy.json":     `{"images":[{"filename":"a.jpg","split":"train","sentences":[{"raw":" one  dog"},{"raw":"two, dogs"}]},{"filename":"b.png","split":"restval","sentences":[{"raw":"three"}]},{"filename":"none.jpg","split":"val","sentences":[{"raw":"x"}]}]}`,
		"coco.json":         `{"images":[{"id":1,"file_name":"a.jpg"},{"id":2,"file_name":"b.png"}],"annotations":[{"image_id":1,"caption":"one dog"},{"image_id":2,"caption":"three"},{"image_id":1,"caption":"two, dogs"}]}`,
		"plain.tsv":         "a.jpg\tone dog\na.jpg\ttwo, dogs\nb.png\tthree\n",
		"named.tsv":         "title\tfilepath\tsplit\none dog\ta.jpg\ttrain\n\"two, dogs\"\ta.jpg\ttrain\nthree\tb.png\t\nx\tnone.jpg\ttest\n",
		"windows.tsv":       "\ufefffilepath\ttitle\r\na.jpg\tone dog\r\na.jpg\ttwo, dogs\r\n\r\nb.png\tthree\r\n",
		"flickr.token":      "a.jpg#0\tone dog\na.jpg#1\ttwo, dogs\nb.png#0\tthree\n",
		"named.csv":         "image,caption\na.jpg,one dog\na.jpg,\"two, dogs\"\nb.png,three\n",
		"loose.csv":         "image,caption\na.jpg,one dog\na.jpg,two, dogs\nb.png,three\n",
		"other.txt":         "a.jpg,one dog\na.jpg,two, dogs\nb.png,three\n",
		"wide.csv":          "id,title,path\n1,one dog,a.jpg\n2,\"two, dogs\",a.jpg\n3,three,b.png\n",
		"records.jsonl":     `{"image":"a.jpg","captions":["one dog","two, dogs"]}` + "\n" + `{"file_name":"b.png","text":"three","other":[1]}` + "\n",
		"lines.json":        `{"image":"a.jpg","caption":"one dog"}` + "\n\n" + `{"image":"a.jpg","caption":["two, dogs"]}` + "\n" + `{"file_name":"b.png","text":"three"}`,
		"array.json":        `[{"image":"a.jpg","caption":"one dog"},{"image":"a.jpg","caption":"two, dogs"},{"image":"b.png","caption":"three"}]`,
		"array-split.json":  `[{"image":"a.jpg","split":"train","captions":["one dog",""," two, dogs "]},{"image":"b.png","split":"Train","caption":"three"},{"image":"none.jpg","split":"val","caption":"x"}]`,
		"twice.json":        `{"images":[{"filename":"a.jpg","sentences":[{"raw":"one dog"}]},{"filename":"b.png","sentences":[{"raw":"three"}]},{"filename":"a.jpg","sentences":[{"raw":"two, dogs"}]}]}`,
		"one-karpathy.text": `{"images":[{"filename":"a.jpg","sentences":[{"raw":"one dog"},{"raw":"two, dogs"}]},{"filename":"b.png","sentences":[{"raw":"three"}]}]}`,
	} {
		dir := folder(t, map[string]string{name: text, "a.jpg": "", "images/b.png": ""})
		s, err := Read(Options{Data: filepath.Join(dir, name)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := gocmp.Diff(want, pairs(s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSetErrors(t *testing.T) {
	const two = "a.jpg\tone\nb.jpg\ttwo\n"
	for _, tt := range []struct {
		name, file, text string
		o                Options
		want             string
	}{
		{"nothing", "x.tsv", "", Options{}, "nothing in it"},
		{"only a heading", "x.tsv", "filepath\ttitle\n", Options{}, "no captions"},
		{"one column", "x.tsv", "a.jpg\tone\nb.jpg\n", Options{}, "line 2"},
		{"missing", "x.tsv", two + "c.jpg\tx\nd.jpg\tx\ne.jpg\tx\nf.jpg\tx\ng.jpg\tx\n", Options{}, "6 of 7 pictures of DIR/x.tsv are missing (b.jpg, c.jpg, d.jpg, e.jpg, f.jpg, ...)"},
		{"all missing", "x.tsv", "b.jpg\ttwo\n", Options{AllowMissing: true}, "1 are missing"},
		{"no caption", "x.jsonl", `{"image":"a.jpg","caption":" "}`, Options{}, "1 of 1 pictures of DIR/x.jsonl have no caption (a.jpg)"},
		{"no name", "x.jsonl", `{"caption":"one"}`, Options{}, "record 1 names no picture"},
		{"no array's end", "x.json", `[{"image":"a.jpg","caption":"one"}`, Options{}, "does not end"},
		{"caption of no kind", "x.jsonl", `{"image":"a.jpg","caption":{"a":1}}`, Options{}, "record 1"},
		{"unknown image", "x.json", `{"images":[{"id":1,"file_name":"a.jpg"}],"annotations":[{"image_id":2,"caption":"x"}]}`, Options{}, "image 2"},
		{"split of no name", "x.tsv", two, Options{Split: "trian"}, `split "trian" is none of`},
		{"empty split", "x.json", `[{"image":"a.jpg","split":"val","caption":"x"}]`, Options{}, `no pictures in split "train"; its splits are val`},
		{"no validation", "x.tsv", "a.jpg\tone\n", Options{Split: "val"}, "a share of the pictures to hold out"},
		{"no test", "x.tsv", "a.jpg\tone\n", Options{Split: "test", HoldOut: .5}, "it has no splits"},
		{"all held out", "x.tsv", "a.jpg\tone\n", Options{HoldOut: .5}, "no pictures in split"},
		{"share", "x.tsv", "a.jpg\tone\n", Options{HoldOut: 1}, "held-out share of 1"},
		{"limit", "x.tsv", "a.jpg\tone\n", Options{Limit: -1}, "limit -1"},
		{"excluded", "x.tsv", "a.jpg\tone\n", Options{Exclude: func(name string) bool { return name == "a.jpg" }}, "1 are excluded"},
		{"no shard", "x.tsv", "", Options{Data: "DIR/none-{00..01}.tar"}, "none-00.tar"},
		{"no shards", "x.tsv", "", Options{Data: "DIR/none-*.tar"}, "no such shard"},
		{"packed shard", "x.tsv", "", Options{Data: "DIR/none.tar.gz"}, "unpack it"},
		{"no file", "x.tsv", "", Options{Data: "DIR/none.json"}, "none.json"},
		{"two lists", "x.tsv", "", Options{Data: "DIR"}, "holds 2 lists"},
	} {
		dir := folder(t, map[string]string{tt.file: tt.text, "a.jpg": "", "y.csv": ""})
		tt.o.Data = cmp.Or(strings.ReplaceAll(tt.o.Data, "DIR", dir), filepath.Join(dir, tt.file))
		_, err := Read(tt.o)
		if want := strings.ReplaceAll(tt.want, "DIR", dir); err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%s: %v, want %q and ErrInvalid", tt.name, err, want)
		}
	}
}

func TestAllowMissing(t *testing.T) {
	dir := folder(t, map[string]string{"x.tsv": "a.jpg\tone\nb.jpg\ttwo\nc.jpg\t \n", "a.jpg": "", "c.jpg": ""})
	s, err := Read(Options{Data: dir, AllowMissing: true})
	if err != nil || len(s.Items) != 1 || s.Missing != 1 || s.Uncaptioned != 1 {
		t.Errorf("%+v, %v: want one picture, one missing, one without a caption", s, err)
	}
}

func TestHoldOut(t *testing.T) {
	files := map[string]string{}
	var lines []string
	for i := range 50 {
		name := string(rune('a'+i%25)) + strings.Repeat("x", i/25) + ".jpg"
		files[name] = ""
		lines = append(lines, name+"\tcaption")
	}
	read := func(split string, seed uint64) map[string]bool {
		files["x.tsv"] = strings.Join(lines, "\n")
		s, err := Read(Options{Data: folder(t, files), Split: split, HoldOut: .1, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, it := range s.Items {
			names[it.Name] = true
		}
		return names
	}
	train, val, other := read("train", 1), read("val", 1), read("val", 2)
	if len(train) != 45 || len(val) != 5 || maps.Equal(val, other) {
		t.Errorf("%d and %d pictures, another seed the same: %v; want 45 and 5, and others", len(train), len(val), maps.Equal(val, other))
	}
	for name := range val {
		if train[name] {
			t.Errorf("%s is in both", name)
		}
	}
	slices.Reverse(lines)
	if !maps.Equal(val, read("val", 1)) {
		t.Error("the order of the file changes what is held out")
	}
}

func TestNewItem(t *testing.T) {
	dir := folder(t, map[string]string{"a.jpg": "bytes"})
	it := NewItem(filepath.Join(dir, "a.jpg"), "one", "two")
	if b, err := it.Read(); err != nil || string(b) != "bytes" || len(it.Captions) != 2 {
		t.Errorf("%+v holds %q, %v", it, b, err)
	}
	if _, err := NewItem(filepath.Join(dir, "none.jpg"), "one").Read(); err == nil {
		t.Error("a picture that is not there can be read")
	}
}

// pngFile is a picture as a file.
func pngFile(t *testing.T, w, h int) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, computed(w, h)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"a.jpg\tone\n", "filepath\ttitle\na.jpg\tone\n", "image,caption\na.jpg,\"one\"\n", "a.jpg#0\tone", `{"image":"a","text":"b"}`,
		`[{"file_name":"a","captions":["b"]}]`, `{"images":[{"filename":"a.jpg","sentences":[{"raw":"one"}]}]}`, "[", "\ufeff", "\t", "\"a", `{"image":1}`,
	} {
		f.Add("x.txt", []byte(s))
		f.Add("x.csv", []byte(s))
		f.Add("x.jsonl", []byte(s))
	}
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		all, err := parse(name, text)
		if err != nil {
			if !errors.Is(err, clipsearch.ErrInvalid) {
				t.Fatalf("%q: %v is not ErrInvalid", text, err)
			}
			return
		}
		if len(all) == 0 {
			t.Fatalf("%q: neither pictures nor an error", text)
		}
		for _, p := range all {
			if p.Name == "" {
				t.Fatalf("%q: a picture without a name", text)
			}
		}
	})
}
