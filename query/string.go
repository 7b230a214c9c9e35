package query

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// String writes q in the language: [Parse] reads the same query from it. What
// the language has no words for (the vector, the mode, the page) is left out.
func (q Query) String() string {
	w := writer{phrases: q.Phrases}
	texts := []string{q.Text}
	for _, t := range q.Terms {
		texts = append(texts, t.Text)
	}
	sides := make([][]string, len(texts))
	for i, t := range texts {
		sides[i] = strings.Fields(t)
	}
	w.text(sides[0])
	for i, t := range q.Terms {
		w.term(t.Weight, sides[i+1], isSentence(sides))
	}
	for _, p := range w.phrases { // of a query that Parse did not make
		w.add(`"` + p + `"`)
	}
	for _, n := range q.Not {
		w.not(n)
	}
	for _, id := range q.Similar {
		w.add("similar:" + id.String())
	}
	for _, id := range q.Unlike {
		w.add("-similar:" + id.String())
	}
	for _, p := range q.Filter {
		w.add(written(p))
	}
	return strings.Join(w.parts, " ")
}

// writer puts a query together.
type writer struct {
	parts   []string
	phrases []string // not yet written
}

func (w *writer) add(s string) { w.parts = append(w.parts, s) }

// text writes words, quotes around those that are the next phrase, a backslash
// before those that would be read as something else.
func (w *writer) text(words []string) {
	for len(words) > 0 {
		if len(w.phrases) > 0 {
			p := strings.Fields(w.phrases[0])
			if len(p) > 0 && len(p) <= len(words) && slices.Equal(p, words[:len(p)]) {
				w.add(`"` + strings.Join(p, " ") + `"`)
				w.phrases, words = w.phrases[1:], words[len(p):]
				continue
			}
		}
		w.add(escaped(words[0]))
		words = words[1:]
	}
}

func escaped(s string) string {
	items, _ := lex(s)
	inert := len(items) == 1 && items[0].kind == word && items[0].text == s
	if inert && !strings.ContainsFunc(s, isQuote) && s != `\` {
		return s
	}
	return `\` + s
}

// term writes a weighted text. Its sign stands alone where that reads as
// arithmetic, and else before the weight: 1:word.
func (w *writer) term(weight float64, words []string, glued bool) {
	if len(words) == 0 {
		return
	}
	mark := ""
	if weight < 0 {
		mark, weight = "-", -weight
	}
	number := strconv.FormatFloat(weight, 'f', -1, 64) + ":"
	if !glued {
		w.add(map[string]string{"": "+", "-": "-"}[mark])
		mark = ""
		if weight == 1 {
			number = ""
		}
	}
	at := len(w.parts)
	w.text(words)
	if first := w.parts[at]; number != "" {
		if !weightable(first) {
			first = `\` + first
		}
		w.parts[at] = mark + number + first
	}
}

// weightable reports whether a weight may stand before s.
func weightable(s string) bool {
	first := []rune(s)[0]
	return unicode.IsLetter(first) || isQuote(first) || first == '\\'
}

func (w *writer) not(s string) {
	items, _ := lex("-" + s)
	if len(items) == 1 && items[0].kind == not && items[0].text == s {
		w.add("-" + s)
	} else if s = strings.TrimSpace(s); s != "" {
		w.add(`-"` + s + `"`)
	}
}
