package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	lib := filepath.Join(dir, "libonnxruntime.so")
	if err := os.WriteFile(lib, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	other := "plan9-amd64" // no system directory has its library
	for _, tt := range []struct {
		name   string
		o      Options
		source string
		says   string
	}{
		{"by name", Options{Env: lib, Platform: other}, "ONNXRUNTIME_LIB", ""},
		{"beside the program", Options{Executable: filepath.Join(dir, "clipsearch"), Platform: other}, "beside the program", ""},
		{"nowhere", Options{Cache: dir, Platform: other}, "", "clipsearch runtime install"},
		{"a name that leads nowhere", Options{Env: filepath.Join(dir, "no"), Platform: other}, "", "correct or unset it"},
		{"a folder", Options{Env: dir, Platform: other}, "", "correct or unset it"},
	} {
		got, err := Find(tt.o)
		if tt.says == "" && (err != nil || got.Source != tt.source || got.Path != lib) {
			t.Errorf("%s: Find = %+v, %v", tt.name, got, err)
		}
		if tt.says != "" && (!errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: Find = %v, want ErrMissing with %q", tt.name, err, tt.says)
		}
	}
}

// TestFindSystem: the loader's folders, plain and versioned names, and libraries
// that are too old.
func TestFindSystem(t *testing.T) {
	if goruntime.GOOS != "linux" {
		t.Skip("the names and the configuration are those of Linux")
	}
	root := t.TempDir()
	put := func(name string) string {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("include more/*.conf\n"+root+"/conf # a comment\nhwcap 0 nosegneg\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	conf := put("ld.so.conf")
	if err := os.MkdirAll(filepath.Join(root, "more"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "more", "x.conf"), []byte("include /nowhere/*.conf\n"+root+"/included\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	find := func() Library {
		lib, err := Find(Options{Cache: filepath.Join(root, "cache"), LibraryPath: "relative:" + filepath.Join(root, "path"), ldConf: conf})
		if err != nil && !errors.Is(err, ErrMissing) {
			t.Fatal(err)
		}
		return lib
	}
	if lib := find(); lib.Path != "" {
		t.Skipf("this system has %s", lib.Path)
	}
	for _, step := range []struct{ put, path, version string }{
		{"conf/libonnxruntime.so.1.21", "", ""}, // too old
		{"conf/libonnxruntime.so.1.24.4", "conf/libonnxruntime.so.1.24.4", "1.24.4"},
		{"conf/libonnxruntime.so.1.30.0", "conf/libonnxruntime.so.1.30.0", "1.30.0"}, // newer, though "1.4" sorts after it
		{"included/libonnxruntime.so", "included/libonnxruntime.so", ""},             // included before what follows
		{"path/libonnxruntime.so.1.9.0", "included/libonnxruntime.so", ""},           // too old
		{"path/libonnxruntime.so.1.25.0", "path/libonnxruntime.so.1.25.0", "1.25.0"},
	} {
		put(step.put)
		want := Library{}
		if step.path != "" {
			want = Library{filepath.Join(root, step.path), step.version, "system"}
		}
		if lib := find(); lib != want {
			t.Errorf("with %s: Find = %+v, want %+v", step.put, lib, want)
		}
	}
	// a plain name that leads to one that is too old
	if err := os.Symlink("libonnxruntime.so.1.9.0", filepath.Join(root, "path", "libonnxruntime.so")); err != nil {
		t.Fatal(err)
	}
	if lib := find(); !strings.HasSuffix(lib.Path, "1.25.0") {
		t.Errorf("with a link to an old library: Find = %+v", lib)
	}
}

// TestFindOrder: a pinned version goes before another.
func TestFindOrder(t *testing.T) {
	o := Options{Cache: t.TempDir(), Platform: platform, pins: table()}
	for _, version := range []string{"1.30.0", Version} {
		path := o.installed(version)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if lib, err := Find(o); err != nil || lib != (Library{path, version, "cache"}) {
			t.Errorf("Find = %+v, %v, want %s", lib, err, path)
		}
	}
}

// TestPins: every pin is a digest, and every platform that pip serves is named.
func TestPins(t *testing.T) {
	for source, platforms := range pins {
		for name, p := range platforms {
			if b, err := hex.DecodeString(p.sha256); err != nil || len(b) != sha256.Size {
				t.Errorf("%s, %s: %q is no SHA-256", source, name, p.sha256)
			}
			if source == "pip" && wheelPlatforms[name] == "" || source == "release" && releaseArchives[name] == "" {
				t.Errorf("%s has no name for %s", source, name)
			}
		}
	}
}
