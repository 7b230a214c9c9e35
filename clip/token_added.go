package clip

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is a token that is recognised in the text itself, before it is cut
// into words.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where no letter is beside it
	LStrip     bool   `json:"lstrip"`      // takes the white space before it along
	RStrip     bool   `json:"rstrip"`      // and after it
	Normalized bool   `json:"normalized"`  // looked for in the normalised text
}

// addedTokens finds tokens in a text, the leftmost first, the longest of those
// that begin together.
type addedTokens struct {
	tokens  map[string]addedToken
	lengths [256][]int // by first byte, of the tokens that begin with it; descending
}

func newAddedTokens(tokens []addedToken) *addedTokens {
	a := &addedTokens{tokens: make(map[string]addedToken, len(tokens))}
	for _, t := range tokens {
		if t.Content == "" {
			continue
		}
		if _, known := a.tokens[t.Content]; known {
			continue
		}
		a.tokens[t.Content] = t
		l := &a.lengths[t.Content[0]]
		if at, found := slices.BinarySearchFunc(*l, len(t.Content), func(a, b int) int { return cmp.Compare(b, a) }); !found {
			*l = slices.Insert(*l, at, len(t.Content))
		}
	}
	return a
}

// cut yields the parts of a text from left to right: tokens, and what is
// between them with id -1. It stops, and returns false, where yield returns
// false.
func (a *addedTokens) cut(w word, yield func(part word, id int32) bool) bool {
	s, begin := w.text, 0
	between := func(to int) bool {
		return begin >= to || yield(word{s[begin:to], w.start && begin == 0}, -1)
	}
	for at := 0; at < len(s) && len(a.tokens) > 0; {
		t, ok := a.at(s, at)
		if !ok {
			at++
			continue
		}
		from, to := at, at+len(t.Content)
		at = to
		if t.SingleWord && (endsWithWord(s[:from]) || beginsWithWord(s[to:])) {
			continue
		}
		if t.LStrip {
			from = max(begin, len(strings.TrimRightFunc(s[:from], unicode.IsSpace)))
		}
		if t.RStrip {
			to = len(s) - len(strings.TrimLeftFunc(s[to:], unicode.IsSpace))
		}
		if from < to && (!between(from) || !yield(word{}, t.ID)) {
			return false
		}
		begin = to // the next may lie in the white space that this one took
	}
	return between(len(s))
}

// at returns the longest token at a place in s.
func (a *addedTokens) at(s string, at int) (addedToken, bool) {
	for _, n := range a.lengths[s[at]] {
		if n <= len(s)-at {
			if t, ok := a.tokens[s[at:at+n]]; ok {
				return t, true
			}
		}
	}
	return addedToken{}, false
}

func endsWithWord(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && isWordRune(r)
}

func beginsWithWord(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && isWordRune(r)
}
