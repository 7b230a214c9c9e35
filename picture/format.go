package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"strings"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"github.com/clipsearch/clipsearch"
)

// format is a kind of file that can be read.
type format struct {
	name       string
	extensions []string
	begins     []string // a question mark stands for any byte
	config     func(file []byte) (image.Config, error)
	decode     func(file []byte) (*image.RGBA, error)
	least      func(file []byte, c image.Config) int64 // bytes that any such picture takes; nil: there is no such bound
}

func formats() []format {
	return []format{
		{"jpeg", []string{".jpg", ".jpeg", ".jpe", ".jfif"}, []string{"\xff\xd8\xff"}, config(jpeg.DecodeConfig), decodeJPEG, leastJPEG},
		{"png", []string{".png"}, []string{"\x89PNG\r\n\x1a\n"}, config(png.DecodeConfig), decodePNG, leastPNG},
		{"gif", []string{".gif"}, []string{"GIF87a", "GIF89a"}, config(gif.DecodeConfig), decodeGIF, nil},
		{"webp", []string{".webp"}, []string{"RIFF????WEBPVP8"}, config(webp.DecodeConfig), decodeWebP, nil},
		{"bmp", []string{".bmp", ".dib"}, []string{"BM????\x00\x00\x00\x00"}, config(bmp.DecodeConfig), decodeBMP, leastBMP},
		{"tiff", []string{".tif", ".tiff"}, []string{"II*\x00", "MM\x00*"}, config(tiff.DecodeConfig), decodeTIFF, leastTIFF},
	}
}

// config makes a function of bytes of one that reads.
func config(read func(io.Reader) (image.Config, error)) func([]byte) (image.Config, error) {
	return func(file []byte) (image.Config, error) { return read(bytes.NewReader(file)) }
}

// A file that has less than the least bytes lies about its size, and need not be
// given the room it asks for.

// leastJPEG counts a bit for each block of 8 x 8 pixels.
func leastJPEG(_ []byte, c image.Config) int64 {
	return int64(c.Width) * int64(c.Height) / 64 / 8
}

// leastPNG counts on deflate, which shrinks 1032-fold at best.
func leastPNG(file []byte, c image.Config) int64 {
	const depth, kind = 24, 25 // where the header has the bits of a sample and what a pixel consists of
	samples := map[byte]int64{2: 3, 4: 2, 6: 4}[file[kind]]
	return int64(c.Width) * int64(c.Height) * int64(file[depth]) * max(samples, 1) / 8 / 1032
}

// leastBMP counts a bit for each pixel: what bmp reads is not compressed.
func leastBMP(_ []byte, c image.Config) int64 { return int64(c.Width) * int64(c.Height) / 8 }

// leastTIFF counts on LZW, which shrinks less than 4096-fold. Black and white
// may be a fax, whose rows can take a bit each.
func leastTIFF(_ []byte, c image.Config) int64 {
	if c.ColorModel == color.GrayModel || c.ColorModel == color.Gray16Model {
		return 0
	}
	return int64(c.Width) * int64(c.Height) / 8 / 4096
}

// formatOf tells a file's format by how it begins.
func formatOf(file []byte) (format, error) {
	if len(file) == 0 {
		return format{}, fmt.Errorf("empty file: %w", clipsearch.ErrInvalid)
	}
	for _, f := range formats() {
		for _, b := range f.begins {
			if matches(file, b) {
				return f, nil
			}
		}
	}
	if name := unread(file); name != "" {
		return format{}, fmt.Errorf("%s is not read here: convert the file to JPEG or PNG: %w", name, clipsearch.ErrInvalid)
	}
	return format{}, fmt.Errorf("no picture: the file begins with %+q: %w", file[:min(len(file), 12)], clipsearch.ErrInvalid)
}

// unread names formats of pictures that people have and that are not read.
func unread(file []byte) string {
	for _, f := range []struct{ begins, name string }{
		{"????ftyphei", "HEIC"}, {"????ftyphev", "HEIC"}, {"????ftypmif1", "HEIC"}, {"????ftypavi", "AVIF"},
		{"\x00\x00\x00\x0cJXL ", "JPEG XL"}, {"\xff\x0a", "JPEG XL"}, {"\x00\x00\x00\x0cjP  ", "JPEG 2000"},
		{"8BPS", "a Photoshop document"}, {"%PDF-", "PDF"}, {"<svg", "SVG"}, {"<?xml", "XML (SVG?)"},
	} {
		if matches(file, f.begins) {
			return f.name
		}
	}
	return ""
}

func matches(file []byte, begins string) bool {
	if len(file) < len(begins) {
		return false
	}
	for i, c := range []byte(begins) {
		if c != '?' && file[i] != c {
			return false
		}
	}
	return true
}

// trimmed drops what a decoder says of its format in front of its complaint.
func trimmed(name, complaint string) string {
	complaint = strings.Join(strings.Fields(complaint), " ")
	for _, prefix := range []string{name + ": ", "invalid JPEG format: ", "invalid format: "} {
		complaint = strings.TrimPrefix(complaint, prefix)
	}
	return complaint
}

func decodePNG(file []byte) (*image.RGBA, error) {
	return opaque(png.Decode(bytes.NewReader(file)))
}

func decodeBMP(file []byte) (*image.RGBA, error) {
	return opaque(bmp.Decode(bytes.NewReader(file)))
}

func decodeTIFF(file []byte) (*image.RGBA, error) {
	return opaque(tiff.Decode(bytes.NewReader(file)))
}
