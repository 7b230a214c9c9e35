package clip

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/clipsearch/clipsearch"
	"golang.org/x/text/unicode/norm"
)

// normalizer changes a text before it is cut into words.
type normalizer func(string) string

// normalizerOptions holds the keys of all normalisers of a tokenizer.json.
type normalizerOptions struct {
	Type         string            `json:"type"`
	Normalizers  []json.RawMessage `json:"normalizers"`
	CleanText    bool              `json:"clean_text"`
	Han          bool              `json:"handle_chinese_chars"`
	StripAccents *bool             `json:"strip_accents"`
	Lowercase    bool              `json:"lowercase"`
	Pattern      json.RawMessage   `json:"pattern"`
	Content      string            `json:"content"`
	Left         bool              `json:"strip_left"`
	Right        bool              `json:"strip_right"`
	Prepend      string            `json:"prepend"`
	Charsmap     string            `json:"precompiled_charsmap"`
}

// newNormalizer reads a normaliser.
func newNormalizer(raw json.RawMessage, s *stages) (normalizer, error) {
	if isNull(raw) {
		return func(s string) string { return s }, nil
	}
	var o normalizerOptions
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, fmt.Errorf("normalizer: %v: %w", err, clipsearch.ErrInvalid)
	}
	switch o.Type {
	case "Sequence":
		return o.sequence(s)
	case "NFC":
		return func(s string) string { return normalize(norm.NFC, s) }, nil
	case "NFD":
		return func(s string) string { return normalize(norm.NFD, s) }, nil
	case "NFKC":
		return func(s string) string { return normalize(norm.NFKC, s) }, nil
	case "NFKD":
		return func(s string) string { return normalize(norm.NFKD, s) }, nil
	case "Lowercase":
		return lower, nil
	case "StripAccents":
		return func(s string) string { return without(unicode.M, s) }, nil
	case "BertNormalizer":
		return o.bert, nil
	case "Replace":
		return o.replace()
	case "Strip":
		return o.strip, nil
	case "Prepend":
		if len(o.Prepend) > maxInsert {
			return nil, fmt.Errorf("normalizer Prepend: puts in %d bytes, more than %d: %w", len(o.Prepend), maxInsert, clipsearch.ErrInvalid)
		}
		return o.prepend, nil
	case "Nmt":
		return nmt, nil
	case "Precompiled":
		if o.Charsmap == "" {
			return func(s string) string { return s }, nil
		}
		c, err := readCharsmap(o.Charsmap)
		if err != nil {
			return nil, err
		}
		return c.normalize, nil
	}
	return nil, fmt.Errorf("normalizer %.100q is not known here: %w", o.Type, clipsearch.ErrInvalid)
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func (o normalizerOptions) sequence(s *stages) (normalizer, error) {
	var steps []normalizer
	err := s.each(o.Normalizers, func(raw json.RawMessage) error {
		step, err := newNormalizer(raw, s)
		steps = append(steps, step)
		return err
	})
	return func(s string) string {
		most := mostOf(len(s))
		for _, step := range steps {
			s = cutText(step(s), most)
		}
		return s
	}, err
}

// bert is the normaliser of BERT's own tokeniser.
func (o normalizerOptions) bert(s string) string {
	if o.CleanText {
		s = strings.Map(cleanRune, s)
	}
	if o.Han {
		s = spaceHan(s)
	}
	if o.StripAccents != nil && *o.StripAccents || o.StripAccents == nil && o.Lowercase {
		s = without(unicode.Mn, normalize(norm.NFD, s))
	}
	if o.Lowercase {
		s = lower(s)
	}
	return s
}

// cleanRune makes white space a space and drops what is not to be seen.
func cleanRune(r rune) rune {
	switch {
	case r == '\t' || r == '\n' || r == '\r':
		return ' '
	case r == 0 || r == 0xFFFD || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co):
		return -1
	case unicode.IsSpace(r):
		return ' '
	}
	return r
}

func spaceHan(s string) string {
	if strings.IndexFunc(s, isHan) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isHan(r) {
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func without(table *unicode.RangeTable, s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0x80 && unicode.Is(table, r) {
			return -1
		}
		return r
	}, s)
}

func (o normalizerOptions) replace() (normalizer, error) {
	text, re, err := readPattern(o.Pattern)
	if err != nil {
		return nil, err
	}
	content := o.Content
	if len(content) > maxInsert {
		return nil, fmt.Errorf("normalizer Replace: puts in %d bytes, more than %d: %w", len(content), maxInsert, clipsearch.ErrInvalid)
	}
	most := maxGrown / (len(content) + 1)
	switch {
	case re == nil && text == "":
		return func(s string) string { return s }, nil
	case re == nil:
		return func(s string) string { return strings.ReplaceAll(cutText(s, most), text, content) }, nil
	case text == `\s+`:
		return func(s string) string { return replaceSpaces(cutText(s, most), content) }, nil
	}
	return func(s string) string { return re.ReplaceAllLiteralString(cutText(s, most), content) }, nil
}

// replaceSpaces puts content in place of every run of white space.
func replaceSpaces(s, content string) string {
	var b strings.Builder
	for {
		at := strings.IndexFunc(s, unicode.IsSpace)
		if at < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:at])
		b.WriteString(content)
		s = strings.TrimLeftFunc(s[at:], unicode.IsSpace)
	}
}

func (o normalizerOptions) strip(s string) string {
	if o.Left {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
	}
	if o.Right {
		s = strings.TrimRightFunc(s, unicode.IsSpace)
	}
	return s
}

func (o normalizerOptions) prepend(s string) string {
	if s == "" {
		return s
	}
	return o.Prepend + s
}

// nmt drops control characters and makes every other kind of gap a space.
func nmt(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 0x01 <= r && r <= 0x08, r == 0x0B, 0x0E <= r && r <= 0x1F, r == 0x7F, r == 0x8F, r == 0x9F:
			return -1
		case r == '\t', r == '\n', r == '\f', r == '\r', r == 0x1680, 0x200B <= r && r <= 0x200F,
			r == 0x2028, r == 0x2029, r == 0x2581, r == 0xFEFF, r == 0xFFFD:
			return ' '
		}
		return r
	}, s)
}

// readPattern reads {"String": text} or {"Regex": text}; re is nil for a string.
func readPattern(raw json.RawMessage) (text string, re *regexp.Regexp, err error) {
	var p struct {
		String *string
		Regex  *string
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return "", nil, fmt.Errorf("pattern: %v: %w", err, clipsearch.ErrInvalid)
	}
	switch {
	case p.String != nil:
		return *p.String, nil, nil
	case p.Regex != nil:
		re, err = compilePattern(*p.Regex)
		return *p.Regex, re, err
	}
	return "", nil, fmt.Errorf("pattern %.100s is neither a String nor a Regex: %w", raw, clipsearch.ErrInvalid)
}
