package picture

import "image"

// turned returns img as a person should see it, by its EXIF orientation. One
// that is upright already comes back as it is.
func turned(img *image.RGBA, orientation int) *image.RGBA {
	if orientation < 2 || orientation > 8 {
		return img
	}
	w, h, stride := img.Rect.Dx(), img.Rect.Dy(), img.Stride
	right, bottom := 4*(w-1), stride*(h-1)
	// Where the upright picture begins in img, and how far its next column and
	// its next row are.
	walk := [...]struct{ start, column, row int }{
		2: {right, -4, stride},           // mirrored
		3: {right + bottom, -4, -stride}, // upside down
		4: {bottom, 4, -stride},          // both
		5: {0, stride, 4},                // mirrored along the diagonal
		6: {bottom, -stride, 4},          // to be turned right
		7: {right + bottom, -stride, -4}, // mirrored along the other diagonal
		8: {right, stride, -4},           // to be turned left
	}[orientation]
	if orientation > 4 {
		w, h = h, w
	}
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	const tile = 32 // both pictures' parts of that size stay in the cache
	for y0 := 0; y0 < h; y0 += tile {
		for x0 := 0; x0 < w; x0 += tile {
			for y := y0; y < min(y0+tile, h); y++ {
				at := walk.start + y*walk.row + x0*walk.column
				to := dst.Pix[y*dst.Stride+4*x0:][:4*min(tile, w-x0)]
				for ; len(to) >= 4; to = to[4:] {
					copy(to[:4], img.Pix[at:at+4])
					at += walk.column
				}
			}
		}
	}
	return dst
}
