package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
	"github.com/clipsearch/clipsearch/embed/doctor"
	"github.com/clipsearch/clipsearch/embed/quantize"
)

// gate is what an import tried in int8, and what became of it.
type gate struct {
	model  clip.Model // that was kept
	tried  bool
	kept   bool // int8
	images *doctor.Agreement
	texts  *doctor.Agreement
	why    string // it was not measured
}

func (g gate) String() string {
	if g.why != "" {
		return "fp32 is kept: " + g.why
	}
	var says []string
	if g.images != nil {
		says = append(says, "pictures: "+g.images.String())
	}
	if g.texts != nil {
		says = append(says, fmt.Sprintf("texts: mean cosine %.4f", g.texts.Cosine))
	}
	if g.kept {
		return "int8 is near enough to fp32: " + strings.Join(says, "; ")
	}
	return "fp32 is kept, for int8 would have to have a mean cosine of 0.99 to it and 95 % of its neighbours: " + strings.Join(says, "; ")
}

// float32Model reads the model that is imported as int8: its float32 files, of which
// int8 is made here. Where there are none, it is the int8 files as they are: false.
func (a *app) float32Model(read func() (clip.Model, error)) (clip.Model, bool, error) {
	defer func(p string) { a.options.precision = p }(a.options.precision)
	a.options.precision = "fp32"
	if m, err := read(); err == nil {
		return m, true, nil
	}
	a.options.precision = "int8"
	m, err := read()
	return m, false, err
}

// writeInt8 fills dir with m in int8, or with m as it is if that is too far from it.
func (a *app) writeInt8(ctx context.Context, m clip.Model, dir string) (gate, error) {
	small, err := a.inInt8(m, dir)
	if errors.Is(err, quantize.ErrNothing) {
		return a.keepFloat32(gate{tried: true, model: m, why: err.Error()}, dir)
	}
	if err != nil {
		return gate{}, err
	}
	g, err := a.compare(ctx, m, small)
	if err != nil {
		return g, err
	}
	if !g.kept {
		g.model = m
		return a.keepFloat32(g, dir)
	}
	g.model = small
	switch {
	case m.Paired():
		err = finishPair(small, dir)
	case m.Built():
		err = small.WriteModel(dir)
	}
	return g, err
}

// inInt8 returns m in int8: built so, or written to dir.
func (a *app) inInt8(m clip.Model, dir string) (clip.Model, error) {
	if m.Paired() {
		return a.pairInInt8(m, dir)
	}
	if m.Built() {
		m.Precision = "int8"
		return m, nil
	}
	if err := a.loadRuntime(); err != nil { // a manifest of ours has told what others are run for
		return m, err
	}
	if _, err := quantize.Write(m, dir, doctor.Photos()); err != nil {
		return m, err
	}
	small, err := clip.ReadCopy(dir, "")
	small.Name = m.Name
	return small, err
}

// keepFloat32 writes the model as it is, in place of what lies in dir.
func (a *app) keepFloat32(g gate, dir string) (gate, error) {
	old, err := os.ReadDir(dir)
	for _, e := range old {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return g, errors.Join(err, g.model.WriteModel(dir))
}

// compare measures how far small is from m.
func (a *app) compare(ctx context.Context, m, small clip.Model) (g gate, err error) {
	x, y := a.openWith(m, embed.Options{Threads: a.options.threads}), a.openWith(small, embed.Options{Threads: a.options.threads})
	defer func() { err = errors.Join(err, x.Close(), y.Close()) }() // before the directory gets its name
	g = gate{tried: true, kept: true}
	if m.Image != "" {
		d, err := doctor.Drift(ctx, x, y, doctor.Photos())
		if err != nil {
			return g, err
		}
		g.images, g.kept = &d, d.Enough()
	}
	if m.Text != "" && m.Tokenizer.Dir != "" {
		d, err := doctor.DriftTexts(ctx, x, y)
		if err != nil {
			return g, err
		}
		g.texts, g.kept = &d, g.kept && d.Cosine >= doctor.EnoughCosine
	}
	if g.images == nil && g.texts == nil {
		g.kept, g.why = false, "it has no pictures, and no tokenizer for words, to be compared by"
	}
	return g, nil
}
