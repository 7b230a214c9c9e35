package clip

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// recode undoes the reading of UTF-8 as Windows-1252: "cafÃ©" is café again,
// unless what was read may have been meant, as in "il est né…»".
func recode(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	before := ' '
	for s != "" {
		r, n := misread(s)
		if n == 0 {
			r, n = utf8.DecodeRuneInString(s)
			r = beforeSpace(before, r, s[n:])
		}
		b.WriteRune(r)
		before, s = r, s[n:]
	}
	return b.String()
}

// beforeSpace returns r, or what it was before somebody took the second byte of
// a no-break space or of "à" for a space.
func beforeSpace(before, r rune, after string) rune {
	switch {
	case r != 'Â' && r != 'Ã', !strings.HasPrefix(after, " "), !unicode.IsSpace(before) && !unicode.IsLower(before):
		return r
	case r == 'Â':
		return ' '
	}
	return 'à'
}

// misread returns the letter whose UTF-8 the first letters of s are, and how
// many bytes those have; 0 if they are themselves.
func misread(s string) (rune, int) {
	var bytes [utf8.UTFMax]byte
	n, count := 0, 0
	for count < len(bytes) && n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		b, ok := byte1252(r)
		if !ok || (count == 0) != (b >= 0xC2) || count > 0 && b >= 0xC0 {
			break
		}
		bytes[count] = b
		count, n = count+1, n+size
		if utf8.FullRune(bytes[:count]) {
			break
		}
	}
	r, size := utf8.DecodeRune(bytes[:count])
	if r == utf8.RuneError || size != count || !unlikely(bytes[:size]) {
		return 0, 0
	}
	return r, n
}

// odd are signs that hardly follow a letter.
const odd = "ƒ†‡ˆ‰ŠŒŽ˜œŸ¤¦¨ª¬¯¸º\u0081\u008D\u008F\u0090\u009D"

// unlikely reports whether the bytes of one letter are hardly two or more of
// Windows-1252.
func unlikely(letter []byte) bool {
	isOdd := func(i int) bool { return strings.ContainsRune(odd, windows1252(letter[i])) }
	switch first := letter[0]; {
	case len(letter) < 2:
		return false
	case len(letter) == 4: // ð, in front of three signs
		return true
	case len(letter) == 3 && isOdd(1):
		return true
	case len(letter) == 3:
		return strings.ContainsRune("€¢£¥", windows1252(letter[1])) || isOdd(2) && !strings.ContainsRune("…’–—\u00A0\u00AD°´·", windows1252(letter[1]))
	case first == 0xC2: // Â, before a sign; before a quotation mark it may end a word
		return letter[1] >= 0xA0
	case first == 0xC3, first == 0xCE, first == 0xD0: // Ã, Î and Ð: the Latin, Greek and Cyrillic letters
		return !strings.ContainsRune("…’", windows1252(letter[1]))
	case first == 0xD7, 0xD2 <= first && first <= 0xDE && first != 0xD8 && first != 0xDC && first != 0xDD:
		return false
	}
	return isOdd(1) && !strings.ContainsRune("ŠŒŽœŸ", windows1252(letter[1])) || strings.ContainsRune("§°±²³µ¶¹¼½¾", windows1252(letter[1]))
}

// windows1252 returns the letter of a byte; the five that have none are
// controls.
func windows1252(b byte) rune {
	if r := charmap.Windows1252.DecodeByte(b); r != utf8.RuneError {
		return r
	}
	return rune(b)
}

func byte1252(r rune) (byte, bool) {
	if b, ok := charmap.Windows1252.EncodeRune(r); ok {
		return b, true
	}
	return byte(r), 0x80 <= r && r <= 0x9F
}
