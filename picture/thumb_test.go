package picture

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch"
)

func TestThumbSize(t *testing.T) {
	for _, c := range []struct{ w, h, side, wantW, wantH int }{
		{400, 300, 100, 100, 75},
		{300, 400, 100, 75, 100},
		{101, 100, 100, 100, 99},
		{100, 100, 100, 100, 100},
		{20, 10, 100, 20, 10},
		{5000, 3, 100, 100, 1},
		{1, 7777, 256, 1, 256},
		{640, 427, 320, 320, 214},
		{3, 2, 1, 1, 1},
	} {
		b, err := Thumb(ramp(c.w, c.h), c.side)
		if err != nil {
			t.Fatal(err)
		}
		got, info, err := Decode(b, Options{})
		if err != nil || info.Format != "jpeg" || got.Rect != image.Rect(0, 0, c.wantW, c.wantH) {
			t.Errorf("Thumb(%d x %d, %d): %v %v, want %d x %d", c.w, c.h, c.side, got.Rect, err, c.wantW, c.wantH)
		}
	}
}

func TestThumbRefuses(t *testing.T) {
	for _, c := range []struct{ w, h, side int }{{0, 0, 10}, {5, 5, 0}, {5, 5, -1}} {
		if b, err := Thumb(image.NewRGBA(image.Rect(0, 0, c.w, c.h)), c.side); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("Thumb(%d x %d, %d): %d bytes, %v, want ErrInvalid", c.w, c.h, c.side, len(b), err)
		}
	}
}

// Each pixel of a smaller picture is the mean of what it covers, counted here
// the slow way: every pixel is cut into w x h parts.
func TestShrunk(t *testing.T) {
	for _, c := range []struct{ sw, sh, w, h int }{{7, 5, 3, 2}, {8, 8, 2, 4}, {5, 9, 5, 4}, {13, 3, 4, 1}, {6, 6, 6, 6}, {9, 1, 2, 1}} {
		src := ramp(c.sw, c.sh)
		got := shrunk(src, c.w, c.h)
		for y := range c.h {
			for x := range c.w {
				if g, want := got.RGBAAt(x, y), meanOf(src, c.w, c.h, x, y); g != want {
					t.Fatalf("shrunk(%d x %d, %d x %d): %v at (%d,%d), want %v", c.sw, c.sh, c.w, c.h, g, x, y, want)
				}
			}
		}
	}
}

func meanOf(src *image.RGBA, w, h, x, y int) color.RGBA {
	sw, sh := src.Rect.Dx(), src.Rect.Dy()
	var r, g, b int
	for v := y * sh; v < (y+1)*sh; v++ {
		for u := x * sw; u < (x+1)*sw; u++ {
			p := src.RGBAAt(u/w, v/h)
			r, g, b = r+int(p.R), g+int(p.G), b+int(p.B)
		}
	}
	n := sw * sh
	return color.RGBA{uint8((r + n/2) / n), uint8((g + n/2) / n), uint8((b + n/2) / n), 255}
}

func TestServesAsThumb(t *testing.T) {
	plain := read(t, "testdata/pictures/37x29_420.jpg")
	ownThumb, err := Thumb(ramp(37, 29), 64)
	if err != nil {
		t.Fatal(err)
	}
	with := func(segment string) []byte { return slices.Concat(plain[:2], []byte(segment), plain[2:]) }
	for _, c := range []struct {
		name string
		file []byte
		want bool
	}{
		{"plain", plain, true},
		{"one of our own", ownThumb, true},
		{"in grey", read(t, "testdata/pictures/gray.jpg"), true},
		{"with restart markers", read(t, "testdata/pictures/restart.jpg"), true},
		{"progressive", read(t, "testdata/pictures/progressive.jpg"), false},
		{"of four inks", read(t, "testdata/pictures/cmyk.jpg"), false},
		{"with EXIF", read(t, "testdata/pictures/exif.jpg"), false},
		{"with an empty APP1", with("\xff\xe1\x00\x02"), false},
		{"with a comment", with("\xff\xfe\x00\x06home"), false},
		{"with a preview", with("\xff\xe0\x00\x10JFXX\x00\x10........"), false},
		{"with something behind the end", append(slices.Clone(plain), "GPS"...), false},
		{"with a second picture", slices.Concat(plain, plain), false},
		{"without its end", plain[:len(plain)-2], false},
		{"with its end alone missing a byte", plain[:len(plain)-1], false},
		{"PNG", read(t, "testdata/pictures/rgb.png"), false},
	} {
		info, err := Probe(c.file)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := ServesAsThumb(c.file, info, 64, 1<<20); got != c.want {
			t.Errorf("ServesAsThumb(%s) = %v, want %v", c.name, got, c.want)
		}
	}
	info := Info{Format: "jpeg", Width: 37, Height: 29, Orientation: 1}
	turned := info
	turned.Orientation = 3
	if ServesAsThumb(plain, info, 36, 1<<20) || ServesAsThumb(plain, info, 37, len(plain)-1) || ServesAsThumb(plain, turned, 64, 1<<20) {
		t.Error("a picture that is too wide, too long or not upright serves as thumbnail")
	}
	if !ServesAsThumb(plain, info, 37, len(plain)) {
		t.Error("a picture of just the size allowed does not serve as thumbnail")
	}
}

func ramp(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(255 * x / w), uint8(255 * y / h), uint8(41*x ^ 13*y), 255})
		}
	}
	return img
}

func BenchmarkThumb(b *testing.B) {
	for name, img := range map[string]*image.RGBA{"224x224": ramp(224, 224), "4000x3000": ramp(4000, 3000)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Thumb(img, 320); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A picture of noise on a gradient takes about as long as a photograph of as
// many bytes.
func BenchmarkDecode(b *testing.B) {
	for name, size := range map[string]image.Point{"224x224": {224, 224}, "4000x3000": {4000, 3000}} {
		img := ramp(size.X, size.Y)
		for i := range img.Pix {
			if i%4 != 3 {
				img.Pix[i] = img.Pix[i]/4*3 + uint8(i*i>>7%64)
			}
		}
		var file bytes.Buffer
		if err := jpeg.Encode(&file, img, &jpeg.Options{Quality: 85}); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(size.X * size.Y))
			for b.Loop() {
				if _, _, err := Decode(file.Bytes(), Options{Upright: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
