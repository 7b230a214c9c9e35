package main

import (
	"bufio"
	"context"
	"fmt"
	"image"
	"io"

	"golang.org/x/image/draw"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/picture"
)

// preview shows a picture's thumbnail in any terminal that knows 24-bit colours:
// a character cell is two pixels, the upper half block's fore- and background.
func (a *app) preview(ctx context.Context, lib *collection, id clipsearch.ID) error {
	const columns, rows = 48, 20
	data, err := lib.Thumb(ctx, id)
	if err != nil {
		return err
	}
	img, _, err := picture.Decode(data, picture.Options{})
	if err != nil {
		return fmt.Errorf("thumbnail of %s: %w", id, err)
	}
	return halfBlocks(a.stdout, shrink(img, columns, 2*rows))
}

// shrink brings img into w × h pixels, keeping its shape; the height is even.
func shrink(img image.Image, w, h int) *image.RGBA {
	b := img.Bounds()
	if b.Dx()*h > b.Dy()*w {
		h = max(1, b.Dy()*w/b.Dx())
	} else {
		w = max(1, b.Dx()*h/b.Dy())
	}
	small := image.NewRGBA(image.Rect(0, 0, w, h+h%2))
	draw.CatmullRom.Scale(small, small.Bounds(), img, b, draw.Src, nil)
	return small
}

func halfBlocks(w io.Writer, img *image.RGBA) error {
	out := bufio.NewWriter(w)
	b := img.Bounds()
	for y := b.Min.Y; y+1 < b.Max.Y; y += 2 {
		out.WriteString("     ")
		for x := b.Min.X; x < b.Max.X; x++ {
			up, down := img.RGBAAt(x, y), img.RGBAAt(x, y+1)
			fmt.Fprintf(out, "\x1b[38;2;%d;%d;%dm\x1b[48;2;%d;%d;%dm▀", up.R, up.G, up.B, down.R, down.G, down.B)
		}
		out.WriteString("\x1b[0m\n")
	}
	return out.Flush()
}
