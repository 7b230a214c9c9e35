package embed

import (
	"context"
	"errors"
	"fmt"
	"image"
	"sync"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
)

// Options say how a model is run.
type Options struct {
	// Library finds ONNX Runtime's shared library; it is asked when the first
	// session is opened, and not before.
	Library func() (string, error)
	Threads int  // of one run; 1 if zero: callers run several at once
	Batch   int  // rows of one run at most; 16 if zero
	Once    bool // for one query: load sooner, run slower
}

// Encoder runs one model. Its methods may be called concurrently. A tower is
// loaded when it is first used.
type Encoder struct {
	model clip.Model
	opts  Options
	image lazy[*imageTower]
	text  lazy[*textTower]
}

// Open returns an encoder for m. It loads nothing yet.
func Open(m clip.Model, o Options) *Encoder {
	if o.Threads == 0 {
		o.Threads = 1
	}
	if o.Batch == 0 {
		o.Batch = 16
	}
	return &Encoder{model: m, opts: o}
}

// Model returns the manifest of the model.
func (e *Encoder) Model() clip.Model { return e.model }

// Space returns the space of the vectors.
func (e *Encoder) Space() clipsearch.Space { return e.model.Space() }

// Fit returns what the model sees of a picture: resized and cut, 8 bits a
// channel, Size × Size. A picture that Fit returned comes back as it is.
func (e *Encoder) Fit(img image.Image) *image.RGBA { return e.model.Preprocess.Fit(img) }

// EncodeImages returns the unit vector of each picture.
func (e *Encoder) EncodeImages(ctx context.Context, imgs []image.Image) ([]clipsearch.Vector, error) {
	t, err := e.image.get(e.openImage)
	if err != nil {
		return nil, err
	}
	vectors := make([]clipsearch.Vector, 0, len(imgs))
	for len(imgs) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(t.batch, len(imgs))
		rows, err := t.encode(imgs[:n])
		if err != nil {
			return nil, fmt.Errorf("embed %d pictures with %s: %w", n, e.model.Name, err)
		}
		if vectors, err = appendUnit(vectors, rows, "picture"); err != nil {
			return nil, err
		}
		imgs = imgs[n:]
	}
	return vectors, nil
}

// EncodeTexts returns the unit vector of each text.
func (e *Encoder) EncodeTexts(ctx context.Context, texts []string) ([]clipsearch.Vector, error) {
	rows, err := e.RawTexts(ctx, texts)
	if err != nil {
		return nil, err
	}
	return appendUnit(make([]clipsearch.Vector, 0, len(rows)), rows, "text")
}

// RawImages, RawTexts, RawPixels and RawIDs return what the graph gives, before
// it is brought to unit length (some graphs do that themselves).
func (e *Encoder) RawImages(ctx context.Context, imgs []image.Image) ([][]float32, error) {
	t, err := e.image.get(e.openImage)
	if err != nil {
		return nil, err
	}
	return inBatches(ctx, len(imgs), t.batch, func(i, j int) ([][]float32, error) { return t.encode(imgs[i:j]) })
}

// RawTexts tokenizes and encodes texts.
func (e *Encoder) RawTexts(ctx context.Context, texts []string) ([][]float32, error) {
	t, err := e.text.get(e.openText)
	if err != nil {
		return nil, err
	}
	if t.words == nil {
		return nil, t.noWords
	}
	ids := make([][]int64, len(texts))
	for i, s := range texts {
		ids[i] = t.words.Encode(s)
	}
	return e.rawIDs(ctx, t, ids, nil)
}

// RawPixels encodes preprocessed pictures: n of them, float32 [n,3,S,S].
func (e *Encoder) RawPixels(ctx context.Context, pixels []float32, n int) ([][]float32, error) {
	t, err := e.image.get(e.openImage)
	if err != nil {
		return nil, err
	}
	if n == 0 || len(pixels) != n*t.row() {
		return nil, fmt.Errorf("%d numbers are not %d pictures of 3 × %d × %d: %w", len(pixels), n, t.size, t.size, clipsearch.ErrInvalid)
	}
	return inBatches(ctx, n, t.batch, func(i, j int) ([][]float32, error) {
		return t.run(pixels[i*t.row():j*t.row()], j-i)
	})
}

// RawIDs encodes token ids, begin and end tokens included, row by row of any
// length up to the model's. mask may be nil; it is used where the tower asks
// for one, and otherwise refused.
func (e *Encoder) RawIDs(ctx context.Context, ids, mask [][]int64) ([][]float32, error) {
	t, err := e.text.get(e.openText)
	if err != nil {
		return nil, err
	}
	return e.rawIDs(ctx, t, ids, mask)
}

func (e *Encoder) rawIDs(ctx context.Context, t *textTower, ids, mask [][]int64) ([][]float32, error) {
	return inBatches(ctx, len(ids), t.batch, func(i, j int) ([][]float32, error) {
		var m [][]int64
		if mask != nil {
			m = mask[i:j]
		}
		rows, err := t.run(ids[i:j], m)
		if err != nil {
			return nil, fmt.Errorf("embed %d texts with %s: %w", j-i, e.model.Name, err)
		}
		return rows, nil
	})
}

// Warm loads the towers that are named: "image", "text".
func (e *Encoder) Warm(towers ...string) error {
	for _, name := range towers {
		var err error
		if name == "image" {
			_, err = e.image.get(e.openImage)
		} else {
			_, err = e.text.get(e.openText)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Close frees the sessions. No call may be under way, but a Warm may: it is
// waited for.
func (e *Encoder) Close() error {
	return errors.Join(
		e.image.drop(func(t *imageTower) error { return t.session.Close() }),
		e.text.drop(func(t *textTower) error { return t.session.Close() }))
}

// inBatches calls f for [0,size), [size,2·size) … of n rows and joins the answers.
func inBatches(ctx context.Context, n, size int, f func(i, j int) ([][]float32, error)) ([][]float32, error) {
	rows := make([][]float32, 0, n)
	for i := 0; i < n; i += size {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		some, err := f(i, min(i+size, n))
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	return rows, nil
}

func appendUnit(vectors []clipsearch.Vector, rows [][]float32, what string) ([]clipsearch.Vector, error) {
	for _, row := range rows {
		u, err := clipsearch.Unit(row)
		if err != nil {
			return nil, fmt.Errorf("%s %d: %w", what, len(vectors)+1, err)
		}
		vectors = append(vectors, u)
	}
	return vectors, nil
}

// lazy is a value that is made when it is first asked for. An error is not
// kept: the next one to ask tries again.
type lazy[T any] struct {
	mu      sync.Mutex
	made    bool
	dropped bool
	value   T
}

func (l *lazy[T]) get(open func() (T, error)) (T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made {
		return l.value, nil
	}
	if l.dropped {
		var none T
		return none, errors.New("the encoder is closed")
	}
	v, err := open()
	if err == nil {
		l.value, l.made = v, true
	}
	return v, err
}

// drop closes the value, if it was made; it will not be made again.
func (l *lazy[T]) drop(closeValue func(T) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	made := l.made
	l.made, l.dropped = false, true
	if !made {
		return nil
	}
	return closeValue(l.value)
}

// Dim returns the number of dimensions of an embedding: as the manifest or the
// graph says, and where neither does, as a grey picture has it.
func (e *Encoder) Dim() (int, error) {
	if e.model.Dim > 0 {
		return e.model.Dim, nil
	}
	t, err := e.image.get(e.openImage)
	if err != nil {
		return 0, err
	}
	rows, err := t.encode([]image.Image{image.NewRGBA(image.Rect(0, 0, t.size, t.size))})
	if err != nil {
		return 0, err
	}
	return len(rows[0]), nil
}
