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
	goruntime "runtime"
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
	if _, err := Install(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no answer within 20ms") {
		t.Errorf("Install = %v, want that the release did not answer", err)
	}
}

// TestStalledServer: so is one that stops in the middle.
func TestStalledServer(t *testing.T) {
	stop := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "the first bytes of an archive")
		w.(http.Flusher).Flush()
		<-stop
	}))
	defer s.Close()
	defer close(stop)
	o := Options{Cache: t.TempDir(), Platform: platform, ReleaseURL: s.URL, Patience: 20 * time.Millisecond, Run: clients{}.run, pins: table()}
	if _, err := Install(t.Context(), o); err == nil || !strings.Contains(err.Error(), "nothing came for 200ms") {
		t.Errorf("Install = %v, want that nothing came", err)
	}
	if left := filesBelow(t, o.Cache); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

// TestSlowServer: one that is slow but goes on is waited for.
func TestSlowServer(t *testing.T) {
	name := "onnxruntime-linux-x64-" + Version + ".tgz"
	path := filepath.Join(t.TempDir(), name)
	writeTgz(t, path, map[string]string{"onnxruntime-linux-x64-" + Version + "/lib/libonnxruntime.so." + Version: "library"})
	archive, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range archive {
			w.Write(archive[i : i+1])
			if i%20 == 0 {
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		}
	}))
	defer s.Close()
	o := Options{Cache: t.TempDir(), Platform: platform, ReleaseURL: s.URL, Patience: 10 * time.Millisecond, Run: clients{}.run, pins: table()}
	o.Client = &http.Client{Transport: &http.Transport{}}
	if lib, err := Install(t.Context(), o); err != nil || lib.Source != "release" {
		t.Errorf("Install = %+v, %v", lib, err)
	}
}

// TestPresent: a pinned library that is there is enough, whatever its source; one
// of other bytes is replaced.
func TestPresent(t *testing.T) {
	var said []string
	o := Options{Cache: t.TempDir(), Platform: platform, ReleaseURL: "http://127.0.0.1:1", Run: clients{"npm": npmWith(t, "library")}.run, pins: table(),
		Progress: func(words string) { said = append(said, words) }}
	first, err := Install(t.Context(), o)
	if err != nil || first.Source != "npm" || first.Version != "1.30.0" {
		t.Fatalf("Install = %+v, %v", first, err)
	}
	if len(said) < 4 || !strings.HasPrefix(said[0], "release: fetching version "+Version) || !strings.HasPrefix(said[len(said)-1], "npm: fetching version 1.30.0") {
		t.Errorf("Progress was told %q", said)
	}
	o.Run = func(context.Context, string, ...string) (string, error) {
		t.Error("a package client was asked")
		return "", exec.ErrNotFound
	}
	again, err := Install(t.Context(), o)
	if err != nil || again.Source != "cache" || again.Path != first.Path {
		t.Errorf("Install again = %+v, %v", again, err)
	}
	if err := os.WriteFile(first.Path, []byte("damaged"), 0o755); err != nil {
		t.Fatal(err)
	}
	o.Run = clients{"npm": npmWith(t, "library")}.run
	repaired, err := Install(t.Context(), o)
	if data, _ := os.ReadFile(first.Path); err != nil || repaired.Source != "npm" || string(data) != "library" {
		t.Errorf("Install over damage = %+v, %v, and the file holds %q", repaired, err, data)
	}
}

// TestCancel: an Install that is cancelled says so, tries nothing more, and
// leaves nothing.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{Cache: t.TempDir(), Platform: platform, ReleaseURL: "http://127.0.0.1:1", pins: table()}
	o.Run = func(ctx context.Context, dir string, command ...string) (string, error) {
		if ctx.Err() != nil {
			t.Errorf("%v was run after the end", command)
		}
		cancel()
		return "", npmWith(t, "library")(dir)
	}
	if _, err := Install(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("Install = %v", err)
	}
	if left := filesBelow(t, o.Cache); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

// TestSweep: what a killed Install left is removed after a day, not before.
func TestSweep(t *testing.T) {
	o := Options{Cache: t.TempDir(), Platform: platform, ReleaseURL: release(t, "library").URL, Run: clients{}.run, pins: table()}
	old, fresh := filepath.Join(o.root(), staging+"1"), filepath.Join(o.root(), staging+"2")
	for _, dir := range []string{old, fresh} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(old, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	if _, err := Install(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there still: %v", old, err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("%s was removed: %v", fresh, err)
	}
}

// TestRealClients runs scripts that stand for pip and npm.
func TestRealClients(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil || goruntime.GOOS == "windows" {
		t.Skip("there is no shell for scripts")
	}
	dir := t.TempDir()
	writeZip(t, filepath.Join(dir, "good.whl"), map[string]string{"onnxruntime/capi/libonnxruntime.so." + Version: "library"})
	writeTgz(t, filepath.Join(dir, "good.tgz"), map[string]string{"package/bin/napi-v6/linux/x64/libonnxruntime.so.1": "library"})
	cp, err := exec.LookPath("cp")
	if err != nil {
		t.Skip("there is no cp")
	}
	good := "#!" + sh + "\n" + `case "$*" in *onnxruntime==` + Version + `) ` + cp + ` "` + dir + `/good.whl" . ;; *) echo "unknown: $*"; exit 9;; esac` + "\n"
	npm := "#!" + sh + "\n" + `[ "$*" = "pack --silent onnxruntime-node@1.30.0" ] && ` + cp + ` "` + dir + `/good.tgz" .` + "\n"
	broken := "#!" + sh + "\necho 'first line'; echo 'ERROR: no matching distribution' >&2; exit 1\n"
	for _, tt := range []struct {
		name          string
		scripts       map[string]string
		source, fails string
	}{
		{"pip", map[string]string{"python3": good}, "pip", ""},
		{"a python without pip, and a pip", map[string]string{"python3": broken, "pip": good}, "pip", ""},
		{"npm", map[string]string{"python3": broken, "npm": npm}, "npm", ""},
		{"neither works", map[string]string{"python3": broken}, "", "pip: python3 -m pip: exit status 1: ERROR: no matching distribution; npm: there is no npm here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bin := t.TempDir()
			for name, script := range tt.scripts {
				if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", bin)
			lib, err := Install(t.Context(), Options{Cache: t.TempDir(), Platform: platform, ReleaseURL: "http://127.0.0.1:1", pins: table()})
			if tt.fails == "" && (err != nil || lib.Source != tt.source) {
				t.Errorf("Install = %+v, %v", lib, err)
			}
			if tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) {
				t.Errorf("Install = %v, want %q", err, tt.fails)
			}
		})
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
