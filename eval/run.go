package eval

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clipsearch/clipsearch"
)

// Encoder puts pictures and texts into one space. It is called by several
// goroutines at once.
type Encoder interface {
	Fit(img image.Image) *image.RGBA // what the model sees of img, small enough to keep
	EncodeImages(ctx context.Context, imgs []image.Image) ([]clipsearch.Vector, error)
	EncodeTexts(ctx context.Context, texts []string) ([]clipsearch.Vector, error)
}

// Options say what [Run] evaluates.
type Options struct {
	Dataset  Dataset
	Encoder  Encoder
	Decode   func(path string) (image.Image, error)
	Model    string                // its name, for the report
	Prompt   string                // put each caption into it at {}; the caption alone if empty, as papers have it
	Threads  int                   // as many as there are cores if zero
	Progress func(done, total int) // after each batch of pictures or texts, never two at once; may be nil
}

// batchSize is how many pictures or texts the encoder gets at once.
const batchSize = 16

// Run encodes a data set and judges retrieval on it. A picture that cannot be
// decoded ends it.
func Run(ctx context.Context, o Options) (Report, error) {
	start := time.Now()
	if o.Prompt != "" && !strings.Contains(o.Prompt, "{}") {
		return Report{}, invalid("prompt %q has no {} for the caption to stand in", o.Prompt)
	}
	images, texts, owner, err := o.encode(ctx)
	if err != nil {
		return Report{}, err
	}
	r, err := Retrieve(ctx, images, texts, owner, o.Threads)
	if err != nil {
		return Report{}, err
	}
	r.Dataset, r.Split, r.Model = o.Dataset.Name, o.Dataset.Split, o.Model
	r.Missing, r.Complete = o.Dataset.Missing, o.Dataset.Missing == 0 && !o.Dataset.Partial
	if r.Complete {
		r.Published = published(r.Dataset, r.Split, r.Model)
	}
	r.Seconds = time.Since(start).Seconds()
	return r, nil
}

// encode returns the embeddings of all pictures and captions.
func (o Options) encode(ctx context.Context) (images, texts Matrix, owner []int64, err error) {
	var captions []string
	for i, it := range o.Dataset.Items {
		for _, c := range it.Captions {
			captions = append(captions, strings.ReplaceAll(cmp.Or(o.Prompt, "{}"), "{}", c))
			owner = append(owner, int64(i))
		}
	}
	b := batches{threads: o.Threads, total: len(o.Dataset.Items) + len(captions), progress: o.Progress}
	images, err = b.run(ctx, len(o.Dataset.Items), func(ctx context.Context, from, to int) ([]clipsearch.Vector, error) {
		return encodeFiles(ctx, o.Encoder, o.Decode, o.Dataset.Items[from:to])
	})
	if err != nil {
		return images, texts, owner, err
	}
	texts, err = b.run(ctx, len(captions), func(ctx context.Context, from, to int) ([]clipsearch.Vector, error) {
		v, err := o.Encoder.EncodeTexts(ctx, captions[from:to])
		if err != nil {
			return nil, fmt.Errorf("encode captions %d to %d: %w", from, to-1, err)
		}
		return v, nil
	})
	return images, texts, owner, err
}

// encodeFiles decodes and encodes pictures.
func encodeFiles[T interface{ file() string }](ctx context.Context, e Encoder, decode func(path string) (image.Image, error), items []T) ([]clipsearch.Vector, error) {
	imgs := make([]image.Image, len(items))
	for i, it := range items {
		img, err := decode(it.file())
		if err != nil {
			return nil, fmt.Errorf("picture %s: %w", it.file(), err)
		}
		imgs[i] = e.Fit(img)
	}
	v, err := e.EncodeImages(ctx, imgs)
	if err != nil {
		return nil, fmt.Errorf("encode %d pictures from %s on: %w", len(items), items[0].file(), err)
	}
	return v, nil
}

func (it Item) file() string         { return it.Path }
func (it LabelledItem) file() string { return it.Path }

// batches runs the encoder on several batches at once.
type batches struct {
	threads, total int
	progress       func(done, total int)

	mu   sync.Mutex
	done int
}

// run encodes n things and returns their vectors as rows in the same order.
func (b *batches) run(ctx context.Context, n int, encode func(ctx context.Context, from, to int) ([]clipsearch.Vector, error)) (Matrix, error) {
	rows := make([]clipsearch.Vector, n)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cmp.Or(max(b.threads, 0), runtime.GOMAXPROCS(0)))
	for from := 0; from < n && gctx.Err() == nil; from += batchSize {
		to := min(from+batchSize, n)
		g.Go(func() error {
			vectors, err := encode(gctx, from, to)
			if err != nil {
				return err
			}
			if len(vectors) != to-from {
				return fmt.Errorf("the encoder returned %d vectors for %d inputs", len(vectors), to-from)
			}
			copy(rows[from:], vectors)
			b.report(to - from)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return Matrix{}, err
	}
	if err := ctx.Err(); err != nil { // it may have ended between two batches
		return Matrix{}, err
	}
	return stack(rows)
}

func (b *batches) report(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done += n
	if b.progress != nil {
		b.progress(b.done, b.total)
	}
}

// stack puts rows under each other.
func stack(rows []clipsearch.Vector) (Matrix, error) {
	if len(rows) == 0 {
		return Matrix{}, nil
	}
	m := Matrix{Dim: len(rows[0]), Data: make([]float32, 0, len(rows)*len(rows[0]))}
	for i, r := range rows {
		if len(r) != m.Dim {
			return Matrix{}, fmt.Errorf("the encoder returned vectors of %d and of %d numbers (row %d)", m.Dim, len(r), i)
		}
		m.Data = append(m.Data, r...)
	}
	return m, nil
}
