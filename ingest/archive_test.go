package ingest_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch/ingest"
)

type packed struct {
	name string
	data []byte
}

var contents = []packed{
	{"a.png", paint(1, 4)}, {"sub/b.png", paint(2, 300)}, {"../c.png", paint(3, 4)}, {"twin.png", paint(1, 4)},
	{"notes.txt", []byte("no picture")}, {"__MACOSX/._a.png", []byte("no picture")}, {"text.jpg", []byte("no picture")},
}

func zipOf(t testing.TB, files []packed) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for i, f := range files {
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: uint16(i % 2 * int(zip.Deflate)), Modified: time.Unix(1e9, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func tarOf(t testing.TB, files []packed) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data)), ModTime: time.Unix(1e9, 0), Format: tar.FormatPAX}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestArchives(t *testing.T) {
	for _, ext := range []string{".zip", ".tar"} {
		t.Run(ext, func(t *testing.T) {
			dir, st, enc := t.TempDir(), newStore(), &encoder{}
			data := map[string][]byte{".zip": zipOf(t, contents), ".tar": tarOf(t, contents)}[ext]
			path := write(t, dir, "x"+ext, data)
			p := &ingest.Pipeline{Encoder: enc, Store: st}
			if sum := ingested(t, p, dir); sum.Found != 0 || sum.Skipped != 1 {
				t.Errorf("an archive in a folder: found %d, skipped %d, want 0 and 1", sum.Found, sum.Skipped)
			}
			sum := ingested(t, p, path)
			if got, want := countsOf(sum), (counts{Stored: 3, Known: 1, Failed: 1}); got != want || sum.Skipped != 2 {
				t.Errorf("Run = %+v and %d skipped, want %+v and 2", got, sum.Skipped, want)
			}
			in := "x" + ext + "!/"
			if diff := cmp.Diff([]string{in + "a.png", in + "c.png", in + "sub/b.png", in + "twin.png"}, st.paths(t, dir)); diff != "" {
				t.Errorf("paths stored (-want +got):\n%s", diff)
			}
			if e := st.at(t, path+"!/sub/b.png"); e.Width != 300 || e.Bytes != int64(len(contents[1].data)) {
				t.Errorf("sub/b.png: %+v", e.Image)
			}
			decoded := enc.fits.Load()
			if got, want := countsOf(ingested(t, p, path)), (counts{Known: 4, Failed: 1}); got != want || enc.fits.Load() != decoded {
				t.Errorf("second Run = %+v with %d decoded, want %+v with none", got, enc.fits.Load()-decoded, want)
			}

			// a member that left its archive is gone, and one that came out of it has moved
			pack := map[string]func(testing.TB, []packed) []byte{".zip": zipOf, ".tar": tarOf}[ext]
			write(t, dir, "x"+ext, pack(t, contents[1:4]))
			p.Prune = true
			if sum := ingested(t, p, path); sum.Pruned != 1 {
				t.Errorf("%d pruned, want 1", sum.Pruned)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			p.Prune = false
			write(t, dir, "out/b.png", contents[1].data)
			if got, want := countsOf(ingested(t, p, dir)), (counts{Moved: 1}); got != want {
				t.Errorf("unpacked: Run = %+v, want %+v", got, want)
			}
		})
	}
}

func TestDamagedArchives(t *testing.T) {
	whole := zipOf(t, contents[:3])
	flipped := bytes.Clone(whole)
	flipped[80] ^= 1 // in the stored bytes of a.png
	tests := []struct {
		name string
		data []byte
		want counts
	}{
		{"none.zip", []byte("no archive"), counts{Failed: 1}},
		{"cut.zip", whole[:len(whole)-30], counts{Failed: 1}},
		{"flipped.zip", flipped, counts{Stored: 2, Failed: 1}},
		{"none.tar", bytes.Repeat([]byte("no archive"), 100), counts{Failed: 1}},
		{"cut.tar", tarOf(t, contents[:3])[:1800], counts{Stored: 1, Failed: 2}},
		{"empty.tar", nil, counts{}},
	}
	for _, tt := range tests {
		path := write(t, t.TempDir(), tt.name, tt.data)
		sum := ingested(t, &ingest.Pipeline{Encoder: &encoder{}, Store: newStore()}, path)
		if got := countsOf(sum); got != tt.want {
			t.Errorf("%s: Run = %+v, want %+v: %q", tt.name, got, tt.want, failures(t, sum))
		}
	}
}

func FuzzArchive(f *testing.F) {
	f.Add(zipOf(f, contents[:2]), true)
	f.Add(tarOf(f, contents[:2]), false)
	f.Fuzz(func(t *testing.T, data []byte, isZip bool) {
		name := map[bool]string{true: "x.zip", false: "x.tar"}[isZip]
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		n, err := ingest.ReadMembers(path)
		if most := 1100 * int64(len(data)) * 100; n > most { // deflate packs 1032 to 1, and members may overlap
			t.Fatalf("%d bytes were read of an archive of %d: %v", n, len(data), err)
		}
	})
}
