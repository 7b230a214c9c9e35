package clip

import (
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
)

// Preprocess says how a picture becomes the image tower's input: exactly as
// Pillow and torchvision do it, so that a model sees here what it saw when it
// was trained and when it was measured.
type Preprocess struct {
	Size          int        `json:"size"`          // of both sides
	Resize        string     `json:"resize"`        // "shortest": that side to Size, then the middle; "squash": both sides; "longest": that side, the rest filled up. "shortest" if empty
	Interpolation string     `json:"interpolation"` // "bicubic" or "bilinear"; "bicubic" if empty
	CropRounding  string     `json:"crop_rounding"` // of half an odd margin: "round" to even (torchvision) or "floor" (transformers); "round" if empty
	Mean          [3]float64 `json:"mean"`          // of values from 0 to 1
	Std           [3]float64 `json:"std"`
	Edge          int        `json:"edge,omitempty"` // of the shortest side, where less than all that is left of it is kept; Size if zero
	Fill          [3]uint8   `json:"fill,omitzero"`  // red, green and blue around a picture whose longest side was taken
}

// Fit returns img resized and cropped to p.Size x p.Size. A picture that has
// this size is returned as it is, not copied, even where p.Edge is larger: it
// is taken for one that Fit has returned. Alpha is dropped, as Pillow's
// convert("RGB") drops it: it is neither composited nor multiplied in. Of an
// [image.RGBA] it is taken to be 255 everywhere.
func (p Preprocess) Fit(img image.Image) *image.RGBA {
	src := opaque(img)
	w, h := src.Rect.Dx(), src.Rect.Dy()
	if w == p.Size && h == p.Size || p.Size < 1 { // a model of texts alone has no size
		return src
	}
	dst := image.NewRGBA(image.Rect(0, 0, p.Size, p.Size))
	if w == 0 || h == 0 {
		draw.Draw(dst, dst.Rect, image.Black, image.Point{}, draw.Src)
		return dst
	}
	fullW, fullH := p.resized(w, h)
	if p.Resize == "longest" {
		draw.Draw(dst, dst.Rect, image.NewUniform(color.RGBA{p.Fill[0], p.Fill[1], p.Fill[2], 255}), image.Point{}, draw.Src)
		at := image.Pt((p.Size-fullW)/2, (p.Size-fullH)/2)
		whole := dst.SubImage(image.Rectangle{at, at.Add(image.Pt(fullW, fullH))}).(*image.RGBA)
		p.scale(whole, src, fullW, fullH, 0, 0)
		return dst
	}
	p.scale(dst, src, fullW, fullH, p.margin(fullW), p.margin(fullH))
	return dst
}

// Resize returns img resized to w x h, both at least 1, as Pillow's bicubic does it. A
// picture that has these sides is returned as it is.
func Resize(img image.Image, w, h int) *image.RGBA {
	src := opaque(img)
	if src.Rect.Dx() == w && src.Rect.Dy() == h {
		return src
	}
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	if !src.Rect.Empty() {
		Preprocess{}.scale(dst, src, w, h, 0, 0)
	}
	return dst
}

// scale writes the part of src that dst has room for, once src is fullW x fullH,
// from (x0,y0) on.
func (p Preprocess) scale(dst, src *image.RGBA, fullW, fullH, x0, y0 int) {
	src = thin(src, fullW, fullH)
	w, h := src.Rect.Dx(), src.Rect.Dy()
	kernel := p.kernel()
	columnsFirst := h > fullH && h-fullH > 2*(w-fullW) // as of Pillow 13; rows first until then, with a last bit that differs
	resample(dst, src,
		kernel.taps(w, fullW, x0, x0+dst.Rect.Dx()),
		kernel.taps(h, fullH, y0, y0+dst.Rect.Dy()), columnsFirst)
}

// resized returns the sides of a w x h picture after the resize: with "shortest"
// the shorter is p.Edge and both are cut down to p.Size.
func (p Preprocess) resized(w, h int) (int, int) {
	edge := cmp.Or(p.Edge, p.Size)
	switch {
	case p.Resize == "squash":
		return edge, edge
	case p.Resize == "longest": // rounded as open_clip does
		ratio := float64(max(w, h)) / float64(p.Size)
		side := func(n int) int { return max(1, int(math.RoundToEven(float64(n)/ratio))) }
		return side(w), side(h)
	case w <= h:
		return edge, edge * h / w
	default:
		return edge * w / h, edge
	}
}

// margin returns how much of side lies before the crop.
func (p Preprocess) margin(side int) int {
	both := side - p.Size
	half := both / 2
	if p.CropRounding != "floor" && both%2 == 1 && half%2 == 1 {
		half++ // Python's round: x.5 to the even neighbour
	}
	return half
}

// Normalize writes img's values into dst, which has 3 x Size x Size: all red
// ones, all green ones, all blue ones, each less the mean and divided by the
// standard deviation of its channel.
func (p Preprocess) Normalize(dst []float32, img *image.RGBA) {
	n := p.Size * p.Size
	if img.Rect.Dx() != p.Size || img.Rect.Dy() != p.Size || len(dst) != 3*n {
		panic(fmt.Sprintf("clip: normalize a picture of %v into %d numbers for a model of size %d", img.Rect.Size(), len(dst), p.Size))
	}
	for c := range 3 {
		table, plane := p.table(c), dst[c*n:(c+1)*n]
		for y := range p.Size {
			pix := img.Pix[y*img.Stride : y*img.Stride+4*p.Size]
			row := plane[y*p.Size : (y+1)*p.Size]
			for x := range row {
				row[x] = table[pix[4*x+c]]
			}
		}
	}
}

// table returns what each value of channel c becomes, rounded to float32 where
// torchvision rounds.
func (p Preprocess) table(c int) *[256]float32 {
	mean, std := float32(p.Mean[c]), float32(p.Std[c])
	var t [256]float32
	for v := range t {
		t[v] = (float32(v)/255 - mean) / std
	}
	return &t
}

// opaque returns img as an RGBA picture at (0,0), alpha dropped.
func opaque(img image.Image) *image.RGBA {
	b := img.Bounds()
	switch src := img.(type) {
	case *image.RGBA:
		if b.Min == (image.Point{}) {
			return src
		}
		pix := src.Pix
		if !b.Empty() {
			pix = pix[src.PixOffset(b.Min.X, b.Min.Y):]
		}
		return &image.RGBA{Pix: pix, Stride: src.Stride, Rect: image.Rect(0, 0, b.Dx(), b.Dy())}
	case *image.YCbCr, *image.Gray, *image.CMYK: // opaque anyway: draw has fast paths
		dst := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
		draw.Draw(dst, dst.Rect, img, b.Min, draw.Src)
		return dst
	}
	dst := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			c := color.NRGBAModel.Convert(img.At(b.Min.X+x, b.Min.Y+y)).(color.NRGBA)
			dst.SetRGBA(x, y, color.RGBA{R: c.R, G: c.G, B: c.B, A: 255})
		}
	}
	return dst
}
