package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"iter"
	"os"
	"path/filepath"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/index"
	"github.com/clipsearch/clipsearch/ingest"
	"github.com/clipsearch/clipsearch/internal/npy"
)

// readyOptions are the flags of vectors that were made elsewhere.
type readyOptions struct {
	vectors   string
	paths     string
	modelName string
}

// any reports whether any of them was given.
func (o readyOptions) any() bool { return o != readyOptions{} }

func (o readyOptions) valid(p ingestOptions, args []string) error {
	switch {
	case !o.any():
		return nil
	case o.vectors == "" || o.paths == "":
		return mistake("--vectors F.npy and --paths F.txt go together: row i of the one belongs to line i of the other")
	case len(args) > 0:
		return mistake("PATH %s beside --vectors: the pictures are those of --paths", args[0])
	case p.prune || len(p.exclude) > 0:
		return mistake("--prune and --exclude are for folders, not for --vectors")
	}
	return nil
}

// ready is pictures and their vectors, as two files have them.
type ready struct {
	rows  *npy.Rows
	lines []byte // of --paths
	sep   []byte
	close func() error
}

// openReady opens both files and compares their lengths.
func openReady(o readyOptions) (*ready, error) {
	lines, err := os.ReadFile(o.paths)
	if err != nil {
		return nil, mistake("--paths: %v", err)
	}
	f, err := os.Open(o.vectors)
	if err != nil {
		return nil, mistake("--vectors: %v", err)
	}
	r := &ready{lines: lines, sep: []byte("\n"), close: f.Close}
	if bytes.IndexByte(lines, 0) >= 0 {
		r.sep = []byte{0}
	}
	st, err := f.Stat()
	if err == nil {
		r.rows, err = npy.OpenRows(f, st.Size())
	}
	if err == nil {
		r.lines = bytes.TrimSuffix(lines, r.sep)
		n := bytes.Count(r.lines, r.sep) + 1
		if len(r.lines) == 0 {
			n = 0
		}
		if n != r.rows.N || r.rows.Dim == 0 {
			err = mistake("%d rows of %d numbers, and %d paths in %s", r.rows.N, r.rows.Dim, n, o.paths)
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("--vectors %s: %w", o.vectors, err)
	}
	return r, nil
}

// Paths implements ingest.Ready. Paths are bytes, not text.
func (r *ready) Paths() iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range bytes.SplitSeq(r.lines, r.sep) {
			if r.sep[0] == '\n' {
				line = bytes.TrimSuffix(line, []byte("\r"))
			}
			if r.rows.N == 0 || !yield(string(line)) {
				return
			}
		}
	}
}

// Vector implements ingest.Ready.
func (r *ready) Vector(i int) (clipsearch.Vector, error) {
	row, err := r.rows.Row(i)
	if err != nil {
		return nil, err
	}
	return clipsearch.Unit(row)
}

// folders are those that the pictures lie in, as far as there are any.
func (r *ready) folders() (dirs []string) {
	seen := map[string]bool{}
	for path := range r.Paths() {
		abs, err := filepath.Abs(path)
		if err != nil {
			continue
		}
		if dir := filepath.Dir(abs); !seen[dir] {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// runReady is runIngest of vectors that were made elsewhere.
func runReady(ctx context.Context, a *app, o ingestOptions, captions ingest.Captions) error {
	r, err := openReady(o.ready)
	if err != nil {
		return err
	}
	defer r.close() //nolint:errcheck // it was only read
	show := a.newProgress("ingest", o.progress == "json")
	p, err := a.readyPipeline(ctx, o, r, show)
	if err != nil {
		return err
	}
	p.Captions = captions
	if !o.dryRun {
		if err := a.rememberRoots(r.folders()); err != nil {
			return err
		}
	}
	sum, err := p.Run(ctx)
	settle(ctx, p.Store)
	show.done()
	return a.endIngest(sum, err)
}

// readyPipeline opens the index, and makes it if there is none, unless nothing is to
// be done.
func (a *app) readyPipeline(ctx context.Context, o ingestOptions, r *ready, show *progress) (*ingest.Pipeline, error) {
	if err := a.notHalfImported(); err != nil {
		return nil, err
	}
	model, err := a.readyModel(o.ready, r.rows.Dim)
	if err != nil {
		return nil, err
	}
	meta, err := index.ReadMeta(a.options.index)
	fresh := errors.Is(err, clipsearch.ErrNotFound)
	if err := checkLanguage(a.options.index, o.language, meta, fresh); err != nil {
		return nil, err
	}
	var store ingest.Store = nothing{}
	var enc ingest.Encoder = wordless{model.Space()}
	words := model.Text != ""
	switch {
	case !fresh || !o.dryRun:
		lib, err := a.openWithModel(ctx, model, openOptions{create: fresh, language: o.language})
		if err != nil {
			return nil, err
		}
		store = lib.Handle
		if words {
			if enc, err = lib.encoders.of(model.Space()); err != nil {
				return nil, err
			}
		}
	case words:
		enc = a.open(model)
	}
	p := a.pipeline(store, enc, o, show)
	p.Ready, p.Wordless = r, !words
	return p, nil
}

// readyModel says which model made the vectors: the one whose space the index
// answers with, and for a new index the one that is named.
func (a *app) readyModel(o readyOptions, dim int) (clip.Model, error) {
	meta, err := index.ReadMeta(a.options.index)
	fresh := errors.Is(err, clipsearch.ErrNotFound)
	if err != nil && !fresh {
		return clip.Model{}, err
	}
	named := clip.Named(o.modelName, dim)
	var m clip.Model
	switch {
	case o.modelName != "" && a.options.model != "":
		return m, mistake("--model %s and --model-name %s: only one of them made the vectors", a.options.model, o.modelName)
	case o.modelName != "" && !fresh && meta.Space != named.Space():
		return m, mistake("index %s answers with model %s (%d numbers a vector), and the vectors are of %s (%d): put them into another index with --index",
			a.options.index, meta.Model, meta.Dim, o.modelName, dim)
	case o.modelName != "" && fresh:
		return named, vacant(a.options.index)
	case fresh && a.options.model == "":
		return m, mistake("which model made the vectors? A new index must know: name it with --model, or with --model-name if clipsearch cannot run it")
	}
	if m, err = a.modelFor(); err != nil {
		return m, err
	}
	if m.Dim == 0 {
		if m.Dim, err = a.open(m).Dim(); err != nil {
			return m, err
		}
	}
	if m.Dim != dim {
		err = mistake("the vectors have %d numbers, those of model %s have %d: they are of another model", dim, m.Name, m.Dim)
	}
	return m, err
}

// wordless is the encoder of a model that cannot encode words, and here need not
// encode pictures.
type wordless struct{ space clipsearch.Space }

func (w wordless) Space() clipsearch.Space       { return w.space }
func (wordless) Fit(img image.Image) *image.RGBA { return nil }

func (wordless) EncodeImages(context.Context, []image.Image) ([]clipsearch.Vector, error) {
	return nil, errors.New("a picture without its vector")
}

func (wordless) EncodeTexts(context.Context, []string) ([]clipsearch.Vector, error) {
	return nil, errors.New("words for a model without words")
}
