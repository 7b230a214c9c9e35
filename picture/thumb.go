package picture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"

	"github.com/clipsearch/clipsearch"
)

const thumbQuality = 80

// Thumb returns img as a JPEG whose longer side is at most side. A smaller
// picture is not enlarged.
func Thumb(img *image.RGBA, side int) ([]byte, error) {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	if w == 0 || h == 0 || side < 1 {
		return nil, fmt.Errorf("a thumbnail of %d pixels of a picture of %d x %d: %w", side, w, h, clipsearch.ErrInvalid)
	}
	if long := max(w, h); long > side {
		img = shrunk(img, max(1, (w*side+long/2)/long), max(1, (h*side+long/2)/long))
	}
	var b bytes.Buffer
	b.Grow(img.Rect.Dx()*img.Rect.Dy()/4 + 1024)
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: thumbQuality}); err != nil {
		return nil, fmt.Errorf("thumbnail of %d x %d pixels: %w", img.Rect.Dx(), img.Rect.Dy(), err)
	}
	return b.Bytes(), nil
}

// shrunk returns src at w x h pixels, no larger than it is. Each of them is the
// mean of the area that it covers, parts of pixels counted as parts: sharp, free
// of moire, and one look at every pixel.
func shrunk(src *image.RGBA, w, h int) *image.RGBA {
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	// Lengths are counted in parts of a pixel of src: w of them across, h down.
	sw, sh := src.Rect.Dx(), src.Rect.Dy()
	row, sum := make([]uint64, 3*w), make([]uint64, 3*w)
	area := uint64(sw) * uint64(sh)
	for y, left, to := 0, sh, 0; y < sh; y++ {
		acrossRow(row, src.Pix[y*src.Stride:][:4*sw], w)
		for part := h; part > 0; {
			n := min(part, left)
			for i, v := range row {
				sum[i] += v * uint64(n)
			}
			part -= n
			if left -= n; left == 0 {
				store(dst.Pix[to*dst.Stride:], sum, area)
				clear(sum)
				left, to = sh, to+1
			}
		}
	}
	return dst
}

// acrossRow writes the sums of row's values over w columns, each pixel counted
// w times in all.
func acrossRow(sums []uint64, row []byte, w int) {
	length, left := len(row)/4, len(row)/4 // of a column, of it still to come
	var r0, g0, b0 uint64                  // of the part of a pixel that it begins with
	for len(sums) >= 3 {
		whole := (left - 1) / w // pixels; the next one ends the column
		redBlue, green := sumOf(row[:4*whole])
		left -= whole * w
		last := row[4*whole:][:4]
		here, there := uint64(left), uint64(w-left)
		r, g, b := uint64(last[0]), uint64(last[1]), uint64(last[2])
		sums[0] = r0 + redBlue&0xffffffff*uint64(w) + r*here
		sums[1] = g0 + green*uint64(w) + g*here
		sums[2] = b0 + redBlue>>32*uint64(w) + b*here
		r0, g0, b0 = r*there, g*there, b*there
		row, sums, left = row[4*whole+4:], sums[3:], length-int(there)
	}
}

// sumOf adds up pixels: red and, 32 bits up, blue in one number.
func sumOf(row []byte) (redBlue, green uint64) {
	for i := 0; i+4 <= len(row); i += 4 {
		p := uint64(binary.LittleEndian.Uint32(row[i : i+4 : i+4]))
		redBlue += p&0xff | p&0xff0000<<16
		green += p >> 8 & 0xff
	}
	return redBlue, green
}

func store(to []byte, sum []uint64, area uint64) {
	for i := 0; i+3 <= len(sum); i += 3 {
		p := to[i/3*4:][:4]
		p[0] = byte((sum[i] + area/2) / area)
		p[1] = byte((sum[i+1] + area/2) / area)
		p[2] = byte((sum[i+2] + area/2) / area)
		p[3] = 255
	}
}

// ServesAsThumb reports whether a file can be its own thumbnail: a baseline JPEG
// of at most maxBytes whose sides are at most side, and that holds nothing but
// the picture. Whoever shows it gives nothing else away, such as a place: not in
// EXIF or XMP, not in a comment, not behind the picture's end.
func ServesAsThumb(file []byte, info Info, side, maxBytes int) bool {
	return info.Format == "jpeg" && info.Orientation == 1 && max(info.Width, info.Height) <= side &&
		len(file) <= maxBytes && pureBaseline(file)
}

// pureBaseline walks through the segments of a JPEG, of which it knows those
// that a plain picture needs.
func pureBaseline(file []byte) bool {
	seen := false // the header of a frame
	for at := 2; at+4 <= len(file) && file[at] == 0xff; {
		marker, length := file[at+1], int(file[at+2])<<8|int(file[at+3])
		end := at + 2 + length
		if length < 2 || end > len(file) {
			return false
		}
		body := file[at+4 : end]
		switch marker {
		case 0xc4, 0xdb, 0xdd: // tables, restart interval
		case 0xe0: // JFIF without a preview
			if len(body) != 14 || !bytes.HasPrefix(body, []byte("JFIF\x00")) {
				return false
			}
		case 0xc0: // baseline, grey or in three colours
			if seen || len(body) < 6 || body[5] != 1 && body[5] != 3 {
				return false
			}
			seen = true
		case 0xda:
			end = scanEnd(file, end)
			if end+2 == len(file) && file[end+1] == 0xd9 {
				return seen
			}
		default:
			return false
		}
		at = end
	}
	return false
}

// scanEnd returns where the first marker lies behind the compressed data that
// begins at from.
func scanEnd(file []byte, from int) int {
	for at := from; at+1 < len(file); at++ {
		if next := file[at+1]; file[at] == 0xff && next != 0 && (next < 0xd0 || next > 0xd7) {
			return at
		}
	}
	return len(file)
}
