package embed

import (
	"context"
	"errors"
	"fmt"
	"image"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/internal/ort"
)

// Options say how a model is run.
type Options struct {
	// Library finds ONNX Runtime's shared library; it is asked when the first
	// session is opened, and not before.
	Library func() (string, error)
	Threads int  // of one call; 1 if zero: callers run several at once
	Batch   int  // rows of one run at most; 0: as many as suit the tower
	Once    bool // for one query: load sooner, run slower
	// Provider is what towers run on: "cpu", "cuda", "coreml", "directml" or
	// "openvino", an error where the library has it not; "auto" is CUDA where the
	// library has it and it starts, else the processor. The processor if empty. It
	// is no part of the space: vectors differ in their last digits only.
	Provider string
	// IdleUnload is how long the image tower stays loaded with nobody using it; for
	// good if zero. The text tower stays.
	IdleUnload time.Duration
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
	e := &Encoder{model: m, opts: o}
	e.image = lazy[*imageTower]{open: e.openImage, close: func(t *imageTower) error { return t.close() }, idle: o.IdleUnload}
	e.text = lazy[*textTower]{open: e.openText, close: func(t *textTower) error { return t.close() }}
	return e
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
	rows, err := e.RawImages(ctx, imgs)
	if err != nil {
		return nil, err
	}
	return appendUnit(make([]clipsearch.Vector, 0, len(rows)), rows, "picture")
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
	t, done, err := e.image.get()
	if err != nil {
		return nil, err
	}
	defer done()
	return t.inLanes(ctx, len(imgs), t.sizeOf, func(s *ort.Session, i, j int) ([][]float32, error) {
		rows, err := t.encode(s, imgs[i:j])
		if err != nil {
			return nil, fmt.Errorf("embed %d pictures with %s: %w", j-i, e.model.Name, err)
		}
		return rows, nil
	})
}

// RawTexts tokenizes and encodes texts.
func (e *Encoder) RawTexts(ctx context.Context, texts []string) ([][]float32, error) {
	t, done, err := e.text.get()
	if err != nil {
		return nil, err
	}
	defer done()
	if t.words == nil {
		return nil, t.noWords
	}
	ids := make([][]int64, len(texts))
	for i, s := range texts {
		ids[i] = t.words.Encode(s)
	}
	return e.rawIDs(ctx, t, ids, nil, t.cuts)
}

// RawPixels encodes preprocessed pictures: n of them, float32 [n,3,S,S].
func (e *Encoder) RawPixels(ctx context.Context, pixels []float32, n int) ([][]float32, error) {
	t, done, err := e.image.get()
	if err != nil {
		return nil, err
	}
	defer done()
	if n == 0 || len(pixels) != n*t.row() {
		return nil, fmt.Errorf("%d numbers are not %d pictures of 3 × %d × %d: %w", len(pixels), n, t.size, t.size, clipsearch.ErrInvalid)
	}
	return t.inLanes(ctx, n, t.sizeOf, func(s *ort.Session, i, j int) ([][]float32, error) {
		return t.run(s, pixels[i*t.row():j*t.row()], j-i)
	})
}

// RawIDs encodes token ids, begin and end tokens included, row by row of any
// length up to the model's. mask may be nil; it is used where the tower asks
// for one, and otherwise refused.
func (e *Encoder) RawIDs(ctx context.Context, ids, mask [][]int64) ([][]float32, error) {
	t, done, err := e.text.get()
	if err != nil {
		return nil, err
	}
	defer done()
	return e.rawIDs(ctx, t, ids, mask, false)
}

// rawIDs encodes rows with others of their length, so that little is padded.
func (e *Encoder) rawIDs(ctx context.Context, t *textTower, ids, mask [][]int64, cut bool) ([][]float32, error) {
	order := byLength(ids)
	size := func(i int) int {
		if cut {
			return len(ids[order[i]])
		}
		return max(t.length, len(ids[order[i]]))
	}
	sorted, err := t.inLanes(ctx, len(ids), size, func(s *ort.Session, i, j int) ([][]float32, error) {
		rows, err := t.run(s, picked(ids, order[i:j]), picked(mask, order[i:j]), cut)
		if err != nil {
			return nil, fmt.Errorf("embed %d texts with %s: %w", j-i, e.model.Name, err)
		}
		return rows, nil
	})
	if err != nil {
		return nil, err
	}
	rows := make([][]float32, len(sorted))
	for at, i := range order {
		rows[i] = sorted[at]
	}
	return rows, nil
}

// Warm loads the towers that are named: "image", "text".
func (e *Encoder) Warm(towers ...string) error {
	for _, name := range towers {
		l, done, err := e.lanes(name)
		if err != nil {
			return err
		}
		_, err = l.first()
		done()
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *Encoder) lanes(tower string) (l *lanes, done func(), err error) {
	if tower == "image" {
		t, done, err := e.image.get()
		if err != nil {
			return nil, nil, err
		}
		return t.lanes, done, nil
	}
	t, done, err := e.text.get()
	if err != nil {
		return nil, nil, err
	}
	return t.lanes, done, nil
}

// CutsTexts loads the text tower and reports whether texts may be as long as the
// longest of their batch though the manifest pads them: it was tried.
func (e *Encoder) CutsTexts() (bool, error) {
	t, done, err := e.text.get()
	if err != nil {
		return false, err
	}
	defer done()
	return t.cuts, nil
}

// Close frees the sessions. No call may be under way, but a Warm may: it is
// waited for.
func (e *Encoder) Close() error { return errors.Join(e.image.drop(), e.text.drop()) }

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

// Dim returns the number of dimensions of an embedding: as the manifest says, and
// where it does not, as a grey picture has it, or a text of one token. Of a pair it is
// both, which must agree.
func (e *Encoder) Dim() (int, error) {
	if e.model.Dim > 0 {
		return e.model.Dim, nil
	}
	if e.model.Image == "" && e.model.Text != "" {
		return e.textDim()
	}
	size := max(1, e.model.Preprocess.Size)
	rows, err := e.RawImages(context.Background(), []image.Image{image.NewRGBA(image.Rect(0, 0, size, size))})
	if err != nil {
		return 0, err
	}
	dim := len(rows[0])
	if !e.model.Paired() {
		return dim, nil
	}
	texts, err := e.textDim()
	if err == nil && texts != dim {
		err = clip.Mismatch(e.model.Side(clip.ImageSide), e.model.Side(clip.TextSide), dim, texts)
	}
	return dim, err
}

func (e *Encoder) textDim() (int, error) {
	rows, err := e.RawIDs(context.Background(), [][]int64{{e.model.Tokenizer.Pad}}, nil)
	if err != nil {
		return 0, err
	}
	return len(rows[0]), nil
}
