package picture

import (
	"bytes"
	"image"

	"golang.org/x/image/webp"
)

// decodeWebP decodes as libwebp does by default: lossy pictures with
// interpolated chroma and values of limited range. Of an animation it decodes
// the first frame.
func decodeWebP(file []byte) (*image.RGBA, error) {
	f, animated, err := firstFrame(file)
	if err != nil {
		return nil, err
	}
	if !animated {
		return stillRGBA(file)
	}
	img, err := stillRGBA(f.still)
	if err != nil {
		return nil, err
	}
	return f.onCanvas(img), nil
}

func stillRGBA(file []byte) (*image.RGBA, error) {
	img, err := webp.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	switch src := img.(type) {
	case *image.YCbCr:
		return toRGBA(src, 2, widenWebP, rowFromWebP), nil
	case *image.NYCbCrA:
		return toRGBA(&src.YCbCr, 2, widenWebP, rowFromWebP), nil
	}
	return opaque(img, nil)
}

// widenWebP weighs the four nearest samples 9:3:3:1, in two steps that round
// down each. Pixels lie between samples, but for the first and the last.
func widenWebP(dst, near, far []byte, _ bool) {
	far = far[:len(near)]
	n, f := uint32(near[0]), uint32(far[0])
	dst[0] = byte((3*n + f + 2) >> 2)
	for i := 1; i < len(near); i++ {
		n1, f1 := uint32(near[i]), uint32(far[i])
		sum := n + n1 + f + f1 + 8
		d := dst[2*i-1 : 2*i+1 : 2*i+1]
		d[0] = byte(((sum+2*(n1+f))>>3 + n) >> 1)
		d[1] = byte(((sum+2*(n+f1))>>3 + n1) >> 1)
		n, f = n1, f1
	}
	dst[2*len(near)-1] = byte((3*n + f + 2) >> 2)
}

// rowFromWebP converts BT.601 of limited range.
func rowFromWebP(dst, luma, u, v []byte) {
	u, v = u[:len(luma)], v[:len(luma)]
	for i, l := range luma {
		y, b, r := 19077*int32(l)>>8, int32(u[i]), int32(v[i])
		put(dst, i,
			(y+26149*r>>8-14234)>>6,
			(y-6419*b>>8-13320*r>>8+8708)>>6,
			(y+33050*b>>8-17685)>>6)
	}
}
