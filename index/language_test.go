package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch"
)

func TestLanguages(t *testing.T) {
	if !slices.IsSorted(Languages()) || !slices.Contains(Languages(), DefaultLanguage) {
		t.Errorf("Languages() = %v", Languages())
	}
	for _, tt := range []struct{ language, text, query string }{
		{"en", "dogs running", "dog run"},
		{"de", "die Häuser am Fluss", "Haus"},
		{"fr", "les maisons", "maison"},
		{"es", "las montañas", "montaña"},
		{"it", "le montagne", "montagna"},
		{"pt", "as casas", "casa"},
		{"nl", "de huizen", "huizen"},
		{"sv", "hundarna", "hundar"},
		{"ru", "собаки", "собака"},
		{"tr", "evler", "ev"},
		{"cjk", "東京タワー", "東京"},
		{"standard", "the dogs", "the"},
	} {
		w, err := createWords(filepath.Join(t.TempDir(), "text"), tt.language)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.write(map[clipsearch.ID]document{testID(1): {Caption: []string{tt.text}}}, nil); err != nil {
			t.Fatal(err)
		}
		hits, err := w.match(context.Background(), tt.query, 5, nil)
		if err != nil || len(hits) != 1 {
			t.Errorf("%s: match(%q) in %q = %v, %v", tt.language, tt.query, tt.text, hits, err)
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, language := range Languages() {
		dir := filepath.Join(t.TempDir(), "text")
		w, err := createWords(dir, language)
		if err != nil {
			t.Fatalf("%s: %v", language, err)
		}
		err = w.close()
		if w, err2 := openWords(dir); err != nil || err2 != nil || w.language != language || w.close() != nil {
			t.Errorf("a text index in %s is one in %v when it is opened again, %v, %v", language, w, err, err2)
		}
	}
}

// haeuser puts pictures of houses.
func haeuser(t testing.TB, x *Index, from, to int) {
	t.Helper()
	var batch []clipsearch.Entry
	for i := from; i < to; i++ {
		e := testEntry(i)
		e.Captions, e.CaptionVectors = []string{fmt.Sprintf("viele Häuser, dogs running, Bild %d", i)}, nil
		batch = append(batch, e)
	}
	put(t, x, batch...)
}

func setLanguage(t testing.TB, x *Index, name string) {
	t.Helper()
	if err := x.SetLanguage(context.Background(), name); err != nil {
		t.Fatal(err)
	}
}

// checkLanguage checks that x finds n pictures in the language named.
func checkLanguage(t testing.TB, x *Index, name string, n int) {
	t.Helper()
	words := map[string]string{"de": "Haus", "en": "run", "standard": "viele"}[name]
	if got := match(t, x, words, 10000, nil); len(got) != n {
		t.Errorf("language %s: Match(%q) = %d hits, want %d", name, words, len(got), n)
	}
	other := map[string]string{"de": "run", "en": "Haus", "standard": "Haus"}[name]
	if got := match(t, x, other, 10000, nil); len(got) != 0 {
		t.Errorf("language %s: Match(%q) = %d hits, want none", name, other, len(got))
	}
	m, err := ReadMeta(x.dir)
	if err != nil || m.WordLanguage() != name || x.meta().WordLanguage() != name {
		t.Errorf("the language is %q in the file, %v, and %q in memory, want %q", m.Language, err, x.meta().Language, name)
	}
	mustBeClean(t, x)
}

func TestSetLanguage(t *testing.T) {
	x := newIndex(t)
	haeuser(t, x, 0, 600)
	checkLanguage(t, x, "en", 600)
	for _, name := range []string{"de", "de", "standard", "en", "de"} {
		setLanguage(t, x, name)
		checkLanguage(t, x, name, 600)
	}
	haeuser(t, x, 600, 700)
	closeIndex(t, x)
	if exists(nextDir(filepath.Join(x.dir, "text"))) {
		t.Error("what was next is still there")
	}
	x = open(t, x.dir)
	checkLanguage(t, x, "de", 700)
	err := x.SetLanguage(context.Background(), "klingon")
	if !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("SetLanguage(klingon) = %v, want ErrInvalid", err)
	}
	o := testOptions()
	o.Language = "klingon"
	if _, err := Open(filepath.Join(t.TempDir(), "other"), o); !errors.Is(err, clipsearch.ErrInvalid) {
		t.Errorf("Open in klingon = %v, want ErrInvalid", err)
	}
	o.Language = "de"
	y, err := Open(filepath.Join(t.TempDir(), "other"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	haeuser(t, y, 0, 3)
	checkLanguage(t, y, "de", 3)
}

// TestSetLanguageMeanwhile searches, puts and deletes while the new text index is
// built: the old one answers, and the new one knows all in the end.
func TestSetLanguageMeanwhile(t *testing.T) {
	x := newIndex(t)
	haeuser(t, x, 0, 3000)
	match(t, x, "run", 1, nil)
	done := make(chan error)
	go func() { done <- x.SetLanguage(context.Background(), "de") }()
	n, searches := 3000, 0
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d searches, %d pictures put meanwhile", searches, n-3000)
			checkLanguage(t, x, "de", n-1)
			return
		default:
		}
		haeuser(t, x, n, n+5)
		if n == 3000 {
			if err := x.Delete(context.Background(), []clipsearch.ID{testID(7)}); err != nil {
				t.Fatal(err)
			}
		}
		n += 5
		english, german := len(match(t, x, "run", 10000, nil)), len(match(t, x, "Haus", 10000, nil))
		if english != n-1 && german != n-1 {
			t.Fatalf("%d hits in English, %d in German, of %d pictures", english, german, n-1)
		}
		searches++
	}
}

// TestSetLanguageCutShort ends a change of the language at every stage, and opens
// the index again.
func TestSetLanguageCutShort(t *testing.T) {
	ctx := context.Background()
	stages := map[string]func(x *Index) error{
		"noted in the store alone": func(x *Index) error {
			m := x.meta()
			m.Language = "de"
			return x.update(func(t tx) error { return t.set([]byte(metaKey), encode(m)) })
		},
		"noted": func(x *Index) error { return x.noteLanguage("de") },
		"begun": func(x *Index) error { return x.text.translate(func() error { return x.noteLanguage("de") }) },
		"half": func(x *Index) error {
			err := x.text.translate(func() error { return x.noteLanguage("de") })
			_, err2 := x.text.buildSome(ctx)
			return errors.Join(err, err2)
		},
		"swapped by half": func(x *Index) error {
			err := x.SetLanguage(ctx, "de")
			dir := filepath.Join(x.dir, "text")
			return errors.Join(err, x.Close(), os.Rename(dir, nextDir(dir)), os.Rename(dir+".seal", nextDir(dir)+".seal"), os.Mkdir(oldDir(dir), 0o700))
		},
		"canceled": func(x *Index) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			if err := x.SetLanguage(ctx, "de"); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("SetLanguage after cancel = %w", err)
			}
			return nil
		},
	}
	for name, stage := range stages {
		t.Run(name, func(t *testing.T) {
			x := newIndex(t)
			haeuser(t, x, 0, 1200)
			match(t, x, "run", 1, nil)
			if err := stage(x); err != nil {
				t.Fatal(err)
			}
			closeIndex(t, x)
			x = open(t, x.dir)
			haeuser(t, x, 1200, 1210)
			if name == "half" {
				if err := x.text.settle(ctx); err != nil || x.text.next == nil || len(x.text.missing) > 700 {
					t.Errorf("what was done is done again: %d missing, %v", len(x.text.missing), err)
				}
			}
			setLanguage(t, x, "de") // and so waits for it
			checkLanguage(t, x, "de", 1210)
			if exists(nextDir(filepath.Join(x.dir, "text"))) || exists(oldDir(filepath.Join(x.dir, "text"))) {
				t.Error("folders are left")
			}
		})
	}
}
