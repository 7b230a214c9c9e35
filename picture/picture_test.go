package picture

import (
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testdata/pictures, and in testdata/want what Pillow makes of each of them, are
// written by testdata/generate.py.
func TestDecodeGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/pictures/*")
	if err != nil || len(names) == 0 {
		t.Fatalf("no pictures: %v", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			got, info, err := Decode(read(t, name), Options{Upright: true})
			if err != nil {
				t.Fatal(err)
			}
			want := readPNG(t, filepath.Join("testdata/want", filepath.Base(name)+".png"))
			if got.Rect != want.Rect || info.Width != got.Rect.Dx() || info.Height != got.Rect.Dy() {
				t.Fatalf("got %v, info says %d x %d, want %v", got.Rect, info.Width, info.Height, want.Rect)
			}
			mean, most := difference(got, want)
			limit, each := 0.0, 0
			if strings.HasSuffix(name, ".jpg") {
				limit, each = 0.15, 3 // the inverse transform rounds a little otherwise than libjpeg's
			}
			if mean > limit || most > each {
				t.Errorf("differs from Pillow's by %.3f on average and %d at most, want %v and %d", mean, most, limit, each)
			}
			if !got.Opaque() {
				t.Error("is not opaque")
			}
		})
	}
}

// difference returns how far the values of two pictures of one size lie apart.
func difference(a, b *image.RGBA) (mean float64, most int) {
	sum := 0
	for i := range a.Pix {
		d := int(a.Pix[i]) - int(b.Pix[i])
		d = max(d, -d)
		sum += d
		most = max(most, d)
	}
	return float64(sum) / float64(len(a.Pix)) * 4 / 3, most
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readPNG(t *testing.T, name string) *image.RGBA {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := opaque(png.Decode(f))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return img
}
