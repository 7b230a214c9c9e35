package data

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"image"
	"os"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
)

//go:generate python3 testdata/make_golden.py

// golden is what torchvision says.
type golden struct {
	Crops []struct {
		Side          [2]int
		Crop          [4]int
		Size          int
		Interpolation string
		Pixels        string
	}
	Colors []struct {
		Change string
		Factor float64
		Pixels string
	}
	Geometry []struct {
		Side         [2]int
		Scale, Ratio [2]float64
		Draws        []float64
		Crop         [4]int
	}
}

func readGolden(t *testing.T) (g golden) {
	text, err := os.ReadFile("testdata/golden.json")
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// computed is the picture of make_golden.py.
func computed(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			for c := range 3 {
				img.Pix[img.PixOffset(x, y)+c] = byte(x*(5+c) + y*(11-3*c) + x*y/(7+c) + 60*c)
			}
			img.Pix[img.PixOffset(x, y)+3] = 255
		}
	}
	return img
}

// differ returns how many values of img are not want's, and the largest difference.
func differ(t *testing.T, img *image.RGBA, want string) (n, most int) {
	rgb, err := base64.StdEncoding.DecodeString(want)
	if err != nil || len(rgb) != 3*img.Rect.Dx()*img.Rect.Dy() {
		t.Fatalf("%v: %d values are wanted (%v)", img.Rect, len(rgb), err)
	}
	each(img, func(p []byte) {
		for c := range 3 {
			if d := int(p[c]) - int(rgb[c]); d != 0 {
				n++
				most = max(most, d, -d)
			}
		}
		rgb = rgb[3:]
	})
	return n, most
}

func TestCropsAreTorchvisions(t *testing.T) {
	for _, g := range readGolden(t).Crops {
		p := clip.Preprocess{Size: g.Size, Interpolation: g.Interpolation, Edge: 99}
		part := image.Rect(g.Crop[0], g.Crop[1], g.Crop[0]+g.Crop[2], g.Crop[1]+g.Crop[3])
		if n, most := differ(t, cut(p, computed(g.Side[0], g.Side[1]), part), g.Pixels); n > 0 {
			t.Errorf("%v of %v to %d, %s: %d values differ, by up to %d", part, g.Side, g.Size, g.Interpolation, n, most)
		}
	}
}

func TestColorsArePillows(t *testing.T) {
	changes := map[string]func(*image.RGBA, float64){
		"brightness": brighten, "contrast": contrast, "saturation": saturate, "hue": turnHue,
		"gray": func(img *image.RGBA, _ float64) { saturate(img, 0) },
		"flip": func(img *image.RGBA, _ float64) { flip(img) },
	}
	for _, g := range readGolden(t).Colors {
		img := computed(31, 23)
		changes[g.Change](img, g.Factor)
		if n, most := differ(t, img, g.Pixels); n > 0 {
			t.Errorf("%s %v: %d values differ, by up to %d", g.Change, g.Factor, n, most)
		}
	}
}

// replayed draws what torchvision drew.
type replayed struct{ draws *[]float64 }

func (r replayed) next() float64 {
	if len(*r.draws) == 0 {
		return -1
	}
	v := (*r.draws)[0]
	*r.draws = (*r.draws)[1:]
	return v
}

func (r replayed) between(_, _ float64) float64 { return r.next() }
func (r replayed) upTo(int) int                 { return int(r.next()) }

func TestGeometryIsTorchvisions(t *testing.T) {
	for _, g := range readGolden(t).Geometry {
		a := Augment{Scale: g.Scale, Ratio: g.Ratio}
		draws := g.Draws
		got := a.crop(g.Side[0], g.Side[1], replayed{&draws})
		want := image.Rect(g.Crop[0], g.Crop[1], g.Crop[0]+g.Crop[2], g.Crop[1]+g.Crop[3])
		if got != want || len(draws) > 0 {
			t.Errorf("crop of %v, scale %v, ratio %v, draws %v: %v, want %v; %d draws are left", g.Side, g.Scale, g.Ratio, g.Draws, got, want, len(draws))
		}
	}
}

func TestAugmentStaysInside(t *testing.T) {
	a := Augment{Scale: [2]float64{.05, 1}, Flip: .5, ColorProb: .8, Brightness: .4, Contrast: .4, Saturation: .4, Hue: .1, Gray: .2}
	p := clip.Preprocess{Size: 16}
	for _, side := range [][2]int{{1, 1}, {16, 16}, {1, 300}, {300, 2}, {64, 48}} {
		for i := range uint64(20) {
			if got := a.apply(p, computed(side[0], side[1]), random(i, "test"), false); got.Rect.Dx() != 16 || got.Rect.Dy() != 16 {
				t.Fatalf("a picture of %v becomes %v", side, got.Rect)
			}
		}
	}
}

func TestSidesAreNamed(t *testing.T) {
	for caption, want := range map[string]bool{
		"A dog on the left.": true, "Right of the house": true, "a left-handed player": true, "the rightmost cup": true,
		"He is leftover food": false, "a bright light": false, "": false, "a copyright sign": false,
	} {
		if got := namesSides([]string{"a dog", caption}); got != want {
			t.Errorf("namesSides(%q) = %v", caption, got)
		}
	}
}

func TestAugmentSettings(t *testing.T) {
	nan := 0.
	nan /= nan
	for _, a := range []Augment{
		{Flip: -1}, {Flip: 2}, {Gray: nan}, {Hue: .6}, {Brightness: -1}, {Scale: [2]float64{0, 1}}, {Scale: [2]float64{.9, .5}},
		{Scale: [2]float64{.5, 1.5}}, {Ratio: [2]float64{2, 1}}, {Ratio: [2]float64{nan, 1}},
	} {
		if err := a.check(); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%+v: %v, want an error that is ErrInvalid", a, err)
		}
	}
	if err := (Augment{}).check(); err != nil {
		t.Error(err)
	}
}
