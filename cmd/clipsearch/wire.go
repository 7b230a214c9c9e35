package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/adrg/xdg"

	"github.com/clipsearch/clipsearch"
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
// built-in model's own name, an installed one, or a directory.
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
	o.Library = a.library
	e := embed.Open(m, o)
	a.onClose(e.Close)
	return e
}

// modelOf reads the model that made an index's vectors: the embedded one if it
// did, else the copy that the index keeps. A --model of another space is the
// caller's mistake.
func (a *app) modelOf(dir string, meta index.Meta) (clip.Model, error) {
	if a.options.model != "" || a.options.precision != "" {
		m, err := a.readModel(a.options.model)
		if err != nil {
			return m, err
		}
		if m.Space() != meta.Space {
			return m, mistake("index %s answers with model %s (space %.12s), not with %s (space %.12s): leave --model out, or change the index with `clipsearch model switch`",
				dir, meta.Model, meta.Space, m.Name, m.Space())
		}
		return m, nil
	}
	if m, err := builtin.Model(); err == nil && m.Space() == meta.Space {
		return m, nil
	}
	if m := clip.Named(meta.Model, meta.Dim); m.Space() == meta.Space {
		return m, nil
	}
	m, err := clip.ReadCopy(index.ModelDir(dir, meta.Space), "")
	if err != nil {
		return m, fmt.Errorf("the copy of model %s that index %s keeps: %w", meta.Model, dir, err)
	}
	return m, nil
}

// indexEncoder opens the model of the index if there is one, else that of --model.
func (a *app) indexEncoder() (*embed.Encoder, error) {
	m, err := a.modelFor(a.options.index, true)
	if err != nil {
		return nil, err
	}
	return a.open(m), nil
}

// collection is an index with the encoder of its space.
type collection struct {
	*owner.Handle
	encoder *embed.Encoder
	model   clip.Model
	texts   query.TextEncoder // the owner's warm encoder, or this process's
}

// openOptions say what a command wants of an index.
type openOptions struct {
	create   bool
	language string   // of an index that is made
	warm     []string // towers to load while the index opens, if this process is to own it
	serve    bool     // answer the texts of other processes
	once     bool     // the encoder is for a single query
}

// openIndex makes this process the owner of the index, or a client of its owner.
func (a *app) openIndex(ctx context.Context, o openOptions) (*collection, error) {
	if err := a.notHalfImported(); err != nil {
		return nil, err
	}
	model, err := a.modelFor(a.options.index, o.create)
	if err != nil {
		return nil, err
	}
	return a.openWithModel(ctx, model, o)
}

// openWithModel is openIndex of an index that answers with model.
func (a *app) openWithModel(ctx context.Context, model clip.Model, o openOptions) (*collection, error) {
	dir, err := a.options.index, error(nil)
	enc := a.openWith(model, embed.Options{Once: o.once})
	if model.Dim == 0 && o.create {
		if model.Dim, err = enc.Dim(); err != nil {
			return nil, err
		}
	}
	oo := owner.Options{
		Create: o.create, Enduring: o.serve, Version: version,
		Space: model.Space(), Waiting: a.waiting,
		Open: func() (owner.Index, error) {
			if len(o.warm) > 0 {
				go enc.Warm(o.warm...) //nolint:errcheck // whoever needs the tower gets the error
			}
			x, err := index.Open(dir, indexOptions(model, o))
			if err != nil {
				return nil, err // not x: an interface that holds a nil pointer is not nil
			}
			return x, nil
		},
	}
	if o.serve {
		oo.Texts = enc
	}
	h, err := owner.Acquire(ctx, dir, oo)
	if err != nil {
		return nil, err
	}
	a.onClose(h.Close)
	return &collection{Handle: h, encoder: enc, model: model, texts: texts{h, enc}}, nil
}

func indexOptions(model clip.Model, oo openOptions) index.Options {
	o := index.Options{Space: model.Space(), Model: model.Name, Dim: model.Dim, Create: oo.create, Language: oo.language}
	if model.Runs() { // else there is nothing to keep
		o.SaveModel, o.CheckModel = model.WriteModel, checkModel
	}
	return o
}

func (a *app) modelFor(dir string, create bool) (clip.Model, error) {
	meta, err := index.ReadMeta(dir)
	switch {
	case err == nil:
		return a.modelOf(dir, meta)
	case !errors.Is(err, clipsearch.ErrNotFound):
		return clip.Model{}, err
	case !create:
		return clip.Model{}, fmt.Errorf("there is no index in %s: make one with `clipsearch ingest FOLDER --index %s`: %w", dir, dir, clipsearch.ErrNotFound)
	}
	if err := vacant(dir); err != nil {
		return clip.Model{}, err
	}
	return a.readModel(a.options.model)
}

// vacant returns an error if dir holds what no index has.
func vacant(dir string) error {
	if entries, _ := os.ReadDir(dir); slices.ContainsFunc(entries, isForeign) {
		return mistake("%s holds other files and no index: name an empty folder with --index", dir)
	}
	return nil
}

// isForeign reports whether an entry is none that an index which is being made,
// or was left half-made, has in its folder.
func isForeign(e os.DirEntry) bool {
	name := e.Name()
	return !strings.HasPrefix(name, "owner.") && !strings.HasPrefix(name, "clipsearch.") && !strings.HasPrefix(name, ".") &&
		!slices.Contains([]string{"store", "text", "models", "roots", "uploads", "store.seal", "text.seal"}, name)
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

// texts encodes through the owner where it has a warm encoder.
type texts struct {
	owner *owner.Handle
	own   *embed.Encoder
}

func (t texts) EncodeTexts(ctx context.Context, s []string) ([]clipsearch.Vector, error) {
	if v, ok, err := t.owner.EncodeTexts(ctx, s); ok || err != nil {
		return v, err
	}
	return t.own.EncodeTexts(ctx, s)
}

// engine answers queries over c.
func (c *collection) engine() *query.Engine {
	return &query.Engine{Encoder: c.texts, Index: c.Handle, Exists: exists}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// seconds is a duration as the contract has it.
func seconds(d time.Duration) float64 { return d.Seconds() }
