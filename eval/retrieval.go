package eval

import (
	"context"
	"runtime"
	"time"
)

// Report is what an evaluation of retrieval says.
type Report struct {
	Dataset     string                         `json:"dataset"`
	Split       string                         `json:"split"`
	Images      int                            `json:"images"`
	Texts       int                            `json:"texts"`
	Model       string                         `json:"model"`
	Complete    bool                           `json:"complete"` // nothing of the split was left out
	Missing     int                            `json:"missing"`  // pictures that were
	TextToImage Metrics                        `json:"text_to_image"`
	ImageToText Metrics                        `json:"image_to_text"`
	CI95        map[string]map[string]Interval `json:"ci95"`      // by direction and figure
	Published   Published                      `json:"published"` // of this model on this data; empty if unknown
	Seconds     float64                        `json:"seconds"`
}

// Retrieve judges embeddings: row owner[t] of images is the picture that row t
// of texts belongs to. Rows are brought to length one in place. It is an error
// wrapping [clipsearch.ErrInvalid] if shapes do not fit, a row is zero or NaN, an
// owner is out of range or a picture has no text. Threads is how many goroutines
// work; as many as there are cores if zero.
func Retrieve(ctx context.Context, images, texts Matrix, owner []int64, threads int) (Report, error) {
	start := time.Now()
	own, err := checked(images, texts, owner)
	if err != nil {
		return Report{}, err
	}
	if err := images.normalize("image"); err != nil {
		return Report{}, err
	}
	if err := texts.normalize("text"); err != nil {
		return Report{}, err
	}
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	ranks, err := rank(ctx, images, texts, own, threads)
	if err != nil {
		return Report{}, err
	}
	r := Report{Images: images.Rows(), Texts: texts.Rows(), Complete: true, Published: Published{}}
	r.TextToImage, r.ImageToText, r.CI95 = summarize(ranks, own)
	r.Seconds = time.Since(start).Seconds()
	return r, nil
}

// checked returns owner, narrowed, if it fits images and texts.
func checked(images, texts Matrix, owner []int64) ([]int32, error) {
	switch {
	case images.Rows() == 0 || texts.Rows() == 0:
		return nil, invalid("%d images and %d texts: nothing to compare", images.Rows(), texts.Rows())
	case images.Dim != texts.Dim:
		return nil, invalid("images have %d dimensions and texts %d: they are not of one model", images.Dim, texts.Dim)
	case len(images.Data)%images.Dim != 0 || len(texts.Data)%texts.Dim != 0:
		return nil, invalid("embeddings of %d dimensions do not fill their last row", images.Dim)
	case len(owner) != texts.Rows():
		return nil, invalid("%d owners for %d texts: give the image row of each", len(owner), texts.Rows())
	}
	own := make([]int32, len(owner))
	has := make([]bool, images.Rows())
	for t, i := range owner {
		if i < 0 || i >= int64(len(has)) {
			return nil, invalid("owner of text %d is image row %d, but rows go from 0 to %d", t, i, len(has)-1)
		}
		own[t], has[i] = int32(i), true
	}
	for i, ok := range has {
		if !ok {
			return nil, invalid("image row %d has no text that belongs to it", i)
		}
	}
	return own, nil
}
