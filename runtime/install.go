package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// source is a place that the library comes from. fetch puts an archive with the
// pinned library into dir and returns its path.
type source struct {
	name  string
	fetch func(ctx context.Context, o Options, p pin, dir string) (string, error)
}

// sources in the order in which Install tries them.
var sources = []source{{"release", fetchRelease}, {"pip", fetchWheel}, {"npm", fetchNode}}

// Install puts a pinned library into the cache and returns it. One that is there
// already, of whichever source, is returned at once, its source "cache". A
// library whose digest is not the pinned one is never put there. Install may run
// in two processes at once. Its error says in one line what each source said.
func Install(ctx context.Context, o Options) (Library, error) {
	if o.Cache == "" {
		return Library{}, errors.New("install ONNX Runtime: there is no cache folder to put it in")
	}
	if lib, ok := o.present(); ok {
		o.progress("%s is there already", lib.Path)
		return lib, nil
	}
	o.sweep()
	var said []string
	for _, s := range sources {
		lib, err := o.installFrom(ctx, s)
		if err == nil {
			return lib, nil
		}
		if ctx.Err() != nil {
			return Library{}, fmt.Errorf("install ONNX Runtime: %w", context.Cause(ctx))
		}
		words := s.name + ": " + strings.Join(strings.Fields(err.Error()), " ")
		o.progress("%s", words)
		said = append(said, words)
	}
	return Library{}, fmt.Errorf("install ONNX Runtime for %s: %s: install python3 with pip, or npm, and run it again, or name a library with ONNXRUNTIME_LIB", o.platform(), strings.Join(said, "; "))
}

func (o Options) progress(format string, args ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, args...))
	}
}

// present finds a pinned library in the cache, in the order in which Find would,
// and believes none by its name.
func (o Options) present() (Library, bool) {
	for _, version := range o.versions() {
		path := o.installed(version)
		sum, err := digest(path)
		if err != nil {
			continue
		}
		for _, s := range sources {
			if p, ok := o.pin(s.name); ok && p.version == version && p.sha256 == sum {
				return Library{path, version, "cache"}, true
			}
		}
	}
	return Library{}, false
}

func (o Options) installFrom(ctx context.Context, s source) (Library, error) {
	p, ok := o.pin(s.name)
	if !ok {
		return Library{}, fmt.Errorf("no SHA-256 is known here for %s", o.platform())
	}
	o.progress("%s: fetching version %s", s.name, p.version)
	path := o.installed(p.version)
	return Library{path, p.version, s.name}, s.install(ctx, o, p, path)
}

// staging is what the folders are called in which Install works, below the cache.
const staging = ".install-"

// sweep removes what an Install that was killed a day ago or earlier has left.
func (o Options) sweep() {
	left, _ := filepath.Glob(filepath.Join(escapeGlob(o.root()), staging+"*"))
	for _, dir := range left {
		if st, err := os.Stat(dir); err == nil && time.Since(st.ModTime()) > 24*time.Hour {
			os.RemoveAll(dir)
		}
	}
}

// install works in a folder of its own beside the versions, so that the rename
// into place is atomic and nothing is left of a failure.
func (s source) install(ctx context.Context, o Options, p pin, path string) error {
	if err := os.MkdirAll(o.root(), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.root(), staging+"*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	archive, err := s.fetch(ctx, o, p, dir)
	if err != nil {
		return err
	}
	part := filepath.Join(dir, "library")
	if err := extract(archive, p.pattern, part, generous()); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(archive), err)
	}
	sum, err := digest(part)
	if err != nil {
		return err
	}
	if sum != p.sha256 {
		return fmt.Errorf("the library in %s has the SHA-256 %s, not %s: it is not used", filepath.Base(archive), sum, p.sha256)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		// Windows renames over no library that is loaded: another Install was first.
		if there, _ := digest(path); there != p.sha256 {
			return err
		}
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename last. Where folders cannot be synced, nothing is lost
// but that.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	d.Sync()
	return d.Close()
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
