package picture

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
)

// seed adds a file of every kind, each small, and what lies about its size.
func seed(f *testing.F) {
	names, err := filepath.Glob("testdata/pictures/*")
	if err != nil || len(names) == 0 {
		f.Fatalf("no pictures: %v", err)
	}
	for _, name := range names {
		f.Add(read(f, name))
	}
	f.Add([]byte(nil))
	f.Add([]byte("II*\x00\xff\xff\xff\xff"))
	f.Add(header(pngHeader(30000, 30000)))
	f.Add(lyingJPEG())
}

func FuzzDecode(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		img, info, err := Decode(file, Options{MaxPixels: 1 << 18, Upright: true})
		if err != nil {
			wellTold(t, err)
			return
		}
		if !img.Opaque() || img.Rect.Min.X != 0 || img.Rect.Min.Y != 0 || img.Rect.Dx() != info.Width || img.Rect.Dy() != info.Height ||
			len(img.Pix) < 4*info.Width*info.Height || info.Orientation < 1 || info.Orientation > 8 {
			t.Fatalf("a picture of %v, %d bytes, %+v", img.Rect, len(img.Pix), info)
		}
	})
}

func FuzzProbe(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		info, err := Probe(file)
		if err != nil {
			wellTold(t, err)
			return
		}
		if info.Width < 1 || info.Height < 1 || strings.ContainsAny(info.Camera, "\x00\n") {
			t.Fatalf("%+v", info)
		}
		ServesAsThumb(file, info, 1<<16, 1<<20)
	})
}

func FuzzThumb(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		img, info, err := Decode(file, Options{MaxPixels: 1 << 16})
		if err != nil {
			return
		}
		for _, side := range []int{1, 7, 64} {
			b, err := Thumb(img, side)
			if err != nil {
				t.Fatalf("Thumb(%+v, %d): %v", info, side, err)
			}
			thumb, err := Probe(b)
			if err != nil || max(thumb.Width, thumb.Height) != min(side, max(info.Width, info.Height)) || !ServesAsThumb(b, thumb, side, len(b)) {
				t.Fatalf("Thumb(%+v, %d) is %+v, %v", info, side, thumb, err)
			}
		}
	})
}

func wellTold(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, clipsearch.ErrInvalid) || strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 400 {
		t.Fatalf("not one short line of ErrInvalid: %q", err)
	}
}
