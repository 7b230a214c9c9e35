package picture

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"io"
)

// decodeJPEG decodes as libjpeg-turbo does by default: chroma is interpolated
// ("fancy upsampling"), and colours are converted with its constants.
func decodeJPEG(file []byte) (*image.RGBA, error) {
	img, err := jpeg.Decode(bytes.NewReader(file))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		// Some cameras and downloads leave out the end marker alone.
		img, err = jpeg.Decode(io.MultiReader(bytes.NewReader(file), bytes.NewReader([]byte{0xff, 0xd9})))
	}
	if src, ok := img.(*image.YCbCr); ok && err == nil {
		return jpegRGBA(src), nil
	}
	return opaque(img, err)
}

// jpegRGBA interpolates and converts.
func jpegRGBA(src *image.YCbCr) *image.RGBA {
	r := src.SubsampleRatio
	narrow := (src.Rect.Dx()+1)/2 <= 2 // libjpeg interpolates no picture with so little chroma
	switch {
	case r == image.YCbCrSubsampleRatio444:
		return toRGBA(src, 1, nil, rowFromJPEG)
	case r == image.YCbCrSubsampleRatio422 && !narrow:
		return toRGBA(src, 1, widen422, rowFromJPEG)
	case r == image.YCbCrSubsampleRatio420 && !narrow:
		return toRGBA(src, 2, widen420, rowFromJPEG)
	case r == image.YCbCrSubsampleRatio440:
		return toRGBA(src, 2, widen440, rowFromJPEG)
	case r == image.YCbCrSubsampleRatio422:
		return toRGBA(src, 1, repeat(2), rowFromJPEG)
	case r == image.YCbCrSubsampleRatio420:
		return toRGBA(src, 2, repeat(2), rowFromJPEG)
	case r == image.YCbCrSubsampleRatio411:
		return toRGBA(src, 1, repeat(4), rowFromJPEG)
	default: // 410
		return toRGBA(src, 2, repeat(4), rowFromJPEG)
	}
}

// widen422 makes of each sample two, three quarters its own and one quarter its
// neighbour's, rounded up and down in turn.
func widen422(dst, near, _ []byte, _ bool) {
	last := len(near) - 1
	for i, c := range near {
		before, after := near[max(i-1, 0)], near[min(i+1, last)]
		two(dst, i, (3*uint(c)+uint(before)+1)>>2, (3*uint(c)+uint(after)+2)>>2)
	}
}

// widen420 does the same both across and along, in one step.
func widen420(dst, near, far []byte, _ bool) {
	far = far[:len(near)]
	before := 3*uint(near[0]) + uint(far[0])
	this := before
	for i := range near {
		after := this
		if i+1 < len(near) {
			after = 3*uint(near[i+1]) + uint(far[i+1])
		}
		two(dst, i, (3*this+before+8)>>4, (3*this+after+7)>>4)
		before, this = this, after
	}
}

// two sets the i-th pair of dst, which may end in the middle of its last.
func two(dst []byte, i int, even, odd uint) {
	if d := dst[2*i:]; len(d) >= 2 {
		d[0], d[1] = byte(even), byte(odd)
	} else {
		d[0] = byte(even)
	}
}

// widen440 has as many samples in a row as there are pixels.
func widen440(dst, near, far []byte, lower bool) {
	bias := uint(1)
	if lower {
		bias = 2
	}
	for i := range dst {
		dst[i] = byte((3*uint(near[i]) + uint(far[i]) + bias) >> 2)
	}
}

// repeat makes n of each sample.
func repeat(n int) widener {
	return func(dst, near, _ []byte, _ bool) {
		for i := range dst {
			dst[i] = near[i/n]
		}
	}
}

// rowFromJPEG converts full-range BT.601 in 16 binary places.
func rowFromJPEG(dst, luma, cb, cr []byte) {
	const half = 1 << 15
	cb, cr = cb[:len(luma)], cr[:len(luma)]
	for i, l := range luma {
		if len(dst) < 4 {
			break // never; the compiler cannot know
		}
		y, b, r := int32(l), int32(cb[i])-128, int32(cr[i])-128
		dst[0] = clip(y + (91881*r+half)>>16)
		dst[1] = clip(y + (-22554*b-46802*r+half)>>16)
		dst[2] = clip(y + (116130*b+half)>>16)
		dst[3] = 255
		dst = dst[4:]
	}
}

func clip(v int32) byte { return byte(min(max(v, 0), 255)) }
