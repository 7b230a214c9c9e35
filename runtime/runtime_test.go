package runtime

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const platform = "linux-amd64"

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// table pins the library "library" for every source.
func table() map[string]map[string]pin {
	return map[string]map[string]pin{
		"release": {platform: {Version, "onnxruntime-linux-x64-*/lib/libonnxruntime.so.*", sum("library")}},
		"pip":     {platform: {Version, "onnxruntime/capi/libonnxruntime.so.*", sum("library")}},
		"npm":     {platform: {"1.30.0", "package/bin/napi-v*/linux/x64/libonnxruntime.so.1", sum("library")}},
	}
}

func writeTgz(t *testing.T, path string, files map[string]string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gz := gzip.NewWriter(f)
	w := tar.NewWriter(gz)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, data)
	}
	w.Close()
	gz.Close()
}

func writeZip(t *testing.T, path string, files map[string]string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for name, data := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, data)
	}
	z.Close()
}

// clients fakes the package clients: what each leaves in the directory.
type clients map[string]func(dir string) error

func (c clients) run(_ context.Context, dir string, command ...string) (string, error) {
	f, ok := c[command[0]]
	if !ok {
		return "", exec.ErrNotFound
	}
	return "what the client printed", f(dir)
}

func pipWith(t *testing.T, library string) func(string) error {
	return func(dir string) error {
		writeZip(t, filepath.Join(dir, "onnxruntime-"+Version+".whl"), map[string]string{
			"onnxruntime/__init__.py": "", "onnxruntime/capi/libonnxruntime.so." + Version: library,
		})
		return nil
	}
}

func npmWith(t *testing.T, library string) func(string) error {
	return func(dir string) error {
		writeTgz(t, filepath.Join(dir, "onnxruntime-node-1.30.0.tgz"), map[string]string{
			"package/package.json": "{}", "package/bin/napi-v6/linux/x64/libonnxruntime.so.1": library,
		})
		return nil
	}
}

// release serves the official folder with an archive that holds library.
func release(t *testing.T, library string) *httptest.Server {
	t.Helper()
	name := "onnxruntime-linux-x64-" + Version + ".tgz"
	path := filepath.Join(t.TempDir(), name)
	writeTgz(t, path, map[string]string{
		"onnxruntime-linux-x64-" + Version + "/lib/libonnxruntime.so." + Version: library,
		"../../etc/passwd": "no",
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/v"+Version+"/"+name, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestInstall(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	for _, tt := range []struct {
		name    string
		release string
		clients clients
		source  string
		fails   string
	}{
		{name: "release", release: release(t, "library").URL, source: "release"},
		{name: "no release, so pip", release: dead.URL, clients: clients{"python3": pipWith(t, "library")}, source: "pip"},
		{name: "release of other bytes", release: release(t, "evil").URL, clients: clients{"python3": pipWith(t, "library")}, source: "pip"},
		{name: "no python, so npm", release: dead.URL, clients: clients{"npm": npmWith(t, "library")}, source: "npm"},
		{name: "pip of other bytes, so npm", release: dead.URL, clients: clients{"pip3": pipWith(t, "evil"), "npm": npmWith(t, "library")}, source: "npm"},
		{name: "nothing", release: dead.URL, clients: clients{"npm": func(string) error { return errors.New("offline") }}, fails: "npm: npm: offline: what the client printed"},
		{name: "everything evil", release: release(t, "evil").URL, clients: clients{"pip": pipWith(t, "evil"), "npm": npmWith(t, "evil")}, fails: "it is not used"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{Cache: t.TempDir(), Platform: platform, ReleaseURL: tt.release, Run: tt.clients.run, pins: table()}
			lib, err := Install(t.Context(), o)
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) || strings.Contains(err.Error(), "\n") {
					t.Errorf("Install = %v, want an error of one line with %q", err, tt.fails)
				}
				if left := filesBelow(t, o.Cache); len(left) > 0 {
					t.Errorf("it left %v", left)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if data, _ := os.ReadFile(lib.Path); string(data) != "library" || lib.Source != tt.source {
				t.Errorf("Install = %+v with %q, want source %s", lib, data, tt.source)
			}
			if left := filesBelow(t, o.Cache); len(left) != 1 {
				t.Errorf("the cache holds %v", left)
			}
			found, err := Find(o)
			if err != nil || found.Path != lib.Path || found.Source != "cache" {
				t.Errorf("Find = %+v, %v", found, err)
			}
			o.Run, o.ReleaseURL = clients{}.run, dead.URL
			if again, err := Install(t.Context(), o); err != nil || again.Path != lib.Path {
				t.Errorf("Install again = %+v, %v", again, err)
			}
		})
	}
}

func filesBelow(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestSilentServer: a server that takes the connection and says nothing is given
// up, and the next source is tried.
func TestSilentServer(t *testing.T) {
	stop := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer s.Close()
	defer close(stop)
	o := Options{
		Cache: t.TempDir(), Platform: platform, ReleaseURL: s.URL, Patience: 20 * time.Millisecond,
		Run: clients{"npm": npmWith(t, "library")}.run, pins: table(),
	}
	lib, err := Install(t.Context(), o)
	if err != nil || lib.Source != "npm" {
		t.Errorf("Install = %+v, %v", lib, err)
	}
	o.Cache, o.Run = t.TempDir(), clients{}.run
	if _, err := Install(t.Context(), o); err == nil || !strings.Contains(err.Error(), "release: no answer in 20ms") {
		t.Errorf("Install = %v, want that the release did not answer", err)
	}
}

func TestInstallTwiceAtOnce(t *testing.T) {
	o := Options{
		Cache: t.TempDir(), Platform: platform, ReleaseURL: release(t, "library").URL,
		Run: clients{}.run, pins: table(),
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := Install(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if left := filesBelow(t, o.Cache); len(left) != 1 {
		t.Errorf("the cache holds %v", left)
	}
}

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

// TestPins: every pin is a digest, and every platform that pip serves is named.
func TestPins(t *testing.T) {
	for source, platforms := range pins {
		for name, p := range platforms {
			if b, err := hex.DecodeString(p.sha256); err != nil || len(b) != sha256.Size {
				t.Errorf("%s, %s: %q is no SHA-256", source, name, p.sha256)
			}
			if source == "pip" && wheelPlatforms[name] == "" {
				t.Errorf("no wheel platform for %s", name)
			}
		}
	}
}

func FuzzExtract(f *testing.F) {
	f.Add([]byte("PK\x03\x04"), true)
	f.Add([]byte("\x1f\x8b\x08"), false)
	f.Fuzz(func(t *testing.T, data []byte, isZip bool) {
		dir := t.TempDir()
		archive := filepath.Join(dir, map[bool]string{true: "a.whl", false: "a.tgz"}[isZip])
		if err := os.WriteFile(archive, data, 0o644); err != nil {
			t.Fatal(err)
		}
		_ = extract(archive, "*/lib*", filepath.Join(dir, "out"))
	})
}
