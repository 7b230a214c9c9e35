package ingest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

func load(t *testing.T, name, text string) (Captions, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return LoadCaptions(path)
}

func TestLoadCaptions(t *testing.T) {
	both := map[string][]string{"/p/a.jpg": {"a dog", "a brown dog, running"}, "/p/b.jpg": {"a \"cat\""}, "/p/c.jpg": nil}
	tests := []struct{ name, text string }{
		{"karpathy.json", `{"dataset":"x","images":[
			{"filename":"a.jpg","imgid":0,"sentids":[0,1],"sentences":[{"raw":"a dog","tokens":["a","dog"]},{"raw":" a brown dog,  running "}]},
			{"filepath":"p","filename":"b.jpg","sentences":[{"raw":"a \"cat\""}]}]}`},
		{"coco.json", `{"info":{"year":2014},"annotations":[{"image_id":7,"id":1,"caption":"a dog"},{"image_id":9,"caption":"a \"cat\"\n"},{"image_id":7,"caption":"a brown dog, running"}],
			"images":[{"id":7,"file_name":"a.jpg"},{"id":9,"file_name":"b.jpg"},{"id":11,"file_name":"c.jpg"}]}`},
		{"list.json", `[{"image":"val/a.jpg","caption":["a dog","a brown dog, running"]},{"image":"b.jpg","caption":"a \"cat\""}]`},
		{"lines.jsonl", "{\"path\":\"/p/a.jpg\",\"caption\":\"a dog\"}\n\n{\"file\":\"a.jpg\",\"captions\":[\"x\"]}\n" +
			"{\"file\":\"/p/a.jpg\",\"text\":\"a brown dog, running\",\"split\":{\"n\":[1]}}\r\n{\"filename\":\"p/b.jpg\",\"captions\":[\"a \\\"cat\\\"\"]}"},
		{"plain.csv", "a.jpg,a dog\na.jpg,\"a brown dog, running\"\nb.jpg,a \"cat\"\n"},
		{"header.csv", "\ufeffimage,caption\r\na.jpg,a dog\r\na.jpg,a brown dog, running\r\nb.jpg,a \"cat\"\r\n"},
		{"columns.csv", "id,Caption,Path\n1,a dog,a.jpg\n2,\"a brown dog, running\",a.jpg\n3,a \"cat\",b.jpg\n"},
		{"plain.tsv", "a.jpg\ta dog\na.jpg\ta brown dog, running\n\nb.jpg\ta \"cat\"\n"},
		{"header.tsv", "caption\tfile\na dog\ta.jpg\na brown dog, running\ta.jpg\na \"cat\"\tb.jpg\n"},
		{"results_20130124.token", "a.jpg#0\ta dog\na.jpg#1\ta brown dog, running\nb.jpg#0\ta \"cat\"\n"},
		{"unnamed", "a.jpg\ta dog\na.jpg\ta brown dog, running\nb.jpg\ta \"cat\"\n"},
	}
	for _, tt := range tests {
		c, err := load(t, tt.name, tt.text)
		if err != nil {
			t.Errorf("LoadCaptions(%s): %v", tt.name, err)
			continue
		}
		got := map[string][]string{}
		for path := range both {
			got[path] = c.Lookup(path)
		}
		if diff := cmp.Diff(both, got); diff != "" {
			t.Errorf("LoadCaptions(%s) (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestLoadCaptionsErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty.csv", "", "no captions"},
		{"none.json", `{"a":{"b":1}}`, "line 1"},
		{"cut.json", "{\"images\":[\n{\"filename\":\"a.jpg\",\n", "line 2"},
		{"wrong.json", "{\"images\":[\n{\"filename\":\"a.jpg\"},\n{\"filename\":3}]}", "line 3"},
		{"noname.json", `{"images":[{"sentences":[{"raw":"x"}]}]}`, "line 1"},
		{"object.json", `{"images":{}}`, "line 1"},
		{"noname.jsonl", "{\"path\":\"a.jpg\",\"caption\":\"x\"}\n{\"caption\":\"x\"}\n", "line 2"},
		{"short.csv", "a.jpg,a dog\nb.jpg\n", "line 2"},
		{"short.tsv", "path\tcaption\na.jpg\ta dog\n\nb.jpg a cat\n", "line 4"},
		{"nopath.tsv", "a.jpg\ta dog\n\ta cat\n", "line 2"},
	}
	for _, tt := range tests {
		_, err := load(t, tt.name, tt.text)
		if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("LoadCaptions(%s): %v, want ErrInvalid, %q and one line", tt.name, err, tt.want)
		}
	}
	if _, err := LoadCaptions(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("LoadCaptions of no file: %v, want ErrInvalid", err)
	}
}

func TestLookup(t *testing.T) {
	c := Captions{byName: map[string][]captioned{}}
	for _, name := range []string{"train/a.jpg", "val/a.jpg", "val/b.jpg", "/x/y/c.jpg", "c.jpg", "./d.jpg", "u/e.jpg", "v/e.jpg"} {
		c.add(name, name)
	}
	tests := []struct{ path, want string }{
		{"/data/train/a.jpg", "train/a.jpg"},
		{"/data/val/a.jpg", "val/a.jpg"},
		{"/data/test/a.jpg", ""}, // either may be meant
		{"/data/xval/a.jpg", ""},
		{"/data/images/b.jpg", "val/b.jpg"}, // only one is called so
		{"/x/y/c.jpg", "/x/y/c.jpg"},
		{"/z/c.jpg", "c.jpg"},
		{"/z/d.jpg", "./d.jpg"},
		{"/z.zip!/v/e.jpg", "v/e.jpg"},
		{"/z/f.jpg", ""},
		{"/z/xa.jpg", ""},
	}
	for _, tt := range tests {
		if got := strings.Join(c.Lookup(tt.path), "|"); got != tt.want {
			t.Errorf("Lookup(%q) = %q, want %q", tt.path, got, tt.want)
		}
	}
	if got := (Captions{}).Lookup("/a.jpg"); got != nil {
		t.Errorf("zero Captions: Lookup = %q", got)
	}
}

func TestParseSidecar(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"", nil},
		{" \n\t\r\n", nil},
		{"\ufeffa dog\r\n\r\n  two   dogs", []string{"a dog", "two dogs"}},
		{"caf\xe9\n", []string{"caf\ufffd"}},
	}
	for _, tt := range tests {
		if got := parseSidecar(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("parseSidecar(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestSidecarIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.txt")
	line := strings.Repeat("x", 999) + "\n"
	if err := os.WriteFile(path, []byte(strings.Repeat(line, 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	got := readSidecar(path)
	if len(got) != maxSidecar/len(line) || slices.ContainsFunc(got, func(s string) bool { return len(s) != 999 }) {
		t.Errorf("%d lines were read of a megabyte, want the %d whole ones of %d bytes", len(got), maxSidecar/len(line), maxSidecar)
	}
}

func TestChange(t *testing.T) {
	rec := func(captions string, paths ...string) clipsearch.Image {
		m := clipsearch.Image{Captions: strings.Fields(captions)}
		for _, p := range paths {
			m.Files = append(m.Files, clipsearch.File{Path: p})
		}
		return m
	}
	tests := []struct {
		name string
		rec  clipsearch.Image
		gone string
		in   string
		want string
	}{
		{"nothing to say", rec("a", "p"), "", "", ""},
		{"the same", rec("a b", "p"), "", "a b", ""},
		{"edited", rec("a b", "p"), "", "c", "c"},
		{"another file's are kept", rec("a b", "p", "q"), "", "b c", "a b c"},
		{"another file says it already", rec("a b", "q"), "", "b", ""},
		{"moved", rec("a b", "q"), "q", "b", "b"},
	}
	for _, tt := range tests {
		var in []string
		if tt.in != "" {
			in = strings.Fields(tt.in)
		}
		if got := strings.Join(change(tt.rec, "p", in, []string{tt.gone}), " "); got != tt.want {
			t.Errorf("%s: change = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzCaptions(f *testing.F) {
	for _, seed := range []string{
		`{"images":[{"filename":"a.jpg","sentences":[{"raw":"a dog"}]}]}`,
		`{"images":[{"id":1,"file_name":"a.jpg"}],"annotations":[{"image_id":1,"caption":"x"}]}`,
		"{\"path\":\"a.jpg\",\"caption\":[\"x\"]}\n{\"file\":\"b.jpg\",\"text\":\"y\"}", "[{\"image\":\"a\"}]",
		"path,caption\na.jpg,\"a, b\"\n", "a.jpg#0\tx\n", "\ufeffa,b", "\"", "{", "[1]", "null",
	} {
		for _, ext := range []string{"", ".csv", ".tsv"} {
			f.Add(seed, ext)
		}
	}
	f.Fuzz(func(t *testing.T, text, ext string) {
		c, err := readCaptions(strings.NewReader(text), ext)
		if err != nil && !errors.Is(err, clipsearch.ErrInvalid) {
			t.Fatalf("readCaptions(%q, %q): %v is not ErrInvalid", text, ext, err)
		}
		for _, same := range c.byName {
			for _, cand := range same {
				got := c.Lookup(cand.path)
				if !slices.Equal(got, cand.texts) {
					t.Fatalf("Lookup(%q) = %q, want %q", cand.path, got, cand.texts)
				}
				for _, text := range got {
					if text == "" || text != tidy(text) {
						t.Fatalf("caption %q is not tidy", text)
					}
				}
			}
		}
	})
}
