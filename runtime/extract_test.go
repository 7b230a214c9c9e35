package runtime

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExtractRefuses: bombs, links and archives that are cut off are errors, and
// nothing is written but dst.
func TestExtractRefuses(t *testing.T) {
	const name = "lib/libx.so"
	small := limits{library: 1000, content: 100_000}
	large, huge := strings.Repeat("x", 2000), strings.Repeat("x", 200_000)
	for _, tt := range []struct {
		name  string
		write func(t *testing.T, path string)
		ext   string
		says  string
	}{
		{"large library", func(t *testing.T, path string) { writeTgz(t, path, map[string]string{name: large}) }, ".tgz", "larger than"},
		{"large library", func(t *testing.T, path string) { writeZip(t, path, map[string]string{name: large}) }, ".whl", "larger than"},
		{"large before it", func(t *testing.T, path string) { writeTgz(t, path, map[string]string{"bomb": huge}) }, ".tgz", "unexpected EOF"},
		{"outside", func(t *testing.T, path string) { writeTgz(t, path, map[string]string{"../" + name: "x"}) }, ".tgz", "there is no"},
		{"outside", func(t *testing.T, path string) { writeZip(t, path, map[string]string{"../" + name: "x"}) }, ".zip", "there is no"},
		{"link", writeTarLink, ".tgz", "there is no"},
		{"link", writeZipLink, ".whl", "there is no"},
		{"cut off", cutOff(writeTgz), ".tgz", "unexpected EOF"},
		{"cut off", cutOff(writeZip), ".whl", "not a valid zip"},
		{"words", func(t *testing.T, path string) { writeFile(t, path, "words") }, ".tgz", ""},
	} {
		t.Run(tt.name+tt.ext, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "in")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			archive := filepath.Join(dir, "archive"+tt.ext)
			tt.write(t, archive)
			err := extract(archive, "lib/lib*.so", filepath.Join(dir, "out"), small)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("extract = %v, want %q", err, tt.says)
			}
			for _, path := range filesBelow(t, filepath.Dir(dir)) {
				if path != archive && path != filepath.Join(dir, "out") {
					t.Errorf("it wrote %s", path)
				}
			}
		})
	}
}

func writeFile(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func cutOff(write func(*testing.T, string, map[string]string)) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		write(t, path, map[string]string{"lib/libx.so": "library"})
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, string(data[:len(data)/2]))
	}
}

func writeTarLink(t *testing.T, path string) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gz := gzip.NewWriter(f)
	defer gz.Close()
	w := tar.NewWriter(gz)
	defer w.Close()
	if err := w.WriteHeader(&tar.Header{Name: "lib/libx.so", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}); err != nil {
		t.Fatal(err)
	}
}

func writeZipLink(t *testing.T, path string) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	defer z.Close()
	h := &zip.FileHeader{Name: "lib/libx.so"}
	h.SetMode(os.ModeSymlink | 0o777)
	w, err := z.CreateHeader(h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("/etc/passwd")); err != nil {
		t.Fatal(err)
	}
}

func FuzzExtract(f *testing.F) {
	f.Add([]byte("PK\x03\x04"), true)
	f.Add([]byte("\x1f\x8b\x08"), false)
	f.Fuzz(func(t *testing.T, data []byte, isZip bool) {
		dir := t.TempDir()
		archive := filepath.Join(dir, map[bool]string{true: "a.whl", false: "a.tgz"}[isZip])
		if err := os.WriteFile(archive, data, 0o644); err != nil {
			t.Fatal(err)
		}
		_ = extract(archive, "*/lib*", filepath.Join(dir, "out"), limits{1 << 20, 4 << 20})
	})
}
