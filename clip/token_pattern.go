package clip

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipsearch/clipsearch"
)

// matcher returns where the first match in s begins and ends; -1 if there is
// none.
type matcher func(s string) (from, to int)

func matchString(text string) matcher {
	return func(s string) (int, int) {
		at := strings.Index(s, text)
		if at < 0 || text == "" {
			return -1, -1
		}
		return at, at + len(text)
	}
}

// matchRune matches single letters.
func matchRune(is func(rune) bool) matcher {
	return func(s string) (int, int) {
		at := strings.IndexFunc(s, is)
		if at < 0 {
			return -1, -1
		}
		_, n := utf8.DecodeRuneInString(s[at:])
		return at, at + n
	}
}

func matchRegexp(re *regexp.Regexp) matcher {
	return func(s string) (int, int) {
		for at := 0; at < len(s); {
			m := re.FindStringIndex(s[at:])
			if m == nil {
				break
			}
			if m[0] < m[1] {
				return at + m[0], at + m[1]
			}
			_, n := utf8.DecodeRuneInString(s[at+m[0]:])
			at += m[0] + max(n, 1)
		}
		return -1, -1
	}
}

// CLIP's own words: what is left of English contractions, letters, one digit, or
// signs. White space is between them.
const (
	clipWords        = `'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`
	clipWordsSpecial = `<\|startoftext\|>|<\|endoftext\|>|` + clipWords
)

// matchClip is clipWords by hand, which is many times faster than as an
// expression. The specials are tried first, as they would be in front of it.
func matchClip(specials ...string) matcher {
	return func(s string) (int, int) {
		at := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsSpace(r) })
		if at < 0 {
			return -1, -1
		}
		for _, special := range specials {
			if strings.HasPrefix(s[at:], special) {
				return at, at + len(special)
			}
		}
		if n := contraction(s[at:]); n > 0 {
			return at, at + n
		}
		r, n := utf8.DecodeRuneInString(s[at:])
		switch kind := kindOf(r); kind {
		case number:
			return at, at + n
		default:
			return at, at + run(s[at:], kind)
		}
	}
}

// matchGPT2 is the expression that ByteLevel splits by:
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func matchGPT2(s string) (int, int) {
	if s == "" {
		return -1, -1
	}
	if n := contraction(s); n > 0 {
		return 0, n
	}
	lead := 0
	if s[0] == ' ' {
		lead = 1
	}
	r, _ := utf8.DecodeRuneInString(s[lead:])
	if kind := kindOf(r); lead < len(s) && kind != space {
		return 0, lead + run(s[lead:], kind)
	}
	n := run(s, space)
	_, last := utf8.DecodeLastRuneInString(s[:n])
	if n < len(s) && n > last {
		n -= last // the last space may belong to the next word
	}
	return 0, n
}

// contraction returns the bytes of 's, 't, 're, 've, 'm, 'll or 'd in front of s.
func contraction(s string) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	switch s[1] {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if len(s) > 2 && s[2] == 'e' {
			return 3
		}
	case 'l':
		if len(s) > 2 && s[2] == 'l' {
			return 3
		}
	}
	return 0
}

type runeKind int

const (
	sign runeKind = iota
	letter
	number
	space
)

func kindOf(r rune) runeKind {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return sign
}

// run returns how many bytes of s are of one kind.
func run(s string, kind runeKind) int {
	if n := strings.IndexFunc(s, func(r rune) bool { return kindOf(r) != kind }); n >= 0 {
		return n
	}
	return len(s)
}

// Sets that package regexp knows by ASCII alone, as ranges.
const (
	spaceSet = `\t-\r\x20\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}`
	wordSet  = `\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}Ⓐ-ⓩ\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189}`
	alone    = `²³¹¼-¾` // in \w where that is not in a set
)

// compilePattern makes an expression of the reference's (Oniguruma's) syntax
// ours. It refuses what cannot be said in package regexp's, such as a look at
// what follows.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString("(?m)")
	class := false
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			i++
			b.WriteString(escape(pattern[i], class))
		case class && (c == '[' || c == '&' && strings.HasPrefix(pattern[i:], "&&")):
			return nil, fmt.Errorf("pattern %.100q: a set in a set is not known here: %w", pattern, clipsearch.ErrInvalid)
		default:
			if c == '[' {
				class = true
			} else if c == ']' {
				class = false
			}
			b.WriteByte(c)
		}
	}
	if err := smallPattern(pattern, b.String()); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(b.String())
	if bad, ok := errors.AsType[*syntax.Error](err); ok {
		return nil, fmt.Errorf("pattern %.100q is not known here: %v: %w", pattern, bad.Code, clipsearch.ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("pattern %.100q is not known here: %w", pattern, clipsearch.ErrInvalid)
	}
	return re, nil
}

// escape translates what follows a backslash, in a set or outside.
func escape(c byte, class bool) string {
	word := wordSet
	if !class {
		word += alone
	}
	set := map[byte]string{'s': spaceSet, 'w': word, 'd': `\p{Nd}`, 'h': `0-9a-fA-F`}[c|0x20]
	switch negated := c < 'a'; {
	case set == "":
		return `\` + string(c)
	case class && negated:
		return `\` + string(c) + `(` // refused by package regexp
	case class:
		return set
	case negated:
		return "[^" + set + "]"
	}
	return "[" + set + "]"
}
