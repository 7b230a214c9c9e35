package doctor

import (
	"context"
	"io/fs"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
)

// Options say how a model is examined.
type Options struct {
	Embed  embed.Options
	Hashed bool // the model's files have just been compared with their manifest
}

// doctor is one examination.
type doctor struct {
	Report
	model  clip.Model
	enc    *embed.Encoder
	opts   Options
	quick  bool
	listed bool // there is a manifest whose hashes are to be compared

	learned learned
	scale   *float64 // the parameter logit_scale among the weights
	places  int      // how many ids a text has by the weights; 0: they do not tell
	words   *clip.Tokenizer

	photos   [][]float32 // what the image tower gives for the album's photographs
	texts    [][]float32 // what the text tower gives for texts or ids
	pictures []clipsearch.Vector
	language string                // whose captions match best,
	captions []clipsearch.Vector   // and what they give
	tried    [][]clipsearch.Vector // what those of every language give that may be the tower's
	matched  matched
	known    bool // captions find their pictures
}

// Examine looks at m from all sides. It returns an error only where ctx ends: what is
// wrong with the model is in the report.
func Examine(ctx context.Context, m clip.Model, o Options) (Report, error) {
	d := newDoctor(m, o)
	defer d.enc.Close()
	d.cheap(ctx)
	d.checkBatch(ctx)
	d.checkContext(ctx)
	d.checkPadding(ctx)
	d.checkDrift(ctx)
	d.checkPace(ctx)
	return d.Report, ctx.Err()
}

// Quick is the part of Examine that costs little: it reads every weight, and runs each
// tower on a few pictures and texts. That captions do not find their pictures does not
// make a model broken here: it may have learned another language.
func Quick(ctx context.Context, m clip.Model, o Options) (Report, error) {
	d := newDoctor(m, o)
	d.quick = true
	defer d.enc.Close()
	d.cheap(ctx)
	return d.Report, ctx.Err()
}

func newDoctor(m clip.Model, o Options) *doctor {
	d := &doctor{Report: newReport(), model: m, enc: embed.Open(m, o.Embed), opts: o, learned: learned{}}
	_, err := fs.Stat(m.FS(), clip.ManifestName)
	d.listed = err == nil && !o.Hashed
	return d
}

func (d *doctor) cheap(ctx context.Context) {
	d.checkFiles()
	d.checkWords()
	d.checkImages(ctx)
	d.checkTexts(ctx)
	d.checkSpace()
	d.checkMatch(ctx)
	d.checkRecipe(ctx)
	d.checkScale()
}
