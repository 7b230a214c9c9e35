package picture

import (
	"image"
	"image/color"
)

// opaque returns img at (0,0) in RGBA, its alpha dropped.
func opaque(img image.Image, err error) (*image.RGBA, error) {
	if err != nil {
		return nil, err
	}
	b := img.Bounds()
	if src, ok := img.(*image.NRGBA); ok && b.Min == (image.Point{}) {
		return cleared(&image.RGBA{Pix: src.Pix, Stride: src.Stride, Rect: b}), nil
	}
	if src, ok := img.(*image.RGBA); ok && b.Min == (image.Point{}) && src.Opaque() {
		return src, nil
	}
	dst := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	switch src := img.(type) {
	case *image.Gray:
		eachRow(dst, src.Pix, src.Stride, 1, func(to, from []byte) { to[0], to[1], to[2] = from[0], from[0], from[0] })
	case *image.Gray16:
		eachRow(dst, src.Pix, src.Stride, 2, func(to, from []byte) {
			v := from[1]
			if from[0] != 0 {
				v = 255 // Pillow clips; it does not scale
			}
			to[0], to[1], to[2] = v, v, v
		})
	case *image.NRGBA64:
		eachRow(dst, src.Pix, src.Stride, 8, func(to, from []byte) { to[0], to[1], to[2] = from[0], from[2], from[4] })
	case *image.RGBA64:
		if !src.Opaque() {
			anyPixels(dst, src)
			break
		}
		eachRow(dst, src.Pix, src.Stride, 8, func(to, from []byte) { to[0], to[1], to[2] = from[0], from[2], from[4] })
	case *image.CMYK:
		eachRow(dst, src.Pix, src.Stride, 4, func(to, from []byte) { fromCMYK(to, from) })
	case *image.Paletted:
		colors := paletteOf(src.Palette)
		eachRow(dst, src.Pix, src.Stride, 1, func(to, from []byte) { copy(to, colors[from[0]][:]) })
	default:
		anyPixels(dst, src)
	}
	return cleared(dst), nil
}

// cleared returns img with an alpha of 255.
func cleared(img *image.RGBA) *image.RGBA {
	for i := 3; i < len(img.Pix); i += 4 {
		img.Pix[i] = 255
	}
	return img
}

// eachRow calls set for every pixel of dst with the one of pix, size bytes wide.
func eachRow(dst *image.RGBA, pix []byte, stride, size int, set func(to, from []byte)) {
	w := dst.Rect.Dx()
	for y := range dst.Rect.Dy() {
		to, from := dst.Pix[y*dst.Stride:][:4*w], pix[y*stride:][:size*w]
		for ; len(to) >= 4 && len(from) >= size; to, from = to[4:], from[size:] {
			set(to[:4], from[:size])
		}
	}
}

// anyPixels takes any picture, slowly, and divides by alpha.
func anyPixels(dst *image.RGBA, src image.Image) {
	b := src.Bounds()
	for y := range b.Dy() {
		for x := range b.Dx() {
			c := color.NRGBAModel.Convert(src.At(b.Min.X+x, b.Min.Y+y)).(color.NRGBA)
			dst.SetRGBA(x, y, color.RGBA{R: c.R, G: c.G, B: c.B, A: 255})
		}
	}
}

// fromCMYK multiplies inks and black as Pillow does.
func fromCMYK(to, from []byte) {
	white := 255 - uint32(from[3])
	for i, ink := range from[:3] {
		v := uint32(ink)*white + 128
		to[i] = byte(white - (v+v>>8)>>8)
	}
}

// paletteOf returns the colours of p, alpha dropped, for any byte.
func paletteOf(p color.Palette) (colors [256][3]byte) {
	for i, c := range p[:min(len(p), 256)] {
		n := color.NRGBAModel.Convert(c).(color.NRGBA)
		colors[i] = [3]byte{n.R, n.G, n.B}
	}
	return colors
}
