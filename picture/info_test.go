package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

func TestInfo(t *testing.T) {
	taken := time.Date(2019, 7, 6, 5, 4, 3, 0, time.FixedZone("", 2*3600))
	for name, want := range map[string]Info{
		"exif.jpg":          {Format: "jpeg", Width: 29, Height: 37, Orientation: 6, TakenAt: taken, Camera: "Acme Box 7"},
		"exif.webp":         {Format: "webp", Width: 29, Height: 37, Orientation: 6, TakenAt: taken, Camera: "Acme Box 7"},
		"exif.tiff":         {Format: "tiff", Width: 29, Height: 37, Orientation: 6, Camera: "Acme Box 7"}, // Pillow writes no dates into a TIFF
		"orientation_5.png": {Format: "png", Width: 29, Height: 37, Orientation: 5, TakenAt: taken, Camera: "Acme Box 7"},
		"orientation_4.png": {Format: "png", Width: 37, Height: 29, Orientation: 4, TakenAt: taken, Camera: "Acme Box 7"},
		"rgb.png":           {Format: "png", Width: 37, Height: 29, Orientation: 1},
		"progressive.jpg":   {Format: "jpeg", Width: 37, Height: 29, Orientation: 1},
		"offset.gif":        {Format: "gif", Width: 45, Height: 40, Orientation: 1},
		"animated.webp":     {Format: "webp", Width: 37, Height: 29, Orientation: 1},
		"rgb.bmp":           {Format: "bmp", Width: 37, Height: 29, Orientation: 1},
		"packbits.tiff":     {Format: "tiff", Width: 37, Height: 29, Orientation: 1},
	} {
		file := read(t, filepath.Join("testdata/pictures", name))
		sameTime := cmp.Comparer(time.Time.Equal)
		probed, err := Probe(file)
		if diff := cmp.Diff(want, probed, sameTime); diff != "" || err != nil {
			t.Errorf("Probe(%s): %v, (-want +got)\n%s", name, err, diff)
		}
		_, decoded, err := Decode(file, Options{Upright: true})
		if diff := cmp.Diff(want, decoded, sameTime); diff != "" || err != nil {
			t.Errorf("Decode(%s) upright: %v, (-want +got)\n%s", name, err, diff)
		}
		if want.Orientation > 4 {
			want.Width, want.Height = want.Height, want.Width
		}
		img, decoded, err := Decode(file, Options{})
		if diff := cmp.Diff(want, decoded, sameTime); diff != "" || err != nil {
			t.Errorf("Decode(%s): %v, (-want +got)\n%s", name, err, diff)
		}
		if size := img.Rect.Size(); size != image.Pt(want.Width, want.Height) {
			t.Errorf("Decode(%s): a picture of %v, want %d x %d", name, size, want.Width, want.Height)
		}
	}
}

func TestTakenAt(t *testing.T) {
	for _, c := range []struct{ date, offset, want string }{
		{"2019:07:06 05:04:03", "+02:00", "2019-07-06T05:04:03+02:00"},
		{"2019:07:06 05:04:03", "", "2019-07-06T05:04:03Z"},
		{"2019:07:06 05:04:03", "soon", "2019-07-06T05:04:03Z"},
		{"0000:00:00 00:00:00", "", "0001-01-01T00:00:00Z"},
		{": : : :", "", "0001-01-01T00:00:00Z"},
		{"", "+02:00", "0001-01-01T00:00:00Z"},
		{"2019:02:30 05:04:03", "", "0001-01-01T00:00:00Z"},
	} {
		if got := takenAt(c.date, c.offset).Format(time.RFC3339); got != c.want {
			t.Errorf("takenAt(%q, %q) = %s, want %s", c.date, c.offset, got, c.want)
		}
	}
}

func TestCamera(t *testing.T) {
	for _, c := range []struct{ maker, model, want string }{
		{"Canon", "Canon EOS 5D", "Canon EOS 5D"},
		{"NIKON CORPORATION", "NIKON D90", "NIKON CORPORATION NIKON D90"},
		{"Apple", "iPhone 15", "Apple iPhone 15"},
		{"Acme", "", "Acme"},
		{"", "Box", "Box"},
		{"", "", ""},
	} {
		if got := camera(c.maker, c.model); got != c.want {
			t.Errorf("camera(%q, %q) = %q, want %q", c.maker, c.model, got, c.want)
		}
	}
	if got := text("  a\x00\tb\n\xffc "); got != "a b c" {
		t.Errorf("text = %q", got)
	}
}

func TestErrors(t *testing.T) {
	jpg := read(t, "testdata/pictures/37x29_420.jpg")
	for _, c := range []struct {
		name string
		file []byte
		want string // in the message
	}{
		{"nothing", nil, "empty file"},
		{"text", []byte("this is no picture\nat all"), `no picture: the file begins with "this is no p"`},
		{"one byte", []byte{0xff}, "no picture"},
		{"HEIC", []byte("\x00\x00\x00\x18ftypheic\x00\x00"), "HEIC is not read here"},
		{"truncated JPEG", jpg[:len(jpg)/2], "the file ends before the picture does"},
		{"header of a JPEG", jpg[:4], "the file ends before the picture does"},
		{"huge PNG", header(pngHeader(30000, 30000)), "cannot hold 30000 x 30000 pixels"},
		{"huge GIF", []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00"), "65535 x 65535 pixels, more than the limit of 200 million"},
		{"BMP of little", patched(read(t, "testdata/pictures/rgb.bmp"), 18, 14000), "cannot hold 14000 x 29 pixels"},
		{"TIFF of little", bytes.Replace(read(t, "testdata/pictures/raw.tiff"), []byte("\x00\x01\x04\x00\x01\x00\x00\x00\x25\x00\x00\x00"), []byte("\x00\x01\x04\x00\x01\x00\x00\x00\x00\x00\x60\x00"), 1), "cannot hold 6291456 x 29 pixels"},
		{"no pixels", []byte("GIF89a\x00\x00\x05\x00\x00\x00\x00"), "none at all"},
		{"GIF without frame", []byte("GIF89a\x05\x00\x05\x00\x00\x00\x00"), "gif: "},
		{"WebP of noise", append([]byte("RIFF\x10\x00\x00\x00WEBPVP8 "), bytes.Repeat([]byte{0x5a}, 64)...), "webp: "},
		{"TIFF that ends", []byte("II*\x00\xff\xff\xff\xff"), "tiff: "},
		{"JPEG of little", lyingJPEG(), "cannot hold 10000 x 10000 pixels"},
	} {
		_, _, err := Decode(c.file, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, clipsearch.ErrInvalid) || strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("Decode(%s): %v, want one line that says %q and is ErrInvalid", c.name, err, c.want)
		}
	}
}

// TestRefusedByHeader: what claims more pixels than are read costs no memory for them,
// even where the file is long enough to hold them.
func TestRefusedByHeader(t *testing.T) {
	png := append(header(pngHeader(100_000, 100_000)), make([]byte, 40<<20)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := Decode(png, Options{Upright: true})
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "100000 x 100000 pixels, more than the limit of 200 million") {
		t.Errorf("Decode: %v", err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes were taken for a picture that is refused", got)
	}
}

func TestMaxPixels(t *testing.T) {
	file := read(t, "testdata/pictures/rgb.png")
	if _, _, err := Decode(file, Options{MaxPixels: 37 * 29}); err != nil {
		t.Errorf("exactly the limit: %v", err)
	}
	_, info, err := Decode(file, Options{MaxPixels: 37*29 - 1})
	if err == nil || !strings.Contains(err.Error(), "png: 37 x 29 pixels, more than the limit of 1072") || info.Format != "png" {
		t.Errorf("one more than the limit: %+v, %v", info, err)
	}
	if err := admit(Info{Format: "png", Width: 30000, Height: 30000}, maxPixels); err == nil || !strings.Contains(err.Error(), "png: 30000 x 30000 pixels, more than the limit of 200 million") {
		t.Errorf("admit: %v", err)
	}
}

// A JPEG whose end marker alone is missing is whole.
func TestMissingEndMarker(t *testing.T) {
	for _, name := range []string{"37x29_420.jpg", "progressive.jpg"} {
		file := read(t, "testdata/pictures/"+name)
		want, _, err := Decode(file, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := Decode(file[:len(file)-2], Options{})
		if err != nil {
			t.Errorf("Decode(%s without its end marker): %v", name, err)
		} else if _, most := difference(got, want); most > 0 {
			t.Errorf("Decode(%s without its end marker) differs by %d", name, most)
		}
	}
}

// A block of EXIF that is broken, or that points to itself, does not spoil the
// picture.
func TestBrokenEXIF(t *testing.T) {
	whole := read(t, "testdata/pictures/exif.jpg")
	at := bytes.Index(whole, []byte("Exif\x00\x00"))
	for i := at + 6; i < at+120; i++ {
		file := slices.Clone(whole)
		file[i] ^= 0xff
		img, info, err := Decode(file, Options{Upright: true})
		if err != nil || info.Width*info.Height != 37*29 || img == nil {
			t.Errorf("byte %d of EXIF turned over: %+v, %v", i-at, info, err)
		}
	}
}

func TestExtensions(t *testing.T) {
	got := Extensions()
	for _, want := range []string{".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"} {
		if !slices.Contains(got, want) {
			t.Errorf("Extensions() = %v lacks %s", got, want)
		}
	}
}

// patched returns file with another number, of two bytes, at this place.
func patched(file []byte, at int, n uint16) []byte {
	file = slices.Clone(file)
	binary.LittleEndian.PutUint16(file[at:], n)
	return file
}

func pngHeader(w, h int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(w))
	return append(binary.BigEndian.AppendUint32(b, uint32(h)), 8, 2, 0, 0, 0)
}

// header returns the beginning of a PNG.
func header(ihdr []byte) []byte {
	return chunk([]byte("\x89PNG\r\n\x1a\n"), "IHDR", ihdr)
}

func chunk(b []byte, name string, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	named := append([]byte(name), body...)
	return binary.BigEndian.AppendUint32(append(b, named...), crc32.ChecksumIEEE(named))
}

// lyingJPEG returns a file of a few hundred bytes that claims 100 megapixels.
func lyingJPEG() []byte {
	sof := []byte{0xff, 0xc0, 0, 17, 8, 10000 >> 8, 10000 & 0xff, 10000 >> 8, 10000 & 0xff, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0}
	return append(append([]byte(fmt.Sprintf("\xff\xd8\xff\xe0\x00\x10JFIF\x00%s", "\x01\x01\x00\x00\x01\x00\x01\x00\x00")), sof...), make([]byte, 300)...)
}
