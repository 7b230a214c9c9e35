package trainer

import (
	"context"
	"fmt"
	"iter"

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

func (t *Training) newJudge(ctx context.Context, p clip.Preprocess) (*judge, error) {
	loader, err := data.NewLoader(t.val, data.LoaderOptions{
		Batch: judgeBatch, Threads: t.setup.Threads, Decode: t.setup.Decode, Preprocess: p,
		Report: func(line string) { t.setup.note("validation: %s", line) },
	})
	if err == nil && t.lockedVal == nil {
		err = enough(ctx, loader, t.val, "validate on: retrieval needs two")
	}
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
	for b, err := range t.valBatches(ctx) {
		if err != nil {
			return err
		}
		if len(b.Items) == 0 {
			continue
		}
		in, err := t.learner.pictures(b, t.lockedVal)
		if err != nil {
			return err
		}
		out, err := t.learner.engine.Embed(0, engine.Image, in)
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

// valBatches yields the pictures that are validated on, as they are seen in use; of
// those whose features are kept, which they are.
func (t *Training) valBatches(ctx context.Context) iter.Seq2[*data.Batch, error] {
	if t.lockedVal == nil {
		return t.judge.loader.Views(ctx, 0)
	}
	return func(yield func(*data.Batch, error) bool) {
		for from := 0; from < len(t.val.Items); from += judgeBatch {
			b := &data.Batch{}
			for i := from; i < min(from+judgeBatch, len(t.val.Items)); i++ {
				b.Items = append(b.Items, i)
			}
			if !yield(b, ctx.Err()) {
				return
			}
		}
	}
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
		out, err := t.learner.embedTexts(part)
		if err != nil {
			return err
		}
		e.Texts = append(e.Texts, out.F32...)
	}
	return nil
}
