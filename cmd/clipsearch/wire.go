package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/adrg/xdg"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/embed/builtin"
	"github.com/clipsearch/clipsearch/index"
	"github.com/clipsearch/clipsearch/index/stream"
	"github.com/clipsearch/clipsearch/ingest"
	"github.com/clipsearch/clipsearch/owner"
	"github.com/clipsearch/clipsearch/query"
	onnx "github.com/clipsearch/clipsearch/runtime"
)

// The packages meet here alone.
var (
	_ ingest.Encoder    = (*embed.Encoder)(nil)
	_ ingest.Store      = (*owner.Handle)(nil)
	_ query.TextEncoder = (*embed.Encoder)(nil)
	_ query.Index       = (*owner.Handle)(nil)
	_ owner.Index       = (*index.Index)(nil)
	_ stream.Source     = (*owner.Handle)(nil)
	_ stream.Sink       = (*owner.Handle)(nil)
)

// app is one run of the program: its world, its common flags, and what it has
// opened and must close.
type app struct {
	world
	options options
	closers []func() error
}

func (a *app) onClose(f func() error) { a.closers = append(a.closers, f) }

// close closes what was opened, the last first.
func (a *app) close() error {
	var errs []error
	for len(a.closers) > 0 {
		last := len(a.closers) - 1
		f := a.closers[last]
		a.closers = a.closers[:last]
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

func (a *app) logger() *slog.Logger {
	if a.options.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(a.stderr, nil))
	}
	return slog.New(slog.NewTextHandler(a.stderr, nil))
}

// library finds ONNX Runtime.
func (a *app) library() (string, error) {
	lib, err := onnx.Find(a.runtimeOptions())
	return lib.Path, err
}

func (a *app) runtimeOptions() onnx.Options {
	exe, _ := os.Executable()
	return onnx.Options{
		Env: a.getenv("ONNXRUNTIME_LIB"), Executable: exe, Cache: filepath.Join(xdg.CacheHome, "clipsearch"),
		LibraryPath: a.getenv(loaderPath()),
	}
}

// loaderPath names the variable that lists where the system's loader looks.
func loaderPath() string {
	switch runtime.GOOS {
	case "windows":
		return "PATH"
	case "darwin":
		return "DYLD_LIBRARY_PATH"
	}
	return "LD_LIBRARY_PATH"
}

// modelsDir is where `model import` puts a model that is given no other place.
func modelsDir() string { return filepath.Join(xdg.DataHome, "clipsearch", "models") }

// readModel reads the model that a name or a directory names: "builtin" or the
// built-in model's own name, a directory, an installed one, one that the index keeps a
// copy of, or one of the hub that has been pulled.
func (a *app) readModel(name string) (clip.Model, error) {
	if name == "" || name == "builtin" {
		return a.readBuiltin()
	}
	if m, err := builtin.Model(); err == nil && m.Name == name {
		return a.readBuiltin()
	}
	if st, err := os.Stat(name); err == nil && st.IsDir() {
		return clip.ReadModel(name, a.options.precision)
	}
	if filepath.IsLocal(name) {
		if st, err := os.Stat(filepath.Join(modelsDir(), name)); err == nil && st.IsDir() {
			return clip.ReadModel(filepath.Join(modelsDir(), name), a.options.precision)
		}
	}
	if m, found, err := a.keptModel(name); found {
		return m, err
	}
	if m, meant, err := a.hubModel(name); meant {
		return m, err
	}
	return clip.Model{}, mistake("no model is called %s, and it is no directory: `clipsearch model list` tells which there are", name)
}

func (a *app) readBuiltin() (clip.Model, error) {
	m, err := builtin.Model()
	if err == nil && a.options.precision != "" && a.options.precision != m.Precision {
		err = mistake("there is no %s of %s, only %s", a.options.precision, m.Name, m.Precision)
	}
	return m, err
}

// encoder opens the model that --model names, without an index.
func (a *app) encoder() (*embed.Encoder, error) {
	m, err := a.readModel(a.options.model)
	if err != nil {
		return nil, err
	}
	return a.openWith(m, embed.Options{Threads: a.options.threads}), nil
}

// open opens an encoder for callers who run several batches at once, each on one
// thread.
func (a *app) open(m clip.Model) *embed.Encoder { return a.openWith(m, embed.Options{}) }

func (a *app) openWith(m clip.Model, o embed.Options) *embed.Encoder {
	o.Library, o.Provider = a.library, a.options.provider
	e := embed.Open(m, o)
	a.onClose(e.Close)
	return e
}

// checkModel compares an index's copy of its model with the manifest.
func checkModel(dir string) []string {
	m, err := clip.ReadCopy(dir, "")
	if err != nil {
		return []string{err.Error()}
	}
	return m.Verify()
}

// waiting says who holds the index, so that nobody waits in silence.
func (a *app) waiting(h owner.Holder) {
	fmt.Fprintf(a.stderr, "waiting for the index in %s: %s holds it\n", a.options.index, h)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// seconds is a duration as the contract has it.
func seconds(d time.Duration) float64 { return d.Seconds() }
