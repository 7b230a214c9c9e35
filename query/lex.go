package query

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a piece of a query is.
type kind int

const (
	word    kind = iota // text
	phrase              // quoted
	not                 // -word or -"words"
	sign                // a lone + or -
	weight              // 2: in front of a word or a phrase
	field               // name:value or -name:value
	comment             // nothing but a note
)

// item is a piece of a query.
type item struct {
	kind   kind
	offset int
	text   string // of a word, phrase or not; the sign, weight or value as written
	name   string // of a field, in lower case
	minus  bool   // of a field, or a weight: there is a - in front
}

// lexer cuts a query into items. It accepts every input.
type lexer struct {
	input string
	at    int
	items []item
	notes []Note
}

const quotes = `"“”„`

func isQuote(r rune) bool { return strings.ContainsRune(quotes, r) }

func lex(input string) ([]item, []Note) {
	l := &lexer{input: input}
	for l.skipSpace(); l.at < len(l.input); l.skipSpace() {
		l.next()
	}
	return l.items, l.notes
}

func (l *lexer) skipSpace() {
	rest := strings.TrimLeftFunc(l.input[l.at:], unicode.IsSpace)
	l.at = len(l.input) - len(rest)
}

func (l *lexer) note(offset int, text string) {
	l.notes = append(l.notes, Note{Offset: offset, Text: text})
}

// emit adds an item and moves on behind its n bytes.
func (l *lexer) emit(it item, n int) {
	it.offset = l.at
	it.text = strings.ToValidUTF8(it.text, "\uFFFD")
	if it.kind == phrase || it.kind == not {
		it.text = strings.Join(strings.Fields(it.text), " ")
	}
	l.items = append(l.items, it)
	l.at += n
}

// next reads what begins at l.at, which is no space.
func (l *lexer) next() {
	token := l.token(l.at)
	first, size := utf8.DecodeRuneInString(token)
	switch {
	case first == '\\' && len(token) > 1:
		l.emit(item{kind: word, text: token[1:]}, len(token))
	case isQuote(first) && size == len(token):
		l.prose(size)
	case isQuote(first):
		l.phrase()
	case token == "+" || token == "-":
		l.emit(item{kind: sign, text: token}, 1)
	case first == '-':
		l.minus(token)
	case l.weighted(token, false), l.fielded(token, false):
	default:
		l.emit(item{kind: word, text: token}, len(token))
	}
}

// token returns what stands from i to the next space.
func (l *lexer) token(i int) string {
	rest := l.input[i:]
	if end := strings.IndexFunc(rest, unicode.IsSpace); end >= 0 {
		return rest[:end]
	}
	return rest
}

// prose reads a quote that a space follows: up to the next quote all is text.
func (l *lexer) prose(size int) {
	end := strings.IndexFunc(l.input[l.at+size:], isQuote)
	if end < 0 {
		l.note(l.at, "a lone quote is plain text")
		l.emit(item{kind: word, text: l.input[l.at : l.at+size]}, size)
		return
	}
	for stop := l.at + size + end; l.at <= stop; l.skipSpace() {
		token := l.token(l.at)
		l.emit(item{kind: word, text: token}, len(token))
	}
}

// quoted returns what stands in quotes at i, and how many bytes that takes.
func (l *lexer) quoted(i int) (text string, n int, closed bool) {
	open, size := utf8.DecodeRuneInString(l.input[i:])
	if !isQuote(open) {
		return "", 0, false
	}
	rest := l.input[i+size:]
	end := strings.IndexFunc(rest, isQuote)
	if end < 0 {
		return "", 0, false
	}
	_, closing := utf8.DecodeRuneInString(rest[end:])
	return rest[:end], size + end + closing, true
}

// phrase reads what begins with a quote.
func (l *lexer) phrase() {
	text, n, closed := l.quoted(l.at)
	switch {
	case !closed:
		l.note(l.at, "the quote is not closed: it is plain text")
		token := l.token(l.at)
		l.emit(item{kind: word, text: token}, len(token))
	case strings.TrimSpace(text) == "":
		l.note(l.at, "there is nothing between the quotes")
		l.emit(item{kind: comment}, n)
	default:
		l.emit(item{kind: phrase, text: text}, n)
	}
}

// minus reads a token that begins with a dash and goes on.
func (l *lexer) minus(token string) {
	next, _ := utf8.DecodeRuneInString(token[1:])
	text, n, closed := l.quoted(l.at + 1)
	switch {
	case closed && strings.TrimSpace(text) != "":
		l.emit(item{kind: not, text: text}, 1+n)
	case l.weighted(token[1:], true), l.fielded(token[1:], true):
	case inWord(next) && !strings.ContainsFunc(token, isQuote):
		l.emit(item{kind: not, text: token[1:]}, len(token))
	default:
		l.note(l.at, "a dash with no word behind it is plain text")
		l.emit(item{kind: word, text: token}, len(token))
	}
}

// weighted reads a number and a colon in front of a letter, a quote or a
// backslash. 6:30 is a time, and text.
func (l *lexer) weighted(token string, minus bool) bool {
	number, behind, ok := strings.Cut(token, ":")
	next, _ := utf8.DecodeRuneInString(behind)
	if !ok || !isWeight(number) || !(unicode.IsLetter(next) || isQuote(next) || next == '\\') {
		return false
	}
	dash := 0
	if minus {
		dash = 1
	}
	begin := l.at + dash + len(number) + 1
	if text, n, closed := l.quoted(begin); closed && strings.TrimSpace(text) != "" {
		l.emit(item{kind: weight, text: number, minus: minus}, begin-l.at)
		l.emit(item{kind: phrase, text: text}, n)
		return true
	}
	if isQuote(next) || behind == `\` {
		return false
	}
	l.emit(item{kind: weight, text: number, minus: minus}, begin-l.at)
	l.emit(item{kind: word, text: strings.TrimPrefix(behind, `\`)}, len(behind))
	return true
}

// isWeight reports whether s is a decimal number above zero, and a sane one.
func isWeight(s string) bool {
	whole, fraction, _ := strings.Cut(s, ".")
	digits := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	return whole != "" && len(s) <= 24 && digits(whole) && digits(fraction) && strings.Trim(s, "0.") != ""
}

// fielded reads name:value.
func (l *lexer) fielded(token string, minus bool) bool {
	name, value, ok := strings.Cut(token, ":")
	if !ok || name == "" || strings.IndexFunc(name, func(r rune) bool { return !unicode.IsLetter(r) }) >= 0 {
		return false
	}
	begin := l.at + len(name) + 1
	if minus {
		begin++
	}
	lower := strings.ToLower(name)
	if !known(lower) {
		l.note(l.at, strings.ToValidUTF8(lower, "\uFFFD")+": is no field; "+nearestField(lower)+": is")
		return false
	}
	n := len(value)
	if text, quoted, closed := l.quoted(begin); closed {
		value, n = text, quoted
	} else if first, _ := utf8.DecodeRuneInString(value); isQuote(first) {
		l.note(begin, "the quote is not closed: it is plain text")
		return false
	}
	if strings.TrimSpace(value) == "" {
		l.note(l.at, lower+": has no value right behind it: it is plain text")
		return false
	}
	l.emit(item{kind: field, name: lower, text: value, minus: minus}, begin+n-l.at)
	return true
}
