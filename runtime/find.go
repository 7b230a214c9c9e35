package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"time"
)

// ErrMissing says that there is no library.
var ErrMissing = errors.New("ONNX Runtime's shared library is not installed")

// Library is a library that can be loaded.
type Library struct {
	Path    string // absolute, or a bare name that the system's loader knows
	Version string // as far as its place tells it, else ""
	Source  string // "ONNXRUNTIME_LIB", "beside the program", "cache", "system"; of Install where it came from
}

// Options are what the package needs from outside.
type Options struct {
	Env        string // value of ONNXRUNTIME_LIB: a library that goes before all others
	Executable string // path of this program; a library beside it is taken
	Cache      string // where Install puts libraries, in a folder of its own

	Platform string // GOOS-GOARCH; this machine's if empty

	// Of Install alone.
	ReleaseURL string                                                                   // the folder of releases; the official one if empty
	Client     *http.Client                                                             // http.DefaultClient if nil
	Patience   time.Duration                                                            // how long to wait for the release's first byte; 3 s if zero
	Run        func(ctx context.Context, dir string, command ...string) (string, error) // runs a package client, returns what it printed; os/exec if nil

	pins map[string]map[string]pin // for tests
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
	case len(platform) > 7 && platform[:7] == "windows":
		return "onnxruntime.dll"
	case len(platform) > 6 && platform[:6] == "darwin":
		return "libonnxruntime.dylib"
	}
	return "libonnxruntime.so"
}

// installed is where Install puts a version.
func (o Options) installed(version string) string {
	return filepath.Join(o.Cache, "onnxruntime", version, o.platform(), fileName(o.platform()))
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
	if path := o.system(); path != "" {
		return Library{Path: path, Source: "system"}, nil
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

// system looks where the system's loader looks. Another platform's loader is not
// this one's.
func (o Options) system() string {
	if o.Platform != "" && o.Platform != goruntime.GOOS+"-"+goruntime.GOARCH {
		return ""
	}
	dirs := []string{"/usr/local/lib", "/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/opt/homebrew/lib"}
	if goruntime.GOOS == "windows" {
		// System32 holds Windows ML's own, which is older than the binding.
		path, err := exec.LookPath(fileName(o.platform()))
		if err != nil {
			return ""
		}
		return path
	}
	for _, dir := range dirs {
		if path := filepath.Join(dir, fileName(o.platform())); regular(path) {
			return path
		}
	}
	return ""
}

func regular(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
