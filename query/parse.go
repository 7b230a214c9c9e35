package query

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipsearch/clipsearch"
)

// Note tells how part of a query was read where it could have meant more.
type Note struct {
	Offset int    `json:"offset"` // in bytes
	Text   string `json:"text"`
	Damage bool   `json:"-"` // it is about the index, not the query
}

// ParseOptions say how to read a query.
type ParseOptions struct {
	Strict bool // what would be a note is an error
}

// A SyntaxError says where a query went wrong.
type SyntaxError struct {
	Input  string
	Offset int // in bytes
	Msg    string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("query %q, byte %d: %s", e.Input, e.Offset, e.Msg)
}

// Unwrap marks every syntax error as the caller's mistake.
func (e *SyntaxError) Unwrap() error { return clipsearch.ErrInvalid }

// Parse reads a query. It fails only where a known field has a value that cannot
// be read, or, with Strict, on whatever it would note otherwise; the error is a
// [*SyntaxError]. The notes stand in the order of their offsets and are never
// nil; settings that the language does not have are at their defaults.
func Parse(s string, o ParseOptions) (Query, []Note, error) {
	items, notes := lex(s)
	p := parser{items: items, notes: append([]Note{}, notes...), query: Query{Limit: 20}}
	p.plainSigns(o.Strict)
	if err := p.run(); err != nil {
		err.Input = s
		return Query{}, nil, err
	}
	slices.SortStableFunc(p.notes, func(a, b Note) int { return cmp.Compare(a.Offset, b.Offset) })
	if o.Strict && len(p.notes) > 0 {
		return Query{}, nil, &SyntaxError{Input: s, Offset: p.notes[0].Offset, Msg: p.notes[0].Text}
	}
	return p.query, p.notes, nil
}

type parser struct {
	items []item
	notes []Note
	query Query
}

func (p *parser) note(offset int, text string) {
	p.notes = append(p.notes, Note{Offset: offset, Text: text})
}

// plainSigns turns into words the signs that are no arithmetic: those with
// nothing behind them, and all in what reads as a sentence.
func (p *parser) plainSigns(strict bool) {
	for i, it := range p.items {
		if it.kind == sign && !p.operand(i+1) {
			p.note(it.offset, fmt.Sprintf("a lone %s is plain text", it.text))
			p.items[i].kind = word
		}
	}
	if strict || !isSentence(p.sides()) {
		return
	}
	for i, it := range p.items {
		if it.kind == sign {
			p.note(it.offset, fmt.Sprintf("the %s reads as part of a sentence; for arithmetic keep each side under %d words", it.text, longestSide+1))
			p.items[i].kind = word
		}
	}
}

// operand reports whether item i is something to add or subtract.
func (p *parser) operand(i int) bool {
	if i >= len(p.items) {
		return false
	}
	it := p.items[i]
	return it.kind == word || it.kind == phrase || it.kind == weight && !it.minus ||
		it.kind == field && it.name == "similar" && !it.minus
}

// sides returns the words between the signs and weights.
func (p *parser) sides() [][]string {
	sides := [][]string{nil}
	for _, it := range p.items {
		last := len(sides) - 1
		switch it.kind {
		case sign, weight:
			sides = append(sides, nil)
		case word, phrase:
			sides[last] = append(sides[last], strings.Fields(it.text)...)
		}
	}
	return sides
}

const longestSide = 6 // words of a side in arithmetic

// isSentence tells a pasted sentence with a dash in it from arithmetic.
func isSentence(sides [][]string) bool {
	words := slices.Concat(sides...)
	if len(words) == 0 {
		return false
	}
	for _, s := range sides {
		if len(s) > longestSide {
			return true
		}
	}
	first, _ := utf8.DecodeRuneInString(words[0])
	last, _ := utf8.DecodeLastRuneInString(words[len(words)-1])
	return strings.ContainsRune(".!?", last) || unicode.IsUpper(first) && len(words) > longestSide+2
}

// run builds the query from the items.
func (p *parser) run() *SyntaxError {
	text := &p.query.Text // what words are added to
	for i := 0; i < len(p.items); i++ {
		it := p.items[i]
		switch it.kind {
		case word, phrase:
			*text = strings.TrimPrefix(*text+" "+it.text, " ")
			if it.kind == phrase {
				p.query.Phrases = append(p.query.Phrases, it.text)
			}
		case not:
			p.query.Not = append(p.query.Not, it.text)
		case field:
			if err := p.field(it); err != nil {
				return err
			}
		case sign:
			if next := &p.items[i+1]; next.kind == weight || next.kind == field {
				next.minus = it.text == "-"
				continue
			}
			text = p.term(1, it.text == "-")
		case weight:
			w, _ := strconv.ParseFloat(it.text, 64) // the lexer took digits only
			text = p.term(w, it.minus)
		}
	}
	return nil
}

// term begins another term and returns where its words go.
func (p *parser) term(weight float64, minus bool) *string {
	if minus {
		weight = -weight
	}
	p.query.Terms = append(p.query.Terms, Term{Weight: weight})
	return &p.query.Terms[len(p.query.Terms)-1].Text
}

func (p *parser) field(it item) *SyntaxError {
	if it.name == "similar" {
		id, err := clipsearch.ParseID(it.text)
		if err != nil {
			return &SyntaxError{Offset: it.offset, Msg: fmt.Sprintf("%q is no picture id: it has 32 hexadecimal digits", it.text)}
		}
		if it.minus {
			p.query.Unlike = append(p.query.Unlike, id)
		} else {
			p.query.Similar = append(p.query.Similar, id)
		}
		return nil
	}
	pred, err := predicate(it.name, it.text)
	if err != nil {
		return &SyntaxError{Offset: it.offset, Msg: err.Error()}
	}
	if it.name == "type" && !slices.Contains(types[:], pred.Text) {
		p.note(it.offset, fmt.Sprintf("%q is no type of picture; %s are", it.text, strings.Join(types[:], ", ")))
	}
	pred.Not = it.minus
	p.query.Filter = append(p.query.Filter, pred)
	return nil
}
