package clip

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// recode undoes the reading of UTF-8 as Windows-1252 ("cafÃ©" is café again).
// Three or more letters that make one are no accident; two are one only where
// they hardly stand side by side in any language.
func recode(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	for s != "" {
		if r, n := misread(s); n > 0 {
			b.WriteRune(r)
			s = s[n:]
			continue
		}
		_, n := utf8.DecodeRuneInString(s)
		b.WriteString(s[:n])
		s = s[n:]
	}
	return b.String()
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
	if r == utf8.RuneError || size != count || size < 2 || size == 2 && !unlikely(bytes[0], bytes[1]) {
		return 0, 0
	}
	return r, n
}

// unlikely reports whether two bytes are hardly two letters of Windows-1252.
func unlikely(first, second byte) bool {
	switch first {
	case 0xC2: // Â before a sign; before a quotation mark it may end a word
		return second > 0xA0
	case 0xC3, 0xCE, 0xD0: // Ã, Î and Ð: the Latin, Greek and Cyrillic letters
		return true
	case 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD9, 0xDA, 0xDB, 0xDE:
		return false
	}
	return strings.ContainsRune("ƒ†‡ˆ‰˜¤¦§¨ª¬¯°±²³µ¶¸¹º¼½¾", windows1252(second))
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
