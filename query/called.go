package query

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipsearch/clipsearch"
)

// is loads a picture and asks it. One that is gone is nothing.
func (e *Engine) is(ctx context.Context, id clipsearch.ID, holds func(clipsearch.Image) bool) (bool, error) {
	m, err := e.Index.Image(ctx, id)
	if errors.Is(err, clipsearch.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("load picture %s: %w", id, err)
	}
	return holds(m), nil
}

func names(m clipsearch.Image) []string {
	n := m.Paths()
	for i := range n {
		n[i] = filepath.Base(n[i])
	}
	return n
}

// isCalled reports whether a caption, file name or tag of m has text, or its
// plural, as whole words.
func isCalled(m clipsearch.Image, text string) bool {
	for _, in := range slices.Concat(m.Captions, names(m), m.Tags) {
		if hasWord(in, text) || hasWord(in, text+"s") || hasWord(in, text+"es") {
			return true
		}
	}
	return false
}

// hasWord reports whether word occurs in text, case aside, with neither a letter
// nor a digit right before or behind it: "cat" is in cat_1.jpg, not in "catch".
func hasWord(text, word string) bool {
	text, word = strings.ToLower(text), strings.ToLower(word)
	for from := 0; word != ""; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(word)
		before, _ := utf8.DecodeLastRuneInString(text[:start])
		after, size := utf8.DecodeRuneInString(text[start:])
		behind, _ := utf8.DecodeRuneInString(text[end:])
		if !(inWord(before) && inWord(after)) && !inWord(behind) {
			return true
		}
		from = start + size
	}
	return false
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// nameWords returns the words of text that only a file's name can be: those with
// a digit or an underscore or a picture's extension. Short numbers are left out,
// captions have them too.
func nameWords(text string) []string {
	const shortest, most = 3, 8
	var found []string
	for w := range strings.FieldsSeq(text) {
		w = strings.Trim(w, `.,;:!?"'()[]`)
		ext := strings.ToLower(filepath.Ext(w))
		telling := strings.ContainsRune(w, '_') || strings.IndexFunc(w, unicode.IsDigit) >= 0 ||
			slices.Contains([]string{".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"}, ext)
		if telling && len(w) >= shortest && len(found) < most {
			found = append(found, w)
		}
	}
	return found
}
