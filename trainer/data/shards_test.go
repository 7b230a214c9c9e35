package data

import (
	"archive/tar"
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

// tarOf returns a tar of name, content, name, content...
func tarOf(t testing.TB, members ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: members[i], Size: int64(len(members[i+1])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(members[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestShards(t *testing.T) {
	dir := folder(t, map[string]string{
		"s-00.tar": tarOf(t, "a/1.jpg", "picture 1", "a/1.txt", "one\n", "a/1.json", `{"caption":"not this"}`, "a/1.cls", "7", "2.json", `{"captions":["two","deux"]}`, "2.seg.png", "no picture", "2.PNG", "picture 2"),
		"s-01.tar": tarOf(t, "1.json", `{"text":"json"}`, "1.txt", "text", "1.webp", "picture 3", "1.jpg", "another", ".hidden", "x"),
	})
	for _, data := range []string{dir, dir + "/s-{00..01}.tar", dir + "/s-0{0,1}.tar", dir + "/s-*.tar"} {
		s, err := Read(Options{Data: data})
		if err != nil {
			t.Errorf("%s: %v", data, err)
			continue
		}
		if diff := gocmp.Diff("s-00.tar:a/1: one\ns-00.tar:2: two | deux\ns-01.tar:1: text", pairs(s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", data, diff)
		}
		for i, want := range []string{"picture 1", "picture 2", "picture 3"} {
			if got, err := s.Items[i].Read(); err != nil || string(got) != want {
				t.Errorf("%s: picture %d is %q, %v, want %q", data, i, got, err, want)
			}
		}
	}
}

func TestShardsExclude(t *testing.T) {
	dir := folder(t, map[string]string{"s.tar": tarOf(t, "a/1.jpg", "x", "a/1.txt", "one", "2.jpg", "x", "2.txt", "two")})
	s, err := Read(Options{Data: dir, Exclude: func(name string) bool { return name == "1" }})
	if err != nil || pairs(s) != "s.tar:2: two" || s.Excluded != 1 {
		t.Errorf("%+v, %v: want all but 1", s, err)
	}
}

func TestShardErrors(t *testing.T) {
	whole := tarOf(t, "1.jpg", strings.Repeat("x", 4000), "1.txt", "one")
	var lies bytes.Buffer
	if err := tar.NewWriter(&lies).WriteHeader(&tar.Header{Name: "1.jpg", Size: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ content, want string }{
		"cut in a picture": {whole[:2000], "shard DIR/s.tar"},
		"a size that lies": {lies.String() + whole, "1.jpg: 1099511627776 bytes at"},
		"cut in a header":  {whole[:4700], "behind 1 samples"},
		"no tar":           {strings.Repeat("no tar ", 200), "shard DIR/s.tar"},
		"empty":            {"", "no samples"},
		"no captions":      {tarOf(t, "1.jpg", "x"), "1 of 1 pictures of DIR/s.tar have no caption (s.tar:1)"},
		"no picture":       {tarOf(t, "1.jpg", "x", "1.txt", "one", "2.txt", "two"), "1 of 2 pictures of DIR/s.tar are missing (s.tar:2)"},
		"no JSON":          {tarOf(t, "1.jpg", "x", "1.json", "{"), "1.json"},
		"a long caption":   {tarOf(t, "1.jpg", "x", "1.txt", strings.Repeat("x", maxCaption+1)), "1.txt: a caption of more than"},
	} {
		dir := folder(t, map[string]string{"s.tar": tt.content})
		_, err := Read(Options{Data: filepath.Join(dir, "s.tar")})
		if want := strings.ReplaceAll(tt.want, "DIR", dir); err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%s: %v, want %q and ErrInvalid", name, err, want)
		}
	}
}

func TestExpand(t *testing.T) {
	for pattern, want := range map[string][]string{
		"a.tar": {"a.tar"}, "a{08..10}.tar": {"a08.tar", "a09.tar", "a10.tar"}, "{x,y}-{0..1}": {"x-0", "x-1", "y-0", "y-1"}, "{9..10}": {"9", "10"},
	} {
		if got, err := expand(pattern); err != nil || !slices.Equal(got, want) {
			t.Errorf("expand(%q) = %q, %v, want %q", pattern, got, err, want)
		}
	}
	for _, pattern := range []string{"{", "{1..", "{2..1}", "{a..b}", "{0..99999999999}", "{0..99999}{0..9}", "{-1..1}"} {
		if got, err := expand(pattern); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("expand(%q) = %d names, %v, want an error that is ErrInvalid", pattern, len(got), err)
		}
	}
}

func FuzzTar(f *testing.F) {
	f.Add([]byte(tarOf(f, "1.jpg", "x", "1.txt", "one", "2.json", `{"text":"two"}`)))
	f.Add([]byte(tarOf(f, "1.jpg", "x", "1.txt", "one"))[:1600])
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, file []byte) {
		all, err := indexTar(bytes.NewReader(file), int64(len(file)))
		if err != nil && !errors.Is(err, clipsearch.ErrInvalid) {
			t.Fatalf("%v is not ErrInvalid", err)
		}
		for _, p := range all {
			if p.inside && (p.at < 0 || p.size < 0 || p.at+p.size > int64(len(file))) {
				t.Fatalf("%s lies at %d, %d bytes of %d", p.Name, p.at, p.size, len(file))
			}
		}
	})
}

func FuzzExpand(f *testing.F) {
	f.Add("a{0..2}b{x,y}")
	f.Fuzz(func(t *testing.T, pattern string) {
		if all, err := expand(pattern); err == nil && (len(all) == 0 || len(all) > maxShards) {
			t.Fatalf("%q: %d names", pattern, len(all))
		}
	})
}
