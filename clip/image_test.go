package clip

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// The pictures in testdata/image, and what they should become, are written by
// testdata/image/generate.py with Pillow.
func TestFitGolden(t *testing.T) {
	const dir = "testdata/image"
	var cases struct {
		Inputs  []string
		Recipes []Preprocess
	}
	data, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, name := range cases.Inputs {
		img := readPNG(t, filepath.Join(dir, name+".png"))
		column := readPNG(t, filepath.Join(dir, name+".want.png"))
		for i, p := range cases.Recipes {
			want := column.SubImage(image.Rect(0, i*p.Size, p.Size, (i+1)*p.Size))
			if diff := differ(p.Fit(img), opaque(want)); diff != "" {
				t.Errorf("%+v.Fit(%s.png): %s", p, name, diff)
			}
		}
	}
}

// differ says where got, of want's size, first differs from it.
func differ(got, want *image.RGBA) string {
	if got.Rect != want.Rect {
		return fmt.Sprintf("got %v, want %v", got.Rect, want.Rect)
	}
	for y := range want.Rect.Dy() {
		for x := range want.Rect.Dx() {
			if g, w := got.RGBAAt(x, y), want.RGBAAt(x, y); g != w {
				return fmt.Sprintf("got %v at (%d,%d), want %v", g, x, y, w)
			}
		}
	}
	return ""
}

func readPNG(t *testing.T, name string) *image.RGBA {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return opaque(img)
}

func TestFitReturnsWhatFits(t *testing.T) {
	for _, size := range []int{1, 8, 224} {
		p := Preprocess{Size: size}
		once := p.Fit(gradient(3*size+1, 2*size+5))
		if twice := p.Fit(once); twice != once {
			t.Errorf("size %d: Fit copies a picture that fits", size)
		}
	}
}

func TestFitOfAnyKind(t *testing.T) {
	p := Preprocess{Size: 9}
	base := gradient(31, 23)
	nrgba := image.NewNRGBA(base.Rect)
	framed := image.NewRGBA(image.Rect(-3, -4, 40, 40))
	draw.Draw(framed, base.Rect.Add(image.Pt(5, 6)), base, image.Point{}, draw.Src)
	for y := range 23 {
		for x := range 31 {
			c := base.RGBAAt(x, y)
			nrgba.SetNRGBA(x, y, color.NRGBA{c.R, c.G, c.B, uint8(x * y)}) // the colour stays, however transparent
		}
	}
	want := p.Fit(base)
	for name, img := range map[string]image.Image{
		"opaque NRGBA of other alpha": dropsAlpha{nrgba},
		"part of an RGBA":             framed.SubImage(image.Rect(5, 6, 36, 29)),
	} {
		if diff := differ(p.Fit(img), want); diff != "" {
			t.Errorf("Fit(%s): %s", name, diff)
		}
	}
	if got := p.Fit(image.NewRGBA(image.Rect(0, 0, 0, 7))); got.Rect.Dx() != 9 || !got.Opaque() {
		t.Errorf("Fit of an empty picture: %v, want an opaque one of size 9", got.Rect)
	}
}

// dropsAlpha hides what kind of picture it holds.
type dropsAlpha struct{ image.Image }

func TestFitOfExtremeShapes(t *testing.T) {
	for _, recipe := range []Preprocess{{Size: 224}, {Size: 7, Resize: "squash", Interpolation: "bilinear"}, {Size: 1}} {
		for _, size := range [][2]int{{1, 1}, {1, 40000}, {40000, 1}, {2, 4097}, {4097, 223}, {224, 223}} {
			img := image.NewRGBA(image.Rect(0, 0, size[0], size[1]))
			draw.Draw(img, img.Rect, image.NewUniform(color.RGBA{9, 200, 255, 255}), image.Point{}, draw.Src)
			got := recipe.Fit(img)
			for i := range len(got.Pix) / 4 {
				if c := [4]byte(got.Pix[4*i:]); c != [4]byte{9, 200, 255, 255} {
					t.Fatalf("%+v.Fit(%v of one colour): %v at %d", recipe, size, c, i)
				}
			}
		}
	}
}

// Whatever the size, the weights of an output add up to one and read inside the
// picture: else a uniform picture would change its brightness.
// A strip of millions of pixels, which a small file can hold, is not worth the memory
// of its taps: what is left out of it is not seen in the result.
func TestFitOfStrips(t *testing.T) {
	const long = 8 << 20
	for _, size := range []image.Point{{long, 1}, {1, long}} {
		strip := image.NewRGBA(image.Rectangle{Max: size})
		for i := range long {
			c := color.RGBA{R: 200, A: 255}
			if i >= long/2 {
				c = color.RGBA{B: 100, A: 255}
			}
			copy(strip.Pix[4*i:], []byte{c.R, c.G, c.B, c.A})
		}
		for _, resize := range []string{"squash", "longest", "shortest"} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := Preprocess{Size: 32, Resize: resize}.Fit(strip)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
				t.Errorf("%s of %v took %d MB", resize, size, used>>20)
			}
			if resize != "squash" {
				continue // the middle is all that is seen, or next to nothing
			}
			first, last := image.Pt(4, 16), image.Pt(28, 16)
			if size.X == 1 {
				first, last = image.Pt(16, 4), image.Pt(16, 28)
			}
			if a, b := got.RGBAAt(first.X, first.Y), got.RGBAAt(last.X, last.Y); a != (color.RGBA{R: 200, A: 255}) || b != (color.RGBA{B: 100, A: 255}) {
				t.Errorf("%s of %v: %v at one end, %v at the other", resize, size, a, b)
			}
		}
	}
}

func TestTaps(t *testing.T) {
	for _, k := range []kernel{{1, triangle}, {2, cubic}} {
		for in := 1; in < 70; in += 3 {
			for out := 1; out < 70; out += 2 {
				for i, tap := range k.taps(in, out, 0, out) {
					sum, end := 0.0, tap.first+len(tap.weights)
					for _, w := range tap.weights {
						sum += float64(w) / (1 << precision)
					}
					if math.Abs(sum-1) > 1e-5 || tap.first < 0 || end <= tap.first || end > in {
						t.Fatalf("support %v, %d to %d: output %d has inputs %d to %d with weights of sum %v", k.support, in, out, i, tap.first, end, sum)
					}
				}
			}
		}
	}
}

func TestNormalize(t *testing.T) {
	p := Preprocess{Size: 2, Mean: [3]float64{0, 0.5, 0.25}, Std: [3]float64{1, 0.5, 0.25}}
	img := image.NewRGBA(image.Rect(0, 0, 2, 2))
	img.SetRGBA(1, 0, color.RGBA{255, 255, 255, 255})
	img.SetRGBA(0, 1, color.RGBA{51, 0, 102, 255})
	got := make([]float32, 12)
	p.Normalize(got, img)
	want := []float32{0, 1, 0.2, 0, -1, 1, -1, -1, -1, 3, 0.6, -1}
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-6 {
			t.Fatalf("Normalize: got %v, want %v", got, want)
		}
	}
}

func TestNormalizeRefusesAnotherSize(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Normalize took a 3x2 picture for size 2")
		}
	}()
	Preprocess{Size: 2}.Normalize(make([]float32, 12), image.NewRGBA(image.Rect(0, 0, 3, 2)))
}

func gradient(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(255 * x / w), uint8(255 * y / h), uint8(37*x ^ 11*y), 255})
		}
	}
	return img
}

func BenchmarkFit(b *testing.B) {
	p := Preprocess{Size: 224}
	for _, size := range [][2]int{{500, 375}, {4000, 3000}} {
		img := gradient(size[0], size[1])
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			for b.Loop() {
				p.Fit(img)
			}
		})
	}
}

func BenchmarkNormalize(b *testing.B) {
	p := Preprocess{Size: 224, Std: [3]float64{1, 1, 1}}
	img, dst := gradient(224, 224), make([]float32, 3*224*224)
	for b.Loop() {
		p.Normalize(dst, img)
	}
}

// Fit of the shortest side is a resize of which the middle is kept.
func TestResizeIsWhatFitCuts(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 31, 58))
	for i := range img.Pix {
		img.Pix[i] = byte(i*i/7) | byte(i%4/3*255)
	}
	fit, whole := Preprocess{Size: 16}.Fit(img), Resize(img, 16, 29)
	for y := range 16 {
		if got, want := whole.Pix[(y+6)*whole.Stride:][:64], fit.Pix[y*fit.Stride:][:64]; !bytes.Equal(got, want) {
			t.Fatalf("row %d of 16 differs from what Fit keeps", y)
		}
	}
	if Resize(img, 31, 58) != img {
		t.Error("a picture that has the sides is copied")
	}
}
