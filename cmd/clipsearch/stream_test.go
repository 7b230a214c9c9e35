package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch/ingest"
	"github.com/clipsearch/clipsearch/internal/npy"
)

// runWith runs the program as a user does.
func runWith(stdin []byte, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	w := world{stdin: bytes.NewReader(stdin), stdout: &out, stderr: &errs, getenv: func(string) string { return "" }}
	code = run(context.Background(), args, w)
	return code, out.String(), errs.String()
}

// foreign makes an index of n pictures whose vectors clipsearch cannot make, so that
// no model is needed. bad are rows without a direction.
func foreign(t *testing.T, n int, bad map[int]float32) (dir string, s summary) {
	t.Helper()
	const dim = 8
	tmp := t.TempDir()
	vectors, paths := npy.Array[float32]{Shape: []int{n, dim}}, []string{}
	for i := range n {
		name := filepath.Join(tmp, fmt.Sprintf("picture \xff%d.jpg", i)) // not UTF-8
		paths = append(paths, name)
		var b bytes.Buffer
		img := image.NewRGBA(image.Rect(0, 0, 8, 8))
		img.Set(i%8, i/8%8, color.White)
		if err := jpeg.Encode(&b, img, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		for k := range dim {
			x := float32(math.Sin(float64(i*dim + k)))
			if b, ok := bad[i]; ok {
				x = b
			}
			vectors.Data = append(vectors.Data, 17*x)
		}
	}
	var b bytes.Buffer
	if err := npy.Write(&b, vectors); err != nil {
		t.Fatal(err)
	}
	f, list := filepath.Join(tmp, "v.npy"), filepath.Join(tmp, "list")
	for name, content := range map[string][]byte{f: b.Bytes(), list: []byte(strings.Join(paths, "\n") + "\n")} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir = filepath.Join(tmp, "index")
	code, stdout, stderr := runWith(nil, "ingest", "--vectors", f, "--paths", list, "--model-name", "foreign", "--json", "-q", "--index", dir)
	if err := json.Unmarshal([]byte(stdout), &s); err != nil || len(bad) == 0 && code != exitDone {
		t.Fatalf("ingest: exit %d, %q, %q", code, stdout, stderr)
	}
	return dir, s
}

func wantClean(t *testing.T, dir string, images int) {
	t.Helper()
	code, stdout, stderr := runWith(nil, "check", "--json", "--index", dir)
	if code != exitDone || !strings.Contains(stdout, fmt.Sprintf(`"images":%d,"ok":true`, images)) {
		t.Errorf("check %s: exit %d, %s%s, want %d pictures and nothing wrong", dir, code, stdout, stderr, images)
	}
}

// Rows without a direction fail, and are named by their numbers.
func TestReadyRows(t *testing.T) {
	dir, s := foreign(t, 12, map[int]float32{0: 0, 5: float32(math.NaN()), 11: float32(math.Inf(1))})
	if s.Found != 12 || s.Stored != 9 || s.Failed != 3 {
		t.Errorf("found %d, stored %d, failed %d", s.Found, s.Stored, s.Failed)
	}
	slices.SortFunc(s.Failures, func(a, b ingest.Failure) int { return strings.Compare(a.Error, b.Error) })
	for i, want := range []string{"row 0: ", "row 11: ", "row 5: "} {
		if got := s.Failures[i].Error; !strings.HasPrefix(got, want) || !strings.Contains(got, "no direction") {
			t.Errorf("failure %d: %q, want it to begin with %q", i, got, want)
		}
	}
	wantClean(t, dir, 9)
}

// A stream that is cut anywhere leaves nothing behind: from a file nothing is begun,
// and from a pipe what was begun is taken back. An index that was there stays whole.
func TestImportCut(t *testing.T) {
	dir, _ := foreign(t, 9, nil)
	other := filepath.Join(t.TempDir(), "other")
	dump := filepath.Join(t.TempDir(), "dump")
	if code, _, stderr := runWith(nil, "export", dump, "--index", dir); code != exitDone {
		t.Fatalf("export: exit %d, %s", code, stderr)
	}
	whole, err := os.ReadFile(dump)
	if err != nil {
		t.Fatal(err)
	}
	place := t.TempDir()
	fresh, cut := filepath.Join(place, "fresh"), filepath.Join(place, "cut")
	for at := 0; at < len(whole); at += 1000 {
		if err := os.WriteFile(cut, whole[:at], 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"import", cut}, {"import", "-"}} {
			code, stdout, stderr := runWith(whole[:at], append(args, "--index", fresh, "--json")...)
			if code == exitDone || stdout != "" || strings.Count(stderr, "\n") != 1 {
				t.Fatalf("%q of %d bytes of %d: exit %d, %q, %q", args, at, len(whole), code, stdout, stderr)
			}
			if _, err := os.Stat(fresh); err == nil {
				t.Fatalf("%q of %d bytes of %d left an index", args, at, len(whole))
			}
		}
	}
	for _, to := range []string{other, dir} {
		if code, _, stderr := runWith(whole, "import", "-", "--index", to); code != exitDone {
			t.Errorf("import: exit %d, %s", code, stderr)
		}
		if code, _, _ := runWith(whole[:len(whole)*2/3], "import", "-", "--index", to); code != exitFailed {
			t.Errorf("import of a cut stream: exit %d", code)
		}
		wantClean(t, to, 9)
	}
}

// What was exported comes back exactly: an export of the import has the same entries.
func TestExportOfImport(t *testing.T) {
	dir, _ := foreign(t, 30, nil)
	again := filepath.Join(t.TempDir(), "again")
	_, first, _ := runWith(nil, "export", "-", "--index", dir)
	if code, _, stderr := runWith([]byte(first), "import", "-", "--index", again); code != exitDone {
		t.Fatalf("import: exit %d, %s", code, stderr)
	}
	_, second, _ := runWith(nil, "export", "-", "--index", again)
	a, b := first[strings.Index(first, "pictures/"):], second[strings.Index(second, "pictures/"):]
	cut := func(s string) string { return s[:strings.Index(s, "sums/")] }
	if blank(cut(a)) != blank(cut(b)) {
		t.Error("the export of an import differs from what was imported")
	}
	wantClean(t, again, 30)
}

// blank takes the times and sums of the tar's headers away.
func blank(s string) string {
	b := []byte(s)
	for i := 0; i+512 <= len(b); i += 512 {
		if string(b[i+257:i+262]) == "ustar" {
			clear(b[i+136 : i+156])
		}
	}
	return string(b)
}

func TestExportFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full here")
	}
	dir, _ := foreign(t, 3, nil)
	code, stdout, stderr := runWith(nil, "export", "/dev/full", "--index", dir, "--json")
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "the disk is full") {
		t.Errorf("export to a full disk: exit %d, %q, %q", code, stdout, stderr)
	}
}
