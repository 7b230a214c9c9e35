package ingest_test

import (
	"bytes"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/ingest"
)

// TestThumb makes thumbnails of the first file that still is the picture.
func TestThumb(t *testing.T) {
	dir := t.TempDir()
	file := jpegOf(800, 200)
	good, other := filepath.Join(dir, "good.jpg"), filepath.Join(dir, "other.jpg")
	changed := bytes.Clone(file)
	changed[len(changed)/2] ^= 1
	for path, data := range map[string][]byte{good: file, other: changed} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gone := filepath.Join(dir, "gone.jpg")
	for _, tt := range []struct {
		paths []string
		wrong string
	}{
		{[]string{good}, ""},
		{[]string{gone, other, good}, ""},
		{[]string{gone}, "gone.jpg is gone"},
		{[]string{other}, "other.jpg is another picture by now"},
		{nil, "it was seen in none"},
	} {
		m := clipsearch.Image{ID: clipsearch.NewID(file), Bytes: int64(len(file))}
		for _, p := range tt.paths {
			m.Files = append(m.Files, clipsearch.File{Path: p})
		}
		thumb, err := ingest.Thumb(m)
		if tt.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("Thumb of %q: %v, want %q", tt.paths, err, tt.wrong)
			}
			continue
		}
		img, derr := jpeg.DecodeConfig(bytes.NewReader(thumb))
		if err != nil || derr != nil || img.Width != 384 || img.Height != 96 {
			t.Errorf("Thumb of %q = %d x %d, %v, %v, want 384 x 96", tt.paths, img.Width, img.Height, err, derr)
		}
	}
}
