package picture

import "image"

// widener writes a row of chroma into dst, all of near's samples widened: at the
// end it may be wider than the picture. near is the row of samples that the
// picture's row lies in, far the next nearest (near itself at the edge). lower
// says that the row is the lower one of those in near.
type widener func(dst, near, far []byte, lower bool)

// converter makes a row of RGBA.
type converter func(dst, luma, cb, cr []byte)

// toRGBA interpolates src's chroma, of which a row stands for rows of the
// picture, and converts. Without widen there is nothing to interpolate.
func toRGBA(src *image.YCbCr, rows int, widen widener, convert converter) *image.RGBA {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	samples, last := src.CStride, (h-1)/rows
	if widen != nil {
		samples = chromaWidth(src)
	}
	const most = 4 // pixels across, of one sample
	wideCb, wideCr := make([]byte, w+most), make([]byte, w+most)
	for y := range h {
		near := y / rows
		lower := y%rows >= (rows+1)/2
		far := max(near-1, 0)
		if lower {
			far = min(near+1, last)
		}
		cb, cr := src.Cb[near*src.CStride:], src.Cr[near*src.CStride:]
		if widen != nil {
			widen(wideCb, cb[:samples], src.Cb[far*src.CStride:][:samples], lower)
			widen(wideCr, cr[:samples], src.Cr[far*src.CStride:][:samples], lower)
			cb, cr = wideCb, wideCr
		}
		convert(dst.Pix[y*dst.Stride:][:4*w], src.Y[y*src.YStride:][:w], cb, cr)
	}
	return dst
}

// chromaWidth returns how many samples a row of src has, the padding of the
// file's blocks aside.
func chromaWidth(src *image.YCbCr) int {
	w := src.Rect.Dx()
	switch src.SubsampleRatio {
	case image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420:
		return (w + 1) / 2
	case image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410:
		return (w + 3) / 4
	}
	return w
}
