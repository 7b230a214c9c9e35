package data

import (
	"image"
	"math"
	"math/rand/v2"
	"regexp"

	"github.com/clipsearch/clipsearch/clip"
)

// Augment says how a picture is varied, as torchvision's RandomResizedCrop,
// RandomHorizontalFlip, ColorJitter and RandomGrayscale do it. Its zero value changes
// nothing: the picture is seen as it will be once the model is trained.
type Augment struct {
	Scale [2]float64 `json:"scale,omitzero"` // least and largest share of the area; no crop is made if both are zero
	Ratio [2]float64 `json:"ratio,omitzero"` // least and largest of width by height; 3/4 and 4/3 if zero
	Flip  float64    `json:"flip,omitzero"`  // how likely left and right are exchanged

	// KeepSides leaves a picture as it is if one of its captions says left or right.
	KeepSides bool `json:"keep_sides,omitzero"`

	// ColorProb is how likely the colours are changed; always if it is zero. Brightness,
	// contrast and saturation are multiplied by 1 plus or minus so much, and the hue is
	// turned by so much of a circle, in an order that is drawn.
	ColorProb  float64 `json:"color_prob,omitzero"`
	Brightness float64 `json:"brightness,omitzero"`
	Contrast   float64 `json:"contrast,omitzero"`
	Saturation float64 `json:"saturation,omitzero"`
	Hue        float64 `json:"hue,omitzero"` // at most 0.5

	Gray float64 `json:"gray,omitzero"` // how likely all colour is taken away
}

// check returns an error that names the first setting that makes no sense.
func (a Augment) check() error {
	for _, r := range []struct {
		name     string
		value    float64
		lo, most float64
	}{
		{"flip", a.Flip, 0, 1}, {"color_prob", a.ColorProb, 0, 1}, {"gray", a.Gray, 0, 1}, {"hue", a.Hue, 0, 0.5},
		{"brightness", a.Brightness, 0, math.MaxFloat64}, {"contrast", a.Contrast, 0, math.MaxFloat64}, {"saturation", a.Saturation, 0, math.MaxFloat64},
	} {
		if !(r.value >= r.lo && r.value <= r.most) {
			return invalid("augmentation %s is %v: it must be from %v to %v", r.name, r.value, r.lo, r.most)
		}
	}
	if a.Scale != [2]float64{} && !(0 < a.Scale[0] && a.Scale[0] <= a.Scale[1] && a.Scale[1] <= 1) {
		return invalid("augmentation scale is %v: it must be two shares of the area, the smaller one first, as [0.4, 1]", a.Scale)
	}
	if a.Ratio != [2]float64{} && !(0 < a.Ratio[0] && a.Ratio[0] <= a.Ratio[1] && a.Ratio[1] <= 1e6) {
		return invalid("augmentation ratio is %v: it must be two ratios of width to height, the smaller one first, as [0.75, 1.33]", a.Ratio)
	}
	return nil
}

var sides = regexp.MustCompile(`(?i)\b(left|right)(most|ward|wards|hand|handed)?\b`)

// namesSides reports whether a caption would be wrong of the mirrored picture.
func namesSides(captions []string) bool {
	for _, c := range captions {
		if sides.MatchString(c) {
			return true
		}
	}
	return false
}

// apply returns img varied by what r draws, in p's size. It may write to img. Keep forbids
// a flip.
func (a Augment) apply(p clip.Preprocess, img *image.RGBA, r *rand.Rand, keep bool) *image.RGBA {
	var out *image.RGBA
	if a.Scale != [2]float64{} {
		part := a.crop(img.Rect.Dx(), img.Rect.Dy(), uniform{r})
		out = cut(p, img, part.Add(img.Rect.Min))
	} else {
		out = p.Fit(img)
	}
	flips := r.Float64() < a.Flip
	colors := a.ColorProb == 0 || r.Float64() < a.ColorProb
	jitter := a.jitter(r)
	gray := r.Float64() < a.Gray
	if flips && !keep {
		flip(out)
	}
	if colors {
		for _, change := range jitter {
			change(out)
		}
	}
	if gray {
		saturate(out, 0)
	}
	return out
}

// cut returns the part of img, resized to what p wants.
func cut(p clip.Preprocess, img *image.RGBA, part image.Rectangle) *image.RGBA {
	p.Resize, p.Edge = "squash", 0
	return p.Fit(img.SubImage(part))
}

// draws are what a crop is made of; the reference's are replayed in a test.
type draws interface {
	between(lo, hi float64) float64
	upTo(n int) int // n itself included
}

type uniform struct{ *rand.Rand }

func (u uniform) between(lo, hi float64) float64 { return lo + (hi-lo)*u.Float64() }
func (u uniform) upTo(n int) int                 { return u.IntN(n + 1) }

// crop draws a part of a w x h picture as torchvision does: ten tries for one of the
// wanted area and ratio, else the largest in the middle that has a wanted ratio.
func (a Augment) crop(w, h int, d draws) image.Rectangle {
	ratio := a.Ratio
	if ratio == [2]float64{} {
		ratio = [2]float64{3. / 4, 4. / 3}
	}
	for range 10 {
		area := float64(w) * float64(h) * d.between(a.Scale[0], a.Scale[1])
		aspect := math.Exp(d.between(math.Log(ratio[0]), math.Log(ratio[1])))
		cw := int(math.RoundToEven(math.Sqrt(area * aspect)))
		ch := int(math.RoundToEven(math.Sqrt(area / aspect)))
		if 0 < cw && cw <= w && 0 < ch && ch <= h {
			y, x := d.upTo(h-ch), d.upTo(w-cw)
			return image.Rect(x, y, x+cw, y+ch)
		}
	}
	return middle(w, h, ratio)
}

func middle(w, h int, ratio [2]float64) image.Rectangle {
	cw, ch := w, h
	switch has := float64(w) / float64(h); {
	case has < ratio[0]:
		ch = int(math.RoundToEven(float64(w) / ratio[0]))
	case has > ratio[1]:
		cw = int(math.RoundToEven(float64(h) * ratio[1]))
	}
	cw, ch = min(max(cw, 1), w), min(max(ch, 1), h)
	x, y := (w-cw)/2, (h-ch)/2
	return image.Rect(x, y, x+cw, y+ch)
}

// flip exchanges left and right.
func flip(img *image.RGBA) {
	w := img.Rect.Dx()
	for y := range img.Rect.Dy() {
		row := img.Pix[y*img.Stride:][:4*w]
		for i, j := 0, 4*(w-1); i < j; i, j = i+4, j-4 {
			a, b := [4]byte(row[i:]), [4]byte(row[j:])
			copy(row[i:], b[:])
			copy(row[j:], a[:])
		}
	}
}
