package eval

import (
	"context"
	"fmt"
	"image"
	"slices"
	"strings"
	"time"

	"github.com/clipsearch/clipsearch"
)

// ZeroShotOptions say what [ZeroShot] evaluates.
type ZeroShotOptions struct {
	Dataset     Labelled
	Encoder     Encoder
	Decode      func(path string) (image.Image, error)
	Model       string                // its name, for the report
	Templates   []string              // the name of a class stands at {} in each
	BaseClasses int                   // compare the first classes with the others; not if zero
	Threads     int                   // as many as there are cores if zero
	Progress    func(done, total int) // after each batch of pictures or classes, never two at once; may be nil
}

// ZeroShot encodes pictures and the names of their classes and judges how often
// the nearest name is the right one. A class is the mean of its templates' unit
// vectors, brought to unit length (Radford et al. 2021, section 3.1.4). A picture
// that cannot be decoded ends it.
func ZeroShot(ctx context.Context, o ZeroShotOptions) (Classification, error) {
	start := time.Now()
	labels := make([]int, len(o.Dataset.Items))
	for i, it := range o.Dataset.Items {
		labels[i] = it.Label
	}
	if err := checkTemplates(o.Templates); err != nil {
		return Classification{}, err
	}
	if err := checkBase(labels, len(o.Dataset.Classes), o.BaseClasses); err != nil {
		return Classification{}, err
	}
	images, classes, err := o.encode(ctx)
	if err != nil {
		return Classification{}, err
	}
	verdicts, err := decide(ctx, labels, classes.Rows(), o.BaseClasses, o.Threads, func(i int, into []float64) {
		for c := range into {
			into[c] = exact(images.Row(i), classes.Row(c))
		}
	})
	if err != nil {
		return Classification{}, err
	}
	r := count(verdicts, labels, classes.Rows(), o.BaseClasses)
	for c, name := range o.Dataset.Classes {
		r.PerClass[c].Name = name
	}
	r.Dataset, r.Split, r.Model, r.Templates = o.Dataset.Name, o.Dataset.Split, o.Model, len(o.Templates)
	r.Missing, r.Complete = o.Dataset.Missing, o.Dataset.Missing == 0 && !o.Dataset.Partial
	r.Seconds = time.Since(start).Seconds()
	return r, nil
}

// encode returns the unit vectors of all pictures and classes. The classes come
// first: there are fewer of them, and what is wrong with a model shows at once.
func (o ZeroShotOptions) encode(ctx context.Context) (images, classes Matrix, err error) {
	items, names := o.Dataset.Items, o.Dataset.Classes
	b := batches{threads: o.Threads, total: len(items) + len(names), progress: o.Progress}
	classes, err = b.run(ctx, len(names), func(ctx context.Context, from, to int) ([]clipsearch.Vector, error) {
		return o.encodeClasses(ctx, names[from:to])
	})
	if err != nil {
		return images, classes, err
	}
	images, err = b.run(ctx, len(items), func(ctx context.Context, from, to int) ([]clipsearch.Vector, error) {
		return encodeFiles(ctx, o.Encoder, o.Decode, items[from:to])
	})
	if err == nil && images.Dim != classes.Dim {
		err = fmt.Errorf("the encoder returned pictures of %d numbers and texts of %d", images.Dim, classes.Dim)
	}
	return images, classes, err
}

func (o ZeroShotOptions) encodeClasses(ctx context.Context, names []string) ([]clipsearch.Vector, error) {
	prompts := make([]string, 0, len(names)*len(o.Templates))
	for _, name := range names {
		for _, t := range o.Templates {
			prompts = append(prompts, strings.ReplaceAll(t, "{}", name))
		}
	}
	var vectors []clipsearch.Vector
	for some := range slices.Chunk(prompts, batchSize) {
		v, err := o.Encoder.EncodeTexts(ctx, some)
		if err != nil {
			return nil, fmt.Errorf("encode classes %q to %q: %w", names[0], names[len(names)-1], err)
		}
		if len(v) != len(some) {
			return nil, fmt.Errorf("the encoder returned %d vectors for %d texts", len(v), len(some))
		}
		vectors = append(vectors, v...)
	}
	classes := make([]clipsearch.Vector, len(names))
	for c, name := range names {
		v, err := meanVector(vectors[c*len(o.Templates):][:len(o.Templates)])
		if err != nil {
			return nil, fmt.Errorf("class %q: %w", name, err)
		}
		classes[c] = v
	}
	return classes, nil
}

// meanVector is the direction of the mean of vectors.
func meanVector(vectors []clipsearch.Vector) (clipsearch.Vector, error) {
	mean := make([]float32, len(vectors[0]))
	sum := make([]float64, len(mean))
	for _, v := range vectors {
		for d, x := range v {
			sum[d] += float64(x)
		}
	}
	for d, x := range sum {
		mean[d] = float32(x / float64(len(vectors)))
	}
	return clipsearch.Unit(mean)
}
