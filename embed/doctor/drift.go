package doctor

import (
	"context"
	"fmt"
	"image"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/embed"
)

// Agreement is how near the vectors of one encoder are to those of another.
type Agreement struct {
	Cosine float64 // mean, of the same picture's two vectors
	Top1   float64 // share of pictures whose nearest other picture is the same in both
}

// EnoughCosine is the mean cosine at which the vectors of one may stand for the
// other's.
const EnoughCosine = 0.99

// Enough reports whether one may stand for the other: a mean cosine of 0.99, and the
// same neighbour for 95 of 100 pictures.
func (a Agreement) Enough() bool { return a.Cosine >= EnoughCosine && a.Top1 >= 0.95 }

func (a Agreement) String() string {
	return fmt.Sprintf("mean cosine %.4f, the same nearest neighbour for %.1f %%", a.Cosine, 100*a.Top1)
}

// Drift measures how far the image tower of b is from that of a on pictures, of which
// there must be two at least: the more there are, the finer is Top1.
func Drift(ctx context.Context, a, b *embed.Encoder, pictures []image.Image) (Agreement, error) {
	if len(pictures) < 2 {
		return Agreement{}, fmt.Errorf("compare %d pictures: two are needed at least: %w", len(pictures), clipsearch.ErrInvalid)
	}
	return agreement(func(e *embed.Encoder) ([]clipsearch.Vector, error) { return e.EncodeImages(ctx, pictures) }, a, b)
}

// DriftTexts measures how far the text tower of b is from that of a, on the captions
// of the program's photographs. They are few: Top1 is coarse.
func DriftTexts(ctx context.Context, a, b *embed.Encoder) (Agreement, error) {
	return agreement(func(e *embed.Encoder) ([]clipsearch.Vector, error) {
		return e.EncodeTexts(ctx, readAlbum().Captions["en"])
	}, a, b)
}

func agreement(encode func(*embed.Encoder) ([]clipsearch.Vector, error), a, b *embed.Encoder) (Agreement, error) {
	x, err := encode(a)
	if err != nil {
		return Agreement{}, err
	}
	y, err := encode(b)
	if err != nil {
		return Agreement{}, err
	}
	if len(x[0]) != len(y[0]) {
		return Agreement{}, fmt.Errorf("vectors of %d and of %d numbers cannot be compared: %w", len(x[0]), len(y[0]), clipsearch.ErrInvalid)
	}
	var g Agreement
	for i := range x {
		g.Cosine += float64(x[i].Dot(y[i])) / float64(len(x))
		if nearest(x, i) == nearest(y, i) {
			g.Top1 += 1 / float64(len(x))
		}
	}
	return g, nil
}

// nearest returns which other vector is nearest to number i.
func nearest(list []clipsearch.Vector, i int) int {
	best := -1
	var most float32
	for j := range list {
		if j == i {
			continue
		}
		if s := list[i].Dot(list[j]); best < 0 || s > most {
			best, most = j, s
		}
	}
	return best
}

// checkDrift compares the int8 of a model with its fp32, where there are both: as
// files, or built from the weights. It is broken only where the int8 is in use. What is
// built here and points the same way is left undecided where nothing shows that the
// model has learned: neighbours among what random weights make are near ties.
func (d *doctor) checkDrift(ctx context.Context) {
	const name = "drift"
	dir := d.model.Path(".")
	if dir == "" || d.photos == nil {
		return
	}
	other := "int8"
	if d.model.Precision == "int8" {
		other = "fp32"
	}
	m, err := clip.ReadCopy(dir, other)
	if err != nil || m.Precision == d.model.Precision || !m.Built() && m.Image == d.model.Image {
		return
	}
	second := embed.Open(m, d.opts.Embed)
	defer second.Close()
	g, err := Drift(ctx, d.enc, second, Photos())
	switch {
	case err != nil:
		d.unsure(name, "the model in %s: %v", other, err)
	case g.Enough():
		d.pass(name, "int8 to fp32: %s", g)
	case d.model.Precision == "int8" && (d.known || !m.Built() || !(g.Cosine >= EnoughCosine)):
		d.fail(name, "int8 to fp32: %s: use --precision fp32", g)
	case d.model.Precision == "int8":
		d.unsure(name, "int8 to fp32: %s: too far, if the weights are trained", g)
	default:
		d.pass(name, "int8 to fp32: %s: int8 is not to be used", g)
	}
}
