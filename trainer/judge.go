package trainer

import (
	"context"
	"fmt"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/trainer/data"
	"github.com/clipsearch/clipsearch/trainer/engine"
)

// judge is the validation set.
type judge struct {
	set    *data.Set
	loader *data.Loader
}

// judgeBatch is how many pictures or texts are embedded at once.
const judgeBatch = 64

func (t *Training) newJudge(p clip.Preprocess) (*judge, error) {
	loader, err := data.NewLoader(t.val, data.LoaderOptions{
		Batch: judgeBatch, Threads: t.setup.Threads, Decode: t.setup.Decode, Preprocess: p,
		Report: func(line string) { t.setup.note("validation: %s", line) },
	})
	return &judge{t.val, loader}, err
}

// Embedded is the validation set as vectors of length one: of every picture that could
// be read, and of its captions.
type Embedded struct {
	Items         []data.Item // by row of Images
	Captions      []string    // by row of Texts
	Owner         []int64     // the row of Images that a row of Texts belongs to
	Images, Texts []float32
	Dim           int
}

// validate implements [Run.Validate].
func (t *Training) validate(ctx context.Context) (Figures, error) {
	e, err := t.Embed(ctx)
	if err != nil {
		return Figures{}, err
	}
	a, b, err := t.setup.Judge(ctx, e.Images, e.Texts, e.Dim, e.Owner)
	return Figures{TextToImage: &a, ImageToText: &b, Mean: MeanRecall(a, b)}, err
}

// Embed embeds the validation set with the weights that are validated. It may be called
// from Report.
func (t *Training) Embed(ctx context.Context) (e Embedded, err error) {
	if t.judge == nil {
		return e, nil
	}
	err = t.learner.withBest(func() error {
		if err := t.embedImages(ctx, &e); err != nil {
			return err
		}
		return t.embedTexts(ctx, &e)
	})
	return e, err
}

func (t *Training) embedImages(ctx context.Context, e *Embedded) error {
	l := t.learner
	port, size := l.net.towers[engine.Image].Inputs[0].Name, int64(l.net.model.Preprocess.Size)
	for b, err := range t.judge.loader.Views(ctx, 0) {
		if err != nil {
			return err
		}
		if len(b.Items) == 0 {
			continue
		}
		out, err := l.engine.Embed(0, engine.Image, map[string]engine.Tensor{port: {Shape: []int64{int64(len(b.Items)), 3, size, size}, F32: b.Pixels}})
		if err != nil {
			return err
		}
		for _, i := range b.Items {
			e.Items = append(e.Items, t.val.Items[i])
		}
		e.Images, e.Dim = append(e.Images, out.F32...), int(out.Shape[1])
	}
	if len(e.Items) < 2 {
		return fmt.Errorf("%d of the %d pictures could be read", len(e.Items), len(t.val.Items))
	}
	return nil
}

func (t *Training) embedTexts(ctx context.Context, e *Embedded) error {
	for row, item := range e.Items {
		for _, text := range item.Captions {
			e.Captions, e.Owner = append(e.Captions, text), append(e.Owner, int64(row))
		}
	}
	for from := 0; from < len(e.Captions); from += judgeBatch {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := e.Captions[from:min(from+judgeBatch, len(e.Captions))]
		out, err := t.learner.engine.Embed(0, engine.Text, t.learner.words.tensors(part))
		if err != nil {
			return err
		}
		e.Texts = append(e.Texts, out.F32...)
	}
	return nil
}
