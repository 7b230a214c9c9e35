package picture

import (
	"encoding/binary"
	"errors"
	"image"
	"image/draw"
)

var errWebP = errors.New("broken animation")

// frame is one of an animation.
type frame struct {
	still         []byte // a file of its own
	place, canvas image.Rectangle
}

// firstFrame finds the first frame of an animated WebP. For a still picture, and
// for what cannot be told, ok is false.
func firstFrame(file []byte) (f frame, ok bool, err error) {
	for rest := file[12:]; ; {
		name, body, next, err := riffChunk(rest)
		switch {
		case err != nil || name == "VP8 " || name == "VP8L":
			return f, false, nil
		case name == "VP8X" && len(body) >= 10:
			f.canvas = image.Rectangle{Max: sizeAt(body[4:])}
		case name == "ANMF":
			const header = 16
			if len(body) < header {
				return f, false, errWebP
			}
			at := image.Pt(2*le24(body), 2*le24(body[3:]))
			f.place = image.Rectangle{Min: at, Max: at.Add(sizeAt(body[6:]))}
			if !f.place.In(f.canvas) {
				return f, false, errWebP
			}
			f.still, err = stillWebP(body[6:12], body[header:])
			return f, err == nil, err
		}
		rest = next
	}
}

// stillWebP makes a file of a frame. Its size, six bytes in an animation as in
// an extended header, goes before it, so that the decoder holds the frame to it.
func stillWebP(size, frame []byte) ([]byte, error) {
	name, _, _, err := riffChunk(frame)
	if err != nil {
		return nil, err
	}
	var alpha byte
	if name == "ALPH" {
		alpha = 1 << 4
	}
	const extended = 4 + 8 + 10 // what comes between the file's length and the frame
	b := append(make([]byte, 0, 8+extended+len(frame)), "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(extended+len(frame)))
	b = append(b, "WEBPVP8X\x0a\x00\x00\x00"...)
	b = append(b, alpha, 0, 0, 0)
	b = append(b, size...)
	return append(b, frame...), nil
}

// riffChunk splits off the first chunk.
func riffChunk(b []byte) (name string, body, next []byte, err error) {
	if len(b) < 8 {
		return "", nil, nil, errWebP
	}
	n := int64(binary.LittleEndian.Uint32(b[4:]))
	if n > int64(len(b)-8) {
		return "", nil, nil, errWebP
	}
	body, next = b[8:8+n], b[8+n:]
	if n%2 == 1 && len(next) > 0 {
		next = next[1:]
	}
	return string(b[:4]), body, next, nil
}

func le24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

func sizeAt(b []byte) image.Point { return image.Pt(le24(b)+1, le24(b[3:])+1) }

// onCanvas returns the canvas with img, which is the frame, on it, and black
// where that leaves it free.
func (f frame) onCanvas(img *image.RGBA) *image.RGBA {
	if f.place == f.canvas {
		return img
	}
	dst := image.NewRGBA(f.canvas)
	draw.Draw(dst, f.place, img, image.Point{}, draw.Src)
	return cleared(dst)
}
