package clip

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalize brings s into one of Unicode's four normal forms. Package norm puts
// a joiner into a run of more than thirty marks, which the reference does not:
// such text goes the long way.
func normalize(f norm.Form, s string) string {
	if !manyMarks(s) {
		return f.String(s)
	}
	runes := decompose(s, f == norm.NFKC || f == norm.NFKD)
	if f == norm.NFC || f == norm.NFKC {
		runes = compose(runes)
	}
	return string(runes)
}

// manyMarks reports whether package norm might break a run of marks in s.
func manyMarks(s string) bool {
	run := 0
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			run = 0
		case unicode.Is(unicode.M, r):
			run++
		default:
			run = 1 // its decomposition may end in marks
		}
		if run > 8 {
			return true
		}
	}
	return false
}

func decompose(s string, compatibly bool) []rune {
	form := norm.NFD
	if compatibly {
		form = norm.NFKD
	}
	runes := make([]rune, 0, utf8.RuneCountInString(s))
	for _, r := range s {
		if r < utf8.RuneSelf || form.IsNormalString(string(r)) {
			runes = append(runes, r)
		} else {
			runes = append(runes, []rune(form.String(string(r)))...)
		}
	}
	return inOrder(runes)
}

// inOrder sorts every run of marks by their classes. A run may be as long as the
// text: marks are dealt out to their classes instead of compared.
func inOrder(runes []rune) []rune {
	var classes [256][]rune
	for i := 0; i < len(runes); i++ {
		n := i
		for ; n < len(runes) && class(runes[n]) != 0; n++ {
			classes[class(runes[n])] = append(classes[class(runes[n])], runes[n])
		}
		for c := 0; i < n; c++ {
			i += copy(runes[i:n], classes[c])
			classes[c] = classes[c][:0]
		}
	}
	return runes
}

func class(r rune) uint8 {
	var b [utf8.UTFMax]byte
	return norm.NFD.Properties(utf8.AppendRune(b[:0], r)).CCC()
}

// compose joins starters with the marks behind them that nothing blocks.
func compose(runes []rune) []rune {
	out := runes[:0:0]
	starter, last := -1, uint8(0) // of out; the class of what is between
	for _, r := range runes {
		c := class(r)
		if starter >= 0 && (last < c || last == 0 && len(out) == starter+1) {
			if joined, ok := joinRunes(out[starter], r); ok {
				out[starter] = joined
				continue
			}
		}
		if c == 0 {
			starter = len(out)
		}
		last = c
		out = append(out, r)
	}
	return out
}

func joinRunes(a, b rune) (rune, bool) {
	s := norm.NFC.String(string([]rune{a, b}))
	r, n := utf8.DecodeRuneInString(s)
	return r, n == len(s)
}

// lower maps letter by letter, İ alone to two, and never to a final sigma.
func lower(s string) string {
	return strings.ToLower(strings.ReplaceAll(s, "İ", "i\u0307"))
}

// isPunctuation is Python's and BERT's: all of ASCII's signs, and category P.
func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return r > ' ' && r < 0x7F && !('0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z')
	}
	return unicode.Is(unicode.P, r)
}

// isHan reports whether r is in the blocks that BERT sets apart.
func isHan(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || r >= 0x3400 && r <= 0x4DBF ||
		r >= 0x20000 && r <= 0x2A6DF || r >= 0x2A700 && r <= 0x2B73F || r >= 0x2B740 && r <= 0x2B81F ||
		r >= 0x2B920 && r <= 0x2CEAF || r >= 0xF900 && r <= 0xFAFF || r >= 0x2F800 && r <= 0x2FA1F
}
