package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/embed/builtin"
	"github.com/clipsearch/clipsearch/index"
)

// encoders open the model of a space of an index when it is first asked for, and
// keep it: after a change to another space queries of the old one may be under way,
// and a rollback is at once.
type encoders struct {
	dir   string // of the index
	how   embed.Options
	first clipsearch.Space // that answers, by the index's files; or that the index is made with

	mu    sync.Mutex
	given map[clipsearch.Space]clip.Model // whose files the user has named
	open  map[clipsearch.Space]*encoder
}

// encoder is an open model, and its tokenizer by itself.
type encoder struct {
	*embed.Encoder
	words func() (*clip.Tokenizer, error)
}

func (a *app) newEncoders(o embed.Options) *encoders {
	o.Library, o.Provider = a.library, a.options.provider
	e := &encoders{dir: a.options.index, how: o, given: map[clipsearch.Space]clip.Model{}, open: map[clipsearch.Space]*encoder{}}
	a.onClose(e.close)
	return e
}

func (e *encoders) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for _, enc := range e.open {
		errs = append(errs, enc.Close())
	}
	return errors.Join(errs...)
}

// give says where the files of a model are, and returns it with its dimension.
func (e *encoders) give(m clip.Model) (clip.Model, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	space := m.Space()
	var err error
	if m.Dim == 0 {
		m.Dim, err = e.opened(space, m).Dim()
	}
	e.given[space] = m
	return m, err
}

// warm begins to load towers of the model that answers, as far as is known before
// the index is open.
func (e *encoders) warm(towers []string) {
	if len(towers) == 0 {
		return
	}
	if enc, err := e.of(e.first); err == nil {
		go enc.Warm(towers...) //nolint:errcheck // whoever needs the tower gets the error
	}
}

// of returns the encoder of a space. It loads nothing yet.
func (e *encoders) of(space clipsearch.Space) (*encoder, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if enc, ok := e.open[space]; ok {
		return enc, nil
	}
	m, err := e.model(space)
	if err != nil {
		return nil, err
	}
	return e.opened(space, m), nil
}

// opened opens m unless that has been done. The caller holds e.mu.
func (e *encoders) opened(space clipsearch.Space, m clip.Model) *encoder {
	enc, ok := e.open[space]
	if !ok {
		enc = &encoder{embed.Open(m, e.how), sync.OnceValues(m.OpenTokenizer)}
		e.open[space] = enc
	}
	return enc
}

// model finds the model of a space: the one that the user has named, this program's
// own, or the copy that the index keeps.
func (e *encoders) model(space clipsearch.Space) (clip.Model, error) {
	if m, ok := e.given[space]; ok {
		return m, nil
	}
	if m, err := builtin.Model(); err == nil && m.Space() == space {
		return m, nil
	}
	if meta, err := index.ReadMeta(e.dir); err == nil {
		if m := clip.Named(meta.Model, meta.Dim); m.Space() == space {
			return m, nil
		}
	}
	m, err := clip.ReadCopy(index.ModelDir(e.dir, space), "")
	if err == nil && m.Space() != space {
		err = fmt.Errorf("it makes vectors of space %.12s", m.Space())
	}
	if err != nil { // nobody's mistake
		return m, fmt.Errorf("the copy of the model of space %.12s that index %s keeps: %s: bring it back with `clipsearch model switch`, or `clipsearch check --repair`", space, e.dir, withoutKind(err.Error()))
	}
	return m, nil
}

// has reports whether there is a model of a space beside the copy in the index.
func (e *encoders) has(space clipsearch.Space) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	m, err := e.model(space)
	return err == nil && m.Path("") != index.ModelDir(e.dir, space)
}

// save writes the model of the space that answers, or that the index is being made
// with, into a directory: for an index that has no copy, or whose own has come to harm.
func (e *encoders) save(to string) error {
	space := e.first
	if meta, err := index.ReadMeta(e.dir); err == nil {
		space = meta.Space
	}
	e.mu.Lock()
	m, err := e.model(space)
	e.mu.Unlock()
	if err != nil {
		return err
	}
	if m.Path("") == index.ModelDir(e.dir, space) {
		return fmt.Errorf("this program has no other copy of model %s: give it one with `clipsearch model switch`", m.Name)
	}
	return m.WriteModel(to)
}

// keptModels are the copies of models in the index, of --precision if that is given.
func (a *app) keptModels() (list []clip.Model) {
	manifests, _ := filepath.Glob(filepath.Join(a.options.index, "models", "*", clip.ManifestName))
	for _, name := range manifests {
		dir := filepath.Dir(name)
		if m, err := clip.ReadCopy(dir, a.options.precision); err == nil && m.Space().String() == filepath.Base(dir) {
			list = append(list, m)
		}
	}
	return list
}

// keptModel finds the copy that an index keeps of a model, by its name or by the
// beginning of its digest.
func (a *app) keptModel(name string) (m clip.Model, found bool, err error) {
	for _, kept := range a.keptModels() {
		called := kept.Name == name || len(name) >= 8 && strings.HasPrefix(kept.Space().String(), name)
		switch {
		case !called:
			continue
		case found:
			return m, true, mistake("index %s keeps several models that are called %s: name one by its digest (%.12s, %.12s)", a.options.index, name, m.Space(), kept.Space())
		}
		m, found = kept, true
	}
	if found {
		m, err = clip.ReadModel(index.ModelDir(a.options.index, m.Space()), a.options.precision)
	}
	return m, found, err
}
