package index

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
)

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(dir, "made")
	closeIndex(t, open(t, made))
	newer := filepath.Join(dir, "newer")
	if err := os.Mkdir(newer, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(newer, metaFile), Meta{Format: 9, Dim: 3}.encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	other, noCreate, otherDim := testOptions(), testOptions(), testOptions()
	other.Space, noCreate.Create, otherDim.Dim = clipsearch.Space{9}, false, 5
	tests := []struct {
		name string
		dir  string
		o    Options
		is   error
		says string
	}{
		{"nothing there", filepath.Join(dir, "none"), noCreate, clipsearch.ErrNotFound, "clipsearch ingest"},
		{"an empty folder", t.TempDir(), noCreate, clipsearch.ErrNotFound, "clipsearch ingest"},
		{"a file", file, testOptions(), clipsearch.ErrInvalid, "is a file"},
		{"below a file", filepath.Join(file, "x"), noCreate, clipsearch.ErrNotFound, "no index"},
		{"another space", made, other, clipsearch.ErrInvalid, "model switch"},
		{"another dimension", made, otherDim, clipsearch.ErrInvalid, "32 numbers"},
		{"a newer format", newer, testOptions(), clipsearch.ErrInvalid, "update clipsearch"},
		{"no space given", filepath.Join(dir, "none"), Options{Create: true}, clipsearch.ErrInvalid, "space"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(tt.dir, tt.o)
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Open = %v, want %v that says %q", err, tt.is, tt.says)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("a failed Open has made a folder")
	}
	if m, err := ReadMeta(made); err != nil || m.Space != testSpace || m.Dim != testDim || m.Model != "test-model" {
		t.Errorf("ReadMeta = %+v, %v", m, err)
	}
	if _, err := Open(made, Options{}); err != nil {
		t.Errorf("Open without expectations = %v", err)
	}
}

// TestOpenTwice opens an index that is open: it must not wait for ever.
func TestOpenTwice(t *testing.T) {
	x := newIndex(t)
	start := time.Now()
	_, err := Open(x.dir, testOptions())
	if err == nil || !strings.Contains(err.Error(), "in use by another process") || time.Since(start) > 3*time.Second {
		t.Errorf("Open = %v after %v", err, time.Since(start))
	}
}

// TestCrash opens what a crash leaves: a copy of the files of an index that is
// open. Everything put is there, the words too, which Bleve had not got yet.
func TestCrash(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	put(t, x, testEntry(1), testEntry(2))
	if _, err := x.Match(ctx, "dog", 5, nil); err != nil { // Bleve knows these
		t.Fatal(err)
	}
	put(t, x, testEntry(3))
	if err := x.Delete(ctx, []clipsearch.ID{testID(1)}); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "crash")
	if err := os.CopyFS(dir, os.DirFS(x.dir)); err != nil {
		t.Fatal(err)
	}
	y := open(t, dir)
	hits, err := y.Match(ctx, "dog", 5, nil)
	if err != nil || len(hits) != 2 {
		t.Errorf("Match = %v, %v, want pictures 2 and 3", hits, err)
	}
	mustBeClean(t, y)
}

// TestTextIndexComesBack removes or breaks the text index: it is built again.
func TestTextIndexComesBack(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "index")
	x := open(t, dir)
	for n := range 700 { // more than a batch
		put(t, x, testEntry(n))
	}
	closeIndex(t, x)
	text := filepath.Join(dir, "text")
	for what, harm := range map[string]func() error{
		"gone":        func() error { return os.RemoveAll(text) },
		"half gone":   func() error { return os.RemoveAll(filepath.Join(text, "store")) },
		"broken":      func() error { return os.WriteFile(filepath.Join(text, "store", "root.bolt"), []byte("x"), 0o600) },
		"half closed": func() error { return os.Remove(text + ".seal") },
	} {
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		y, err := Open(dir, testOptions())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if hits, err := y.Match(ctx, "number699", 5, nil); err != nil || len(hits) != 1 || hits[0].ID != testID(699) {
			t.Errorf("%s: Match = %v, %v", what, hits, err)
		}
		problems, err := y.Check(ctx, false) // it tells once what was mended
		if err != nil || (len(problems) == 1) != (what != "half closed") {
			t.Errorf("%s: Check = %+v, %v", what, problems, err)
		}
		mustBeClean(t, y)
		closeIndex(t, y)
	}
}

// TestManifestComesBack loses the file without which Badger removes all of its
// tables.
func TestManifestComesBack(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	put(t, x, testEntry(1), testEntry(2))
	closeIndex(t, x)
	manifest := filepath.Join(x.dir, "store", "MANIFEST")
	for what, harm := range map[string]func() error{
		"gone": func() error { return os.Remove(manifest) },
		"cut":  func() error { return os.Truncate(manifest, 9) },
	} {
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		y, err := Open(x.dir, testOptions())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if problems, err := y.Check(ctx, false); err != nil || len(problems) != 1 || problems[0].ID != "MANIFEST" {
			t.Errorf("%s: Check = %+v, %v", what, problems, err)
		}
		if st, err := y.Stats(ctx); err != nil || st.Images != 2 {
			t.Errorf("%s: Stats = %+v, %v", what, st, err)
		}
		mustBeClean(t, y)
		closeIndex(t, y)
	}
	if err := errors.Join(os.Remove(manifest), os.Remove(filepath.Join(x.dir, "store.seal"))); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(x.dir, testOptions()); err == nil || !strings.Contains(err.Error(), "MANIFEST is missing") {
		t.Errorf("without a seal: Open = %v", err)
	}
}

// TestRebuildIsTakenUp kills a rebuild in the middle.
func TestRebuildIsTakenUp(t *testing.T) {
	x := newIndex(t)
	for n := range 20 {
		put(t, x, testEntry(n))
	}
	closeIndex(t, x)
	x = open(t, x.dir)
	set(t, x, []byte(rebuildKey), nil) // a rebuild had begun; the index it left is not whole
	closeIndex(t, x)
	x = open(t, x.dir)
	st, err := x.Stats(context.Background())
	if err != nil || st.TextDocuments != 20 {
		t.Errorf("Stats = %+v, %v, want 20 documents", st, err)
	}
	if has, err := x.Has(context.Background(), []clipsearch.ID{testID(3)}); err != nil || !has[0] {
		t.Errorf("Has = %v, %v", has, err)
	}
	mustBeClean(t, x)
	err = x.store.view(func(t tx) error { _, err := t.get([]byte(rebuildKey)); return err })
	if !errors.Is(err, errMissing) {
		t.Errorf("the note of the rebuild: %v, want it gone", err)
	}
}

// TestModelCopy makes an index with a copy of its model, and one whose model cannot
// be written.
func TestModelCopy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	o := withModel()
	save := o.SaveModel
	o.SaveModel = func(string) error { return errors.New("no weights") }
	if _, err := Open(dir, o); err == nil || !strings.Contains(err.Error(), "no weights") {
		t.Errorf("Open = %v, want the error of SaveModel", err)
	}
	if _, err := ReadMeta(dir); !errors.Is(err, clipsearch.ErrNotFound) {
		t.Errorf("ReadMeta = %v: half an index", err)
	}
	o.SaveModel = save
	x, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if b, err := os.ReadFile(filepath.Join(ModelDir(dir, testSpace), "model.onnx")); err != nil || string(b) != "weights" {
		t.Errorf("the copy is %q, %v", b, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "models", "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	mustBeClean(t, x)
}

// TestCompact deletes most pictures and gets their space back.
func TestCompact(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	size := func() int64 {
		t.Helper()
		st, err := x.Stats(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return st.Bytes["store"]
	}
	const n = 600
	var batch []clipsearch.Entry
	for i := range n {
		batch = append(batch, testEntry(i)) // 7 MB of thumbnails: several transactions
	}
	put(t, x, batch...)
	closeIndex(t, x)
	x = open(t, x.dir)
	before := size()
	var ids []clipsearch.ID
	for i := range n {
		if i%10 != 0 {
			ids = append(ids, testID(i))
		}
	}
	if err := x.Delete(ctx, ids); err != nil {
		t.Fatal(err)
	}
	closeIndex(t, x)
	x = open(t, x.dir)
	if err := x.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	closeIndex(t, x)
	x = open(t, x.dir)
	if after := size(); after > before/2 {
		t.Errorf("%d bytes before, %d after", before, after)
	}
	for i := 0; i < n; i += 10 {
		if b, err := x.Thumb(ctx, testID(i)); err != nil || string(b) != string(testThumb(i)) {
			t.Errorf("thumbnail %d: %d bytes, %v", i, len(b), err)
		}
	}
	seen := 0
	for id, v := range x.Vectors(ctx) {
		if unitLength(v) != nil || id == (clipsearch.ID{}) {
			t.Errorf("Vectors: %v %v", id, v)
		}
		seen++
	}
	if seen != n/10 {
		t.Errorf("Vectors yields %d, want %d", seen, n/10)
	}
	mustBeClean(t, x)
}

func TestSplitWords(t *testing.T) {
	for in, want := range map[string]string{
		"IMG_2034-redCar":    "IMG 2034 red Car",
		"JPGCar2":            "JPG Car 2",
		"a.b,c":              "a b c",
		"Ünï-cödé":           "Ünï cödé",
		"e\u0301t\u0301e":    "e\u0301t\u0301e",
		"20190704T1200":      "20190704 T 1200",
		"":                   "",
		"\xffx":              " x",
		"photo (1) of 2":     "photo  1  of 2",
		"HTMLParserForJPEGs": "HTML Parser For JPE Gs",
	} {
		if got := splitWords(in); got != want {
			t.Errorf("splitWords(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzRecord reads what may be anything.
func FuzzRecord(f *testing.F) {
	e := testEntry(1)
	f.Add(newRecord(e.Image).encode())
	f.Add(pathEntry{ID: e.ID[:], File: newFile(testFile(1))}.encode())
	f.Add([]byte{recordVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRecord(b); err == nil {
			m := r.image(e.ID)
			if again, err := decodeRecord(newRecord(m).encode()); err != nil || len(again.Files) > len(r.Files) {
				t.Errorf("read again: %v", err)
			}
		}
		_, _, _ = decodePath(b)
		var c counts
		if decode(b, &c) == nil {
			c.of(testSpace)
		}
		var w intent
		if decode(b, &w) == nil {
			w.next()
		}
		var s spaceEntry
		_ = decode(b, &s)
		var m Meta
		if decode(b, &m) == nil {
			m.WordLanguage()
		}
	})
}

// TestClosed asks a closed index: an error, and no waiting.
func TestClosed(t *testing.T) {
	ctx := context.Background()
	x := newIndex(t)
	put(t, x, testEntry(1))
	closeIndex(t, x)
	closeIndex(t, x) // twice is fine
	calls := map[string]func() error{
		"Put":         func() error { return x.Put(ctx, []clipsearch.Entry{testEntry(2)}) },
		"Image":       func() error { _, err := x.Image(ctx, testID(1)); return err },
		"Nearest":     func() error { _, err := x.Nearest(ctx, unit(testDim, 1), 1, nil); return err },
		"Match":       func() error { _, err := x.Match(ctx, "dog", 1, nil); return err },
		"Stats":       func() error { _, err := x.Stats(ctx); return err },
		"Check":       func() error { _, err := x.Check(ctx, true); return err },
		"Compact":     func() error { return x.Compact(ctx) },
		"SetLanguage": func() error { return x.SetLanguage(ctx, "de") },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, errClosed) {
			t.Errorf("%s = %v, want %v", name, err, errClosed)
		}
	}
}
