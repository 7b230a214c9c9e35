package index

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/clipsearch/clipsearch"
)

// Match returns up to k pictures whose captions, tags, file or folder names have
// some of the words and that f admits, best first. It sees all that was put before
// it. The words may be any text.
func (x *Index) Match(ctx context.Context, words string, k int, f clipsearch.Filter) ([]clipsearch.Hit, error) {
	if k < 1 {
		return nil, fmt.Errorf("match: %d hits asked for: %w", k, clipsearch.ErrInvalid)
	}
	var hits []clipsearch.Hit
	err := x.text.with(ctx, func(w *wordIndex) (err error) {
		hits, err = x.match(ctx, w, words, k, f)
		return err
	})
	return hits, err
}

// match asks for more and more hits until k of them are admitted.
func (x *Index) match(ctx context.Context, w *wordIndex, text string, k int, f clipsearch.Filter) ([]clipsearch.Hit, error) {
	all, err := w.count()
	if err != nil {
		return nil, err
	}
	for ask := k; ; ask *= 8 {
		if ask = min(ask, all); ask == 0 {
			return nil, nil
		}
		hits, more, err := w.match(ctx, text, ask)
		if err != nil {
			return nil, err
		}
		hits, err = x.admitted(ctx, hits, k, f)
		if err != nil || len(hits) == k || !more || ask == all {
			return hits, err
		}
	}
}

// admitted returns the first k of hits that are in the store and that f admits.
func (x *Index) admitted(ctx context.Context, hits []clipsearch.Hit, k int, f clipsearch.Filter) ([]clipsearch.Hit, error) {
	var kept []clipsearch.Hit
	err := x.view(ctx, func(t tx) error {
		for _, h := range hits {
			r, err := t.record(h.ID)
			if err == nil && f.Admits(r.image(h.ID)) {
				if kept = append(kept, h); len(kept) == k {
					return nil
				}
			}
		}
		return ctx.Err()
	})
	return kept, err
}

// folders is how many folders above a picture say something of it.
const folders = 3

// newDocument is what can be found of m.
func newDocument(m clipsearch.Image) document {
	var d document
	for _, c := range m.Captions {
		d.Caption = append(d.Caption, strings.ToValidUTF8(c, " "))
	}
	for _, t := range m.Tags {
		d.Tag = append(d.Tag, strings.ToValidUTF8(t, " "))
	}
	for _, f := range m.Files {
		dir, name := filepath.Split(f.Path)
		d.Name = append(d.Name, splitWords(strings.TrimSuffix(name, filepath.Ext(name))))
		d.Folder = append(d.Folder, splitWords(lastFolders(dir)))
	}
	return d
}

// lastFolders returns the names of the innermost folders of dir.
func lastFolders(dir string) string {
	names := strings.FieldsFunc(dir, func(r rune) bool { return r == '/' || r == filepath.Separator })
	return strings.Join(names[max(0, len(names)-folders):], " ")
}

// plainWords leaves of a text its words: letters, digits and apostrophes.
func plainWords(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || r == '\'' || r == '’' {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, " "))
}

// splitWords puts blanks between the words of a name: at signs, between letters and
// digits, and before a capital that begins a word, as in "IMG_2034-redCar".
func splitWords(name string) string {
	runes := []rune(strings.ToValidUTF8(name, " "))
	var b strings.Builder
	for i, r := range runes {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
			b.WriteByte(' ')
			continue
		}
		if i > 0 && begins(runes, i) {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// begins reports whether a word begins at the letter or digit runes[i].
func begins(runes []rune, i int) bool {
	before, r := runes[i-1], runes[i]
	switch {
	case unicode.IsMark(r) || !unicode.IsLetter(before) && !unicode.IsDigit(before):
		return false
	case unicode.IsDigit(r) != unicode.IsDigit(before):
		return true
	case !unicode.IsUpper(r):
		return false
	case !unicode.IsUpper(before):
		return true
	}
	return i+1 < len(runes) && unicode.IsLower(runes[i+1]) // the C of "JPGCar"
}
