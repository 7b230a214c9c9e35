// Package embedtest holds an encoder that needs no model, for the tests of
// everyone else. It knows colours: a picture's vector is its mean colour, a
// text's the sum of the colours that it names, so "red" finds a red picture.
package embedtest

import (
	"context"
	"crypto/sha256"
	"image"
	"image/color"
	"strings"

	"golang.org/x/image/draw"

	"github.com/clipsearch/clipsearch"
)

// Size is the side of what Fit returns; Dim the length of a vector.
const (
	Size = 16
	Dim  = 8
)

// Encoder is the fake. Its zero value is ready.
type Encoder struct{}

// Space returns the space of its vectors.
func (Encoder) Space() clipsearch.Space { return sha256.Sum256([]byte("embedtest")) }

// Fit scales a picture to Size × Size; such a picture comes back as it is.
func (Encoder) Fit(img image.Image) *image.RGBA {
	if p, ok := img.(*image.RGBA); ok && p.Rect == image.Rect(0, 0, Size, Size) {
		return p
	}
	p := image.NewRGBA(image.Rect(0, 0, Size, Size))
	draw.ApproxBiLinear.Scale(p, p.Bounds(), img, img.Bounds(), draw.Src, nil)
	return p
}

// EncodeImages returns mean colours.
func (e Encoder) EncodeImages(ctx context.Context, imgs []image.Image) ([]clipsearch.Vector, error) {
	vectors := make([]clipsearch.Vector, len(imgs))
	for i, img := range imgs {
		var sum [3]float32
		for pix := e.Fit(img).Pix; len(pix) > 0; pix = pix[4:] {
			for c := range sum {
				sum[c] += float32(pix[c]) / (255 * Size * Size)
			}
		}
		vectors[i] = vector(sum)
	}
	return vectors, ctx.Err()
}

var colours = map[string]color.RGBA{
	"red": {R: 255}, "green": {G: 255}, "blue": {B: 255}, "yellow": {R: 255, G: 255},
	"cyan": {G: 255, B: 255}, "magenta": {R: 255, B: 255}, "white": {R: 255, G: 255, B: 255},
}

// EncodeTexts returns the sum of the colours that each text names.
func (Encoder) EncodeTexts(ctx context.Context, texts []string) ([]clipsearch.Vector, error) {
	vectors := make([]clipsearch.Vector, len(texts))
	for i, t := range texts {
		var sum [3]float32
		for _, w := range strings.Fields(strings.ToLower(t)) {
			c := colours[w]
			sum[0], sum[1], sum[2] = sum[0]+float32(c.R)/255, sum[1]+float32(c.G)/255, sum[2]+float32(c.B)/255
		}
		vectors[i] = vector(sum)
	}
	return vectors, ctx.Err()
}

// vector spreads a colour over Dim numbers around grey, so that colours point
// apart; the last number keeps black and grey from having no direction.
func vector(c [3]float32) clipsearch.Vector {
	mean := (c[0] + c[1] + c[2]) / 3
	v := []float32{c[0] - mean, c[1] - mean, c[2] - mean, c[0] - c[1], c[1] - c[2], c[2] - c[0], mean / 8, .01}
	u, err := clipsearch.Unit(v)
	if err != nil {
		panic("embedtest: " + err.Error()) // the last number is never zero
	}
	return u
}
