package data

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestWrittenLong: of what no caption is, a part is read, and that is text.
func TestWrittenLong(t *testing.T) {
	for what, c := range map[string]string{"a word": strings.Repeat("x", 10<<20), "words": strings.Repeat("a dog ", 2<<20), "letters of two bytes": "x" + strings.Repeat("é", 1<<20)} {
		got := written([]string{c, "a cat"})
		if len(got) != 2 || got[1] != "a cat" || len(got[0]) > readCaption+3 || len(got[0]) < readCaption/2 || !utf8.ValidString(got[0]) {
			t.Errorf("%s: %d captions, the first of %d bytes", what, len(got), len(got[0]))
		}
	}
}
