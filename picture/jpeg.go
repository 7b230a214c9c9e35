package picture

import (
	"bytes"
	"encoding/binary"
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
	before, this := uint32(near[0]), uint32(near[0])
	for i := range near {
		after := this
		if i+1 < len(near) {
			after = uint32(near[i+1])
		}
		d := dst[2*i : 2*i+2 : 2*i+2]
		d[0] = byte((3*this + before + 1) >> 2)
		d[1] = byte((3*this + after + 2) >> 2)
		before, this = this, after
	}
}

// widen420 does the same both across and along, in one step.
func widen420(dst, near, far []byte, _ bool) {
	far = far[:len(near)]
	this := 3*uint32(near[0]) + uint32(far[0])
	before := this
	for i := range near {
		after := this
		if i+1 < len(near) {
			after = 3*uint32(near[i+1]) + uint32(far[i+1])
		}
		d := dst[2*i : 2*i+2 : 2*i+2]
		d[0] = byte((3*this + before + 8) >> 4)
		d[1] = byte((3*this + after + 7) >> 4)
		before, this = this, after
	}
}

// widen440 has as many samples in a row as there are pixels.
func widen440(dst, near, far []byte, lower bool) {
	bias := uint32(1)
	if lower {
		bias = 2
	}
	far, dst = far[:len(near)], dst[:len(near)]
	for i, c := range near {
		dst[i] = byte((3*uint32(c) + uint32(far[i]) + bias) >> 2)
	}
}

// repeat makes n of each sample.
func repeat(n int) widener {
	return func(dst, near, _ []byte, _ bool) {
		for i, c := range near {
			for j := range n {
				dst[n*i+j] = c
			}
		}
	}
}

// rowFromJPEG converts full-range BT.601 in 16 binary places.
func rowFromJPEG(dst, luma, cb, cr []byte) {
	const half = 1 << 15
	cb, cr = cb[:len(luma)], cr[:len(luma)]
	for i, l := range luma {
		y, b, r := int32(l), int32(cb[i])-128, int32(cr[i])-128
		put(dst, i,
			y+(91881*r+half)>>16,
			y+(-22554*b-46802*r+half)>>16,
			y+(116130*b+half)>>16)
	}
}

// put sets the i-th pixel of dst, clipped.
func put(dst []byte, i int, r, g, b int32) {
	if uint32(r|g|b) > 255 { // not often
		r, g, b = min(max(r, 0), 255), min(max(g, 0), 255), min(max(b, 0), 255)
	}
	binary.LittleEndian.PutUint32(dst[4*i:4*i+4:4*i+4], uint32(r|g<<8|b<<16)|0xff<<24)
}
