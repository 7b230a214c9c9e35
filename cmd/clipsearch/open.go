package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/index"
	"github.com/clipsearch/clipsearch/ingest"
	"github.com/clipsearch/clipsearch/owner"
)

// openOptions say what a command wants of an index.
type openOptions struct {
	create   bool
	language string        // of an index that is made
	warm     []string      // towers to load while the index opens, if this process is to own it
	serve    bool          // answer the texts of other processes, and make the vectors that the index lacks
	work     bool          // make the vectors that the index lacks, if this process is to own it
	once     bool          // the encoder is for a single query
	anyModel bool          // whatever --model says
	unload   time.Duration // the image tower, when nobody has used it for so long; 0: never
	// vet may refuse the model that an index is to be made with; nil takes any.
	vet func(clip.Model) error
}

// openIndex makes this process the owner of the index, or a client of its owner.
// Where there is one it is opened whatever answers by then, unless --model says what
// must.
func (a *app) openIndex(ctx context.Context, o openOptions) (*collection, error) {
	if err := a.notHalfImported(); err != nil {
		return nil, err
	}
	removeSpools(a.options.index)
	encs := a.newEncoders(embed.Options{Once: o.once, IdleUnload: o.unload})
	io, err := a.indexOptions(encs, o)
	if err != nil {
		return nil, err
	}
	return a.acquire(ctx, encs, io, o)
}

// openWithModel is openIndex of an index that answers with model, or is made with it.
func (a *app) openWithModel(ctx context.Context, model clip.Model, o openOptions) (*collection, error) {
	encs := a.newEncoders(embed.Options{Once: o.once, IdleUnload: o.unload})
	io, err := encs.optionsWith(model, o)
	if err != nil {
		return nil, err
	}
	return a.acquire(ctx, encs, io, o)
}

func (a *app) acquire(ctx context.Context, encs *encoders, io index.Options, o openOptions) (*collection, error) {
	w := worker{encoders: encs, threads: a.options.threads}
	oo := owner.Options{
		Create: o.create, Enduring: o.serve, Version: version, Waiting: a.waiting,
		Open: func() (owner.Index, error) {
			encs.warm(o.warm)
			x, err := index.Open(a.options.index, io)
			if err != nil {
				return nil, err // not x: an interface that holds a nil pointer is not nil
			}
			w.index.Store(x)
			return x, nil
		},
	}
	if o.serve {
		oo.Texts = lent{encs}
		w.threads, w.warm = (w.threads+1)/2, o.warm // queries go on
	}
	if o.serve || o.work {
		oo.Work = w.work
	}
	h, err := owner.Acquire(ctx, a.options.index, oo)
	if err != nil {
		return nil, err
	}
	a.onClose(h.Close)
	return &collection{h, encs}, nil
}

// indexOptions say which index is opened, or made.
func (a *app) indexOptions(encs *encoders, o openOptions) (index.Options, error) {
	dir := a.options.index
	meta, err := index.ReadMeta(dir)
	switch {
	case errors.Is(err, clipsearch.ErrNotFound) && o.create:
		m, err := a.modelForNew()
		if err == nil && o.vet != nil {
			err = o.vet(m)
		}
		if err != nil {
			return index.Options{}, err
		}
		return encs.optionsWith(m, o)
	case errors.Is(err, clipsearch.ErrNotFound):
		return index.Options{}, fmt.Errorf("there is no index in %s: make one with `clipsearch ingest FOLDER --index %s`: %w", dir, dir, clipsearch.ErrNotFound)
	case err != nil:
		return index.Options{}, err
	}
	encs.first = meta.Space
	io := encs.options(o)
	if o.anyModel || a.options.model == "" && a.options.precision == "" {
		return io, nil
	}
	if a.options.model == "" {
		return io, a.answersIn(a.options.precision, encs, meta)
	}
	m, err := a.readModel(a.options.model)
	if err != nil {
		return io, err
	}
	if m.Space() != meta.Space {
		return io, mistake("index %s answers with model %s (space %.12s), not with %s (space %.12s): leave --model out, or change the index with `clipsearch model switch`",
			dir, meta.Model, meta.Space, m.Name, m.Space())
	}
	io.Space, m.Dim = meta.Space, meta.Dim
	_, err = encs.give(m)
	return io, err
}

// answersIn returns an error if the model that answers has another precision. One
// that cannot be read is left to whoever needs it.
func (a *app) answersIn(precision string, encs *encoders, meta index.Meta) error {
	enc, err := encs.of(meta.Space)
	if err != nil || !enc.Model().Runs() || enc.Model().Precision == precision {
		return nil
	}
	return mistake("index %s answers with model %s in %s, not in %s: leave --precision out, or change the index with `clipsearch model switch NAME --precision %s`",
		a.options.index, meta.Model, enc.Model().Precision, precision, precision)
}

// modelForNew returns the model that an index is made with.
func (a *app) modelForNew() (clip.Model, error) {
	if err := vacant(a.options.index); err != nil {
		return clip.Model{}, err
	}
	return a.readModel(a.options.model)
}

// optionsWith are the options of an index that answers with a model, or is made with it.
func (e *encoders) optionsWith(m clip.Model, o openOptions) (index.Options, error) {
	m, err := e.give(m)
	e.first = m.Space()
	io := e.options(o)
	io.Space, io.Model, io.Dim = e.first, m.Name, m.Dim
	return io, err
}

func (e *encoders) options(o openOptions) index.Options {
	return index.Options{
		Create: o.create, Language: o.language, SaveModel: e.save, Saves: e.has, CheckModel: checkModel, Thumb: ingest.Thumb,
		Keeps: func(m clipsearch.SpaceModel) bool { return clip.Named(m.Model, m.Dim).Space() != m.Space },
	}
}

// modelFor returns the model of the index, or that of --model where there is none.
func (a *app) modelFor() (clip.Model, error) {
	encs := a.newEncoders(embed.Options{})
	if _, err := a.indexOptions(encs, openOptions{create: true}); err != nil {
		return clip.Model{}, err
	}
	enc, err := encs.of(encs.first)
	if err != nil {
		return clip.Model{}, err
	}
	return enc.Model(), nil
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
