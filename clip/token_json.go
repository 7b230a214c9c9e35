package clip

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/clipsearch/clipsearch"
)

// maxNesting bounds how deep the values of a tokenizer.json may lie in each
// other; real ones stay below ten.
const maxNesting = 64

// jsonReader reads JSON from left to right, each value where it stands. A
// tokenizer.json is megabytes of vocabulary, which package encoding/json would
// go over four times before it reaches a map; a cold search waits for it.
//
// After the first error every method returns at once and err tells it.
type jsonReader struct {
	s     string
	i     int
	depth int
	err   error
}

// newJSONReader reads data, which must be UTF-8.
func newJSONReader(data []byte) *jsonReader {
	r := &jsonReader{s: string(data)}
	if !utf8.ValidString(r.s) {
		r.fail("is not UTF-8")
	}
	r.s = strings.TrimPrefix(r.s, "\uFEFF")
	return r
}

func (r *jsonReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("byte %d: %s: %w", r.i, fmt.Sprintf(format, args...), clipsearch.ErrInvalid)
	}
	r.i = len(r.s)
}

// next skips white space and returns the byte it stands on, 0 at the end.
func (r *jsonReader) next() byte {
	for ; r.i < len(r.s); r.i++ {
		switch c := r.s[r.i]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (r *jsonReader) take(c byte) {
	if r.next() != c {
		r.fail("want %q", c)
		return
	}
	r.i++
}

// list reads what stands between open and shut; each must consume one item.
func (r *jsonReader) list(open, shut byte, each func()) {
	r.take(open)
	if r.depth++; r.depth > maxNesting {
		r.fail("more than %d values in each other", maxNesting)
	}
	if r.err == nil && r.next() == shut {
		r.i++
		r.depth--
		return
	}
	for r.err == nil {
		each()
		if r.next() == shut {
			r.i++
			break
		}
		r.take(',')
	}
	r.depth--
}

// array calls each before every element, which each must consume.
func (r *jsonReader) array(each func()) { r.list('[', ']', each) }

// object calls each with every key, whose value each must consume.
func (r *jsonReader) object(each func(key string)) {
	r.list('{', '}', func() {
		key := r.str()
		r.take(':')
		if r.err == nil {
			each(key)
		}
	})
}

// str reads a string. It shares the memory of the file where nothing is escaped.
func (r *jsonReader) str() string {
	r.take('"')
	for i := r.i; i < len(r.s); i++ {
		switch c := r.s[i]; {
		case c == '"':
			s := r.s[r.i:i]
			r.i = i + 1
			return s
		case c == '\\':
			return r.escaped(i)
		case c < ' ':
			r.fail("control character in a string")
			return ""
		}
	}
	r.fail("a string does not end")
	return ""
}

// escaped reads a string whose first backslash is at i.
func (r *jsonReader) escaped(i int) string {
	for ; i < len(r.s) && r.s[i] != '"'; i++ {
		if r.s[i] == '\\' {
			i++
		}
	}
	if i >= len(r.s) {
		r.fail("a string does not end")
		return ""
	}
	var s string
	if err := json.Unmarshal([]byte(r.s[r.i-1:i+1]), &s); err != nil {
		r.fail("%v", err)
		return ""
	}
	r.i = i + 1
	return s
}

func (r *jsonReader) number() string {
	r.next()
	start := r.i
	for ; r.i < len(r.s); r.i++ {
		switch c := r.s[r.i]; {
		case '0' <= c && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
		default:
			return r.s[start:r.i]
		}
	}
	return r.s[start:]
}

func (r *jsonReader) float() float64 {
	f, err := strconv.ParseFloat(r.number(), 64)
	if err != nil {
		r.fail("want a number")
	}
	return f
}

// id reads a token's number.
func (r *jsonReader) id() int32 {
	n, digits := 0, r.number()
	for i := range len(digits) {
		if n = n*10 + int(digits[i]-'0'); digits[i] < '0' || digits[i] > '9' || n > math.MaxInt32 {
			n, digits = 0, ""
			break
		}
	}
	if digits == "" {
		r.fail("want the number of a token")
	}
	return int32(n)
}

// whole reads a number that is not negative and has no fraction.
func (r *jsonReader) whole() int {
	digits := r.number()
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || len(digits) > 1 && digits[0] == '0' {
		r.fail("want a whole number, not %.30q", digits)
	}
	return int(n)
}

// wholes reads a list of such numbers, most at the most.
func (r *jsonReader) wholes(most int) []int {
	list := []int{}
	r.array(func() {
		if len(list) == most {
			r.fail("more than %d numbers", most)
		}
		list = append(list, r.whole())
	})
	return list
}

// skip passes over one value.
func (r *jsonReader) skip() {
	switch c := r.next(); {
	case c == '{':
		r.object(func(string) { r.skip() })
	case c == '[':
		r.array(r.skip)
	case c == '"':
		r.str()
	case strings.HasPrefix(r.s[r.i:], "true"), strings.HasPrefix(r.s[r.i:], "null"):
		r.i += 4
	case strings.HasPrefix(r.s[r.i:], "false"):
		r.i += 5
	default:
		r.float()
	}
}

// raw returns the text of one value.
func (r *jsonReader) raw() json.RawMessage {
	r.next()
	start := r.i
	if r.skip(); r.err != nil {
		return nil
	}
	return json.RawMessage(r.s[start:r.i])
}

// part is raw of a value that is to be read as a whole later.
func (r *jsonReader) part() json.RawMessage {
	raw := r.raw()
	if len(raw) > maxPart {
		r.fail("a value of %d bytes, more than %d", len(raw), maxPart)
		return nil
	}
	return raw
}

// value reads one value into v, as package encoding/json does.
func (r *jsonReader) value(v any) {
	raw := r.part()
	if r.err != nil {
		return
	}
	if err := json.Unmarshal(raw, v); err != nil {
		r.fail("%v", err)
	}
}

// end checks that nothing follows and returns the first error of all.
func (r *jsonReader) end() error {
	if r.next(); r.err == nil && r.i < len(r.s) {
		r.fail("more than one value")
	}
	return r.err
}
