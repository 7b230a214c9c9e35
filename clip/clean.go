package clip

import (
	"html"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// cleanText does to a text what open_clip does before it lowers it: it repairs
// it (as ftfy would), unescapes HTML twice and makes every run of white space
// one space.
func cleanText(s string) string {
	return collapse(unescapeHTML(unescapeHTML(repair(s))))
}

// canonicalize is what open_clip does for towers that were trained on text
// without punctuation, SigLIP's among them.
func canonicalize(s string) string {
	s = unescapeHTML(unescapeHTML(repair(s)))
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '_':
			return ' '
		case r < utf8.RuneSelf && isPunctuation(r):
			return -1
		}
		return r
	}, s)
	return collapse(lowerPython(s))
}

func collapse(s string) string { return strings.Join(strings.FieldsFunc(s, isPythonSpace), " ") }

// isPythonSpace counts the four separators of ASCII among white space.
func isPythonSpace(r rune) bool { return unicode.IsSpace(r) || 0x1C <= r && r <= 0x1F }

// lowerPython is lower but for a capital sigma at the end of a word.
func lowerPython(s string) string {
	if !strings.ContainsRune(s, 'Σ') {
		return lower(s)
	}
	var b strings.Builder
	for i, r := range s {
		if r == 'Σ' && endsCased(s[:i]) && !beginsCased(s[i+len("Σ"):]) {
			r = 'ς'
		}
		b.WriteRune(r)
	}
	return lower(b.String())
}

// endsCased and beginsCased report whether the nearest letter is one with case.
func endsCased(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(strings.TrimRightFunc(s, caseIgnorable))
	return isCased(r)
}

func beginsCased(s string) bool {
	r, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(s, caseIgnorable))
	return isCased(r)
}

func isCased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Lowercase, unicode.Other_Uppercase)
}

func caseIgnorable(r rune) bool {
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) || strings.ContainsRune("'.:·’․‘", r)
}

// maxRepairs bounds how often a text is repaired again because the last repair
// changed it: each undoes one mistake made on top of another.
const maxRepairs = 10

// repair undoes what programs do to a text on its way, line by line. After the
// first "<" nothing is unescaped any more: it may be HTML.
func repair(s string) string {
	var b strings.Builder
	escaped := true
	for line := range strings.Lines(s) {
		escaped = escaped && !strings.Contains(line, "<")
		for range maxRepairs {
			before := line
			if escaped {
				line = unescapeEntities(line)
			}
			line = normalize(norm.NFC, plain(recode(line)))
			if line == before {
				break
			}
		}
		b.WriteString(line)
	}
	return b.String()
}

// plain replaces the signs that stand for plainer ones, and drops controls.
func plain(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if n := terminalEscape(s[i:]); n > 0 {
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		if 0x80 <= r && r <= 0x9F {
			r = windows1252(byte(r))
		}
		switch {
		case r >= 0xFF01 && r <= 0xFFEF: // letters as wide as Chinese ones, and halves
			b.WriteString(norm.NFKC.String(string(r)))
		case isControl(r):
		default:
			b.WriteString(plainRune(r))
		}
	}
	return b.String()
}

// isPlain reports whether s has ASCII's letters, signs and white space only.
func isPlain(s string) bool {
	for i := range len(s) {
		if (s[i] < ' ' || s[i] >= 0x7F) && s[i] != '\n' && s[i] != '\t' && s[i] != '\r' {
			return false
		}
	}
	return true
}

// isControl reports whether r is never meant to be in a text.
func isControl(r rune) bool {
	switch {
	case r <= 0x08, r == 0x0B, 0x0E <= r && r <= 0x1F, r == 0x7F, r == 0xFEFF:
		return true
	}
	return 0x206A <= r && r <= 0x206F || 0xFFF9 <= r && r <= 0xFFFC
}

func plainRune(r rune) string {
	switch r {
	case 'ʼ', '‘', '’', '‚', '‛':
		return "'"
	case '“', '”', '„', '‟':
		return `"`
	case '\u3000':
		return " "
	case '\r', '\u0085', '\u2028', '\u2029':
		return "\n"
	case 'ŉ':
		return "ʼn"
	case 'ﬅ':
		return "ſt"
	}
	switch {
	case r == 'Ĳ', r == 'ĳ', 'Ǆ' <= r && r <= 'ǌ', 'Ǳ' <= r && r <= 'ǳ', 'ﬀ' <= r && r <= 'ﬆ':
		return norm.NFC.String(norm.NFKC.String(string(r))) // two letters in one sign
	}
	return string(r)
}

// terminalEscape returns the bytes of ESC [ 1 ; 2 m and its like in front of s.
func terminalEscape(s string) int {
	if !strings.HasPrefix(s, "\x1b[") {
		return 0
	}
	n := 2
	for n < len(s) && (s[n] >= '0' && s[n] <= '9' || s[n] == ';') {
		n++
	}
	if n < len(s) && (s[n]|0x20) >= 'a' && (s[n]|0x20) <= 'z' {
		return n + 1
	}
	return 0
}

// unescapeEntities replaces what is surely HTML's: &name; and &#number; with the
// semicolon, and names in capitals that stand for capitals.
func unescapeEntities(s string) string {
	return replaceEntities(s, func(entity string) string {
		text := unescapeEntity(entity)
		if !strings.HasSuffix(entity, ";") || strings.HasSuffix(text, ";") && text != ";" {
			return entity
		}
		return text
	}, true)
}

// unescapeHTML replaces HTML's entities as a browser would: old names need no
// semicolon.
func unescapeHTML(s string) string { return replaceEntities(s, unescapeEntity, false) }

func replaceEntities(s string, text func(entity string) string, capitals bool) string {
	if !strings.Contains(s, "&") {
		return s
	}
	var b strings.Builder
	for {
		at := strings.IndexByte(s, '&')
		if at < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:at])
		s = s[at:]
		n := entityLength(s)
		entity := s[:n]
		replaced := text(entity)
		if capitals && replaced == entity && strings.HasSuffix(entity, ";") && entity == strings.ToUpper(entity) && unescapeEntity(entity) == entity {
			if lowered := strings.ToLower(entity); text(lowered) != lowered {
				replaced = strings.ToUpper(text(lowered))
			}
		}
		b.WriteString(replaced)
		s = s[n:]
	}
}

// entityLength returns the bytes of what may be an entity in front of s, which
// begins with &.
func entityLength(s string) int {
	n := 1
	if n < len(s) && s[n] == '#' {
		n++
	}
	for n < len(s) && n < 40 && isASCIIAlnum(s[n]) {
		n++
	}
	if n < len(s) && s[n] == ';' {
		n++
	}
	return n
}

func isASCIIAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// unescapeEntity returns the text for an entity and whatever follows it.
func unescapeEntity(entity string) string {
	digits, numeric := strings.CutPrefix(entity, "&#")
	if !numeric {
		return html.UnescapeString(entity)
	}
	base, is := rune(10), isDigit
	if digits != "" && digits[0]|0x20 == 'x' {
		digits, base, is = digits[1:], 16, isHexDigit
	}
	n := 0
	var r rune
	for ; n < len(digits) && is(digits[n]); n++ {
		r = min(r*base+digit(digits[n]), unicode.MaxRune+1)
	}
	if n == 0 {
		return entity
	}
	return numbered(r) + strings.TrimPrefix(digits[n:], ";")
}

func isDigit(c byte) bool    { return '0' <= c && c <= '9' }
func isHexDigit(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func digit(c byte) rune {
	if isDigit(c) {
		return rune(c - '0')
	}
	return rune(c|0x20-'a') + 10
}

// numbered returns the letter that HTML means by a number.
func numbered(r rune) string {
	switch {
	case r == 0, 0xD800 <= r && r <= 0xDFFF, r > unicode.MaxRune:
		return "\uFFFD"
	case 0x80 <= r && r <= 0x9F:
		return string(windows1252(byte(r)))
	case r <= 0x08, r == 0x0B, 0x0E <= r && r <= 0x1F, r == 0x7F, 0xFDD0 <= r && r <= 0xFDEF, r&0xFFFE == 0xFFFE:
		return ""
	}
	return string(r)
}
