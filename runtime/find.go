package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"time"
)

// ErrMissing says that there is no library.
var ErrMissing = errors.New("ONNX Runtime's shared library is not installed")

// Library is a library that can be loaded.
type Library struct {
	Path    string
	Version string // as far as its place tells it, else ""
	Source  string // "ONNXRUNTIME_LIB", "beside the program", "cache", "system"; of Install where it came from
}

// Options are what the package needs from outside.
type Options struct {
	Env        string // value of ONNXRUNTIME_LIB: a library that goes before all others
	Executable string // path of this program; a library beside it is taken
	Cache      string // where Install puts libraries, in a folder of its own
	// LibraryPath is the value of the variable that the system's loader reads:
	// LD_LIBRARY_PATH, on macOS DYLD_LIBRARY_PATH, on Windows PATH.
	LibraryPath string

	Platform string // GOOS-GOARCH; this machine's if empty

	// Of Install alone.
	ReleaseURL string        // the folder of releases; the official one if empty
	Client     *http.Client  // http.DefaultClient if nil
	Patience   time.Duration // how long to wait for the release's first byte, and a tenth of how long for a next one; 3 s if zero
	// Run runs a package client in dir and returns what it printed; os/exec if nil.
	Run func(ctx context.Context, dir string, command ...string) (string, error)
	// Progress is told what is tried and what became of it, from one goroutine.
	Progress func(string)

	pins   map[string]map[string]pin // for tests
	ldConf string                    // for tests: the loader's configuration; /etc/ld.so.conf if empty
}

func (o Options) platform() string {
	if o.Platform != "" {
		return o.Platform
	}
	return goruntime.GOOS + "-" + goruntime.GOARCH
}

// fileName is the library's name on a platform.
func fileName(platform string) string {
	switch {
	case strings.HasPrefix(platform, "windows-"):
		return "onnxruntime.dll"
	case strings.HasPrefix(platform, "darwin-"):
		return "libonnxruntime.dylib"
	}
	return "libonnxruntime.so"
}

// root is where Install puts libraries, each in a folder of its version.
func (o Options) root() string { return filepath.Join(o.Cache, "onnxruntime") }

// installed is where Install puts a version.
func (o Options) installed(version string) string {
	return filepath.Join(o.root(), version, o.platform(), fileName(o.platform()))
}

// Find returns the library to load: the one that Env names, or the first that is
// beside the program, in the cache, or known to the system's loader. It loads
// nothing. The error wraps ErrMissing and names the command that installs it.
func Find(o Options) (Library, error) {
	if o.Env != "" {
		if !regular(o.Env) {
			return Library{}, fmt.Errorf("ONNXRUNTIME_LIB names %s, which is no file: correct or unset it: %w", o.Env, ErrMissing)
		}
		return Library{Path: o.Env, Source: "ONNXRUNTIME_LIB"}, nil
	}
	if o.Executable != "" {
		beside := filepath.Join(filepath.Dir(o.Executable), fileName(o.platform()))
		if regular(beside) {
			return Library{Path: beside, Source: "beside the program"}, nil
		}
	}
	for _, version := range o.versions() {
		if path := o.installed(version); o.Cache != "" && regular(path) {
			return Library{Path: path, Version: version, Source: "cache"}, nil
		}
	}
	if lib, ok := o.system(); ok {
		return lib, nil
	}
	return Library{}, fmt.Errorf("%w: run `clipsearch runtime install`, or name one with ONNXRUNTIME_LIB", ErrMissing)
}

// versions lists the pinned versions, the preferred one first.
func (o Options) versions() []string {
	list := []string{Version}
	for _, source := range sources {
		if p, ok := o.pin(source.name); ok && p.version != list[0] {
			list = append(list, p.version)
		}
	}
	return list
}

func (o Options) pin(source string) (pin, bool) {
	table := o.pins
	if table == nil {
		table = pins
	}
	p, ok := table[source][o.platform()]
	return p, ok
}

func regular(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
