package picture

import (
	"bytes"
	"errors"
	"image"
	"image/gif"
)

// decodeGIF decodes the first frame, on a screen that is otherwise of one
// colour: the transparent one where there is one, else the first. As alpha is
// dropped, transparent pixels have the colour that the file gives them, which
// image/gif does not tell.
func decodeGIF(file []byte) (*image.RGBA, error) {
	img, err := gif.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	frame, ok := img.(*image.Paletted)
	if !ok {
		return opaque(img, nil)
	}
	screen := image.Rect(0, 0, le16(file, 6), le16(file, 8))
	table, clear, err := gifColors(file)
	if err != nil {
		return nil, err
	}
	var colors [256][3]byte
	for i := 0; i+3 <= len(table) && i < 3*256; i += 3 {
		colors[i/3] = [3]byte(table[i:])
	}
	whole := image.NewPaletted(screen, nil)
	for i := range whole.Pix {
		whole.Pix[i] = clear
	}
	for y := frame.Rect.Min.Y; y < frame.Rect.Max.Y; y++ {
		copy(whole.Pix[whole.PixOffset(frame.Rect.Min.X, y):], frame.Pix[frame.PixOffset(frame.Rect.Min.X, y):][:frame.Rect.Dx()])
	}
	dst := image.NewRGBA(screen)
	eachRow(dst, whole.Pix, whole.Stride, 1, func(to, from []byte) { copy(to, colors[from[0]][:]) })
	return cleared(dst), nil
}

// gifColors walks to the first frame and returns its colour table and its
// transparent colour, or 0.
func gifColors(file []byte) (table []byte, transparent byte, err error) {
	at := 13
	if flags := file[10]; flags&0x80 != 0 {
		n := 3 << (flags&7 + 1)
		table = file[at : at+n]
		at += n
	}
	for at+10 < len(file) {
		switch file[at] {
		case 0x21: // an extension: its label, then blocks
			if file[at+1] == 0xf9 && file[at+3]&1 != 0 {
				transparent = file[at+6]
			}
			for at += 2; at < len(file) && file[at] != 0; {
				at += 1 + int(file[at])
			}
			at++
		case 0x2c: // the frame
			if flags := file[at+9]; flags&0x80 != 0 {
				table = file[at+10 : at+10+3<<(flags&7+1)]
			}
			return table, transparent, nil
		default:
			return nil, 0, errors.New("unknown block")
		}
	}
	return nil, 0, errors.New("no frame")
}

func le16(b []byte, at int) int { return int(b[at]) | int(b[at+1])<<8 }
