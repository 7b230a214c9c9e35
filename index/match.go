package index

import (
	"context"
	"errors"
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
	if len(f) == 0 {
		return x.matchWords(ctx, words, k, x.stored(ctx))
	}
	x.mu.RLock()
	loaded := x.mem.columns != nil
	x.mu.RUnlock()
	if !loaded {
		hits, err := x.matchWords(ctx, words, k, x.admittedRecord(ctx, f))
		if !errors.Is(err, errManyRecords) {
			return hits, err
		}
	}
	return x.matchDocs(ctx, words, k, f)
}

// matchWords returns the k best of the pictures that have some of the words and that
// admits admits.
func (x *Index) matchWords(ctx context.Context, words string, k int, admits func(clipsearch.ID) (bool, error)) (hits []clipsearch.Hit, err error) {
	err = x.text.with(ctx, func(w *wordIndex) (err error) {
		hits, err = w.match(ctx, words, k, admits)
		return err
	})
	return hits, err
}

// manyRecords is how many records are read to answer a filter before it pays to
// load the columns of all.
const manyRecords = 5000

// errManyRecords says that so many have been read.
var errManyRecords = errors.New("the columns answer quicker")

// matchDocs asks of each hit whether it is one of the docs that f admits now.
func (x *Index) matchDocs(ctx context.Context, words string, k int, f clipsearch.Filter) ([]clipsearch.Hit, error) {
	a, err := x.answering(ctx, f)
	if err != nil {
		return nil, err
	}
	docs := a.admitted(f)
	if docs.IsEmpty() {
		return nil, nil
	}
	return x.matchWords(ctx, words, k, func(id clipsearch.ID) (bool, error) {
		x.mu.RLock()
		defer x.mu.RUnlock()
		return a.pictures.isIn(docs, id), nil
	})
}

// stored returns what reports whether a picture is in the store. The text index
// knows, but of those that it has not been told of yet.
func (x *Index) stored(ctx context.Context) func(clipsearch.ID) (bool, error) {
	return func(id clipsearch.ID) (ok bool, err error) {
		if !x.text.isDirty(id) {
			return true, nil
		}
		err = x.view(ctx, func(t tx) error {
			ok, err = t.has(idKey(recordPrefix, id))
			return err
		})
		return ok, err
	}
}

// admittedRecord returns what reports whether f admits a picture's record, and
// errManyRecords in the end.
func (x *Index) admittedRecord(ctx context.Context, f clipsearch.Filter) func(clipsearch.ID) (bool, error) {
	read := 0
	return func(id clipsearch.ID) (ok bool, err error) {
		if read++; read > manyRecords {
			return false, errManyRecords
		}
		err = x.view(ctx, func(t tx) error {
			r, err := t.record(id)
			ok = err == nil && f.Admits(r.image(id))
			return nil
		})
		return ok, err
	}
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
