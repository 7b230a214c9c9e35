package doctor

import (
	"embed"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"sync"

	"github.com/clipsearch/clipsearch/picture"
)

//go:embed photos/*.jpg photos/captions.json
var photoFiles embed.FS

// album holds the photographs that come with the program, and what they show.
type album struct {
	Names    []string            `json:"photos"`
	Captions map[string][]string `json:"captions"` // by language; one for each photograph
	Colours  []colour            `json:"colours"`
	photos   []image.Image
}

// colour is a picture with words for it, and words for what it is with red and blue
// exchanged.
type colour struct {
	Photo   string   `json:"photo"`
	RGB     [3]uint8 `json:"rgb"` // a plain field, where no photo is named
	Says    string   `json:"says"`
	Swapped string   `json:"swapped"`
}

// readAlbum reads it once; what it holds must not be written to.
var readAlbum = sync.OnceValue(func() *album {
	a := new(album)
	data, err := photoFiles.ReadFile("photos/captions.json")
	if err == nil {
		err = json.Unmarshal(data, a)
	}
	if err != nil {
		panic(fmt.Sprintf("doctor: captions: %v", err)) // they are a part of the program
	}
	for _, name := range a.Names {
		data, err := photoFiles.ReadFile("photos/" + name + ".jpg")
		if err != nil {
			panic(fmt.Sprintf("doctor: %v", err))
		}
		img, _, err := picture.Decode(data, picture.Options{})
		if err != nil {
			panic(fmt.Sprintf("doctor: photograph %s: %v", name, err))
		}
		a.photos = append(a.photos, img)
	}
	return a
})

// Photos returns the photographs that come with the program, each whole and in four
// parts: pictures to measure [Drift] on where there are none of one's own.
func Photos() []image.Image {
	var list []image.Image
	for _, img := range readAlbum().photos {
		list = append(list, img)
		r := img.Bounds()
		w, h := r.Dx()*2/3, r.Dy()*2/3
		for _, at := range []image.Point{{}, {X: r.Dx() - w}, {Y: r.Dy() - h}, {X: r.Dx() - w, Y: r.Dy() - h}} {
			part := image.NewRGBA(image.Rect(0, 0, w, h))
			draw.Draw(part, part.Rect, img, r.Min.Add(at), draw.Src)
			list = append(list, part)
		}
	}
	return list
}

// picture returns what a colour shows.
func (c colour) picture(a *album) image.Image {
	for i, name := range a.Names {
		if name == c.Photo {
			return a.photos[i]
		}
	}
	field := image.NewRGBA(image.Rect(0, 0, 64, 64))
	draw.Draw(field, field.Rect, image.NewUniform(color.RGBA{c.RGB[0], c.RGB[1], c.RGB[2], 255}), image.Point{}, draw.Src)
	return field
}

// blueFirst exchanges red and blue.
func blueFirst(img image.Image) *image.RGBA {
	r := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, r.Dx(), r.Dy()))
	draw.Draw(out, out.Rect, img, r.Min, draw.Src)
	for i := 0; i < len(out.Pix); i += 4 {
		out.Pix[i], out.Pix[i+2] = out.Pix[i+2], out.Pix[i]
	}
	return out
}
