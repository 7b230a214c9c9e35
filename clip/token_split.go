package clip

import (
	"encoding/json"
	"fmt"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipsearch/clipsearch"
)

// word is a part of a text on its way to the model.
type word struct {
	text  string
	start bool // whether the text begins with it
}

// splitter cuts a word into words and yields them from left to right, none of
// them empty. It stops, and returns false, where yield returns false.
type splitter func(w word, yield func(word) bool) bool

// splitterOptions holds the keys of all pre-tokenisers of a tokenizer.json.
type splitterOptions struct {
	Type             string            `json:"type"`
	Splitters        []json.RawMessage `json:"pretokenizers"`
	Pattern          json.RawMessage   `json:"pattern"`
	Behavior         string            `json:"behavior"`
	Invert           bool              `json:"invert"`
	AddPrefixSpace   *bool             `json:"add_prefix_space"`
	UseRegex         *bool             `json:"use_regex"`
	Replacement      *string           `json:"replacement"`
	PrependScheme    string            `json:"prepend_scheme"`
	Split            *bool             `json:"split"`
	IndividualDigits bool              `json:"individual_digits"`
	Delimiter        string            `json:"delimiter"`
}

// newSplitter reads a pre-tokeniser.
func newSplitter(raw json.RawMessage, s *stages) (splitter, error) {
	if isNull(raw) {
		return chain(nil), nil
	}
	var o splitterOptions
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %v: %w", err, clipsearch.ErrInvalid)
	}
	switch o.Type {
	case "Sequence":
		return o.sequence(s)
	case "BertPreTokenizer":
		return chain([]splitter{cut(matchRune(unicode.IsSpace), "Removed", false), cut(matchRune(isPunctuation), "Isolated", false)}), nil
	case "Whitespace":
		return chain([]splitter{cut(matchRune(unicode.IsSpace), "Removed", false), cut(matchRune(isWordRune), "Contiguous", false)}), nil
	case "WhitespaceSplit":
		return cut(matchRune(unicode.IsSpace), "Removed", false), nil
	case "CharDelimiterSplit":
		return cut(matchString(o.Delimiter), "Removed", false), nil
	case "Punctuation":
		if o.Behavior == "" {
			o.Behavior = "Isolated"
		}
		return o.cut(matchRune(isPunctuation))
	case "Digits":
		if o.Behavior = "Contiguous"; o.IndividualDigits {
			o.Behavior = "Isolated"
		}
		return o.cut(matchRune(unicode.IsNumber))
	case "Split":
		return o.split()
	case "Metaspace":
		return o.metaspace()
	case "ByteLevel":
		return byteLevel(o.AddPrefixSpace == nil || *o.AddPrefixSpace, o.UseRegex == nil || *o.UseRegex), nil
	}
	return nil, fmt.Errorf("pre_tokenizer %.100q is not known here: %w", o.Type, clipsearch.ErrInvalid)
}

func (o splitterOptions) sequence(s *stages) (splitter, error) {
	var steps []splitter
	err := s.each(o.Splitters, func(raw json.RawMessage) error {
		step, err := newSplitter(raw, s)
		steps = append(steps, step)
		return err
	})
	if err != nil {
		return nil, err
	}
	return chain(steps), nil
}

// chain lets every step cut what the one before it yields.
func chain(steps []splitter) splitter {
	if len(steps) == 0 {
		return func(w word, yield func(word) bool) bool { return w.text == "" || yield(w) }
	}
	first, rest := steps[0], chain(steps[1:])
	return func(w word, yield func(word) bool) bool {
		return first(w, func(part word) bool { return rest(part, yield) })
	}
}

// joins returns whether, under a behaviour, a part goes together with the one
// before it: parts are matches and what is between them. nil: there is no such
// behaviour.
func joins(behavior string) func(before, match bool) bool {
	switch behavior {
	case "Removed", "Isolated":
		return func(_, _ bool) bool { return false }
	case "Contiguous":
		return func(before, match bool) bool { return before == match }
	case "MergedWithPrevious":
		return func(before, match bool) bool { return match && !before }
	case "MergedWithNext":
		return func(before, match bool) bool { return before && !match }
	}
	return nil
}

func (o splitterOptions) cut(find matcher) (splitter, error) {
	if joins(o.Behavior) == nil {
		return nil, fmt.Errorf("pre_tokenizer %s: behavior %.100q is not known here: %w", o.Type, o.Behavior, clipsearch.ErrInvalid)
	}
	return cut(find, o.Behavior, o.Invert), nil
}

// cut splits at the matches of find; with invert, at what is between them.
func cut(find matcher, behavior string, invert bool) splitter {
	join, remove := joins(behavior), behavior == "Removed"
	return func(w word, yield func(word) bool) bool {
		begin, end, before := 0, 0, false // of the part that waits for what follows
		flush := func() bool {
			return begin == end || remove && before || yield(word{w.text[begin:end], w.start && begin == 0})
		}
		part := func(to int, match bool) bool {
			if to == end {
				return true
			}
			match = match != invert
			if begin < end && !join(before, match) {
				if !flush() {
					return false
				}
				begin = end
			}
			end, before = to, match
			return true
		}
		for end < len(w.text) {
			done := end
			from, to := find(w.text[done:])
			if from < 0 {
				from, to = len(w.text)-done, len(w.text)-done
			}
			if !part(done+from, false) || !part(done+to, true) {
				return false
			}
		}
		return flush()
	}
}

func (o splitterOptions) split() (splitter, error) {
	text, re, err := readPattern(o.Pattern)
	if err != nil {
		return nil, err
	}
	switch {
	case re == nil:
		return o.cut(matchString(text))
	case text == clipWords:
		return o.cut(matchClip())
	case text == clipWordsSpecial:
		return o.cut(matchClip("<|startoftext|>", "<|endoftext|>"))
	}
	if parsed, err := syntax.Parse(re.String(), syntax.Perl); err != nil || looksBack(parsed) {
		return nil, fmt.Errorf("pattern %.100q looks at what is before it, which is not known here: %w", text, clipsearch.ErrInvalid)
	}
	return o.cut(matchRegexp(re))
}

// looksBack reports whether a match depends on what was matched before: a
// matcher is only given the rest.
func looksBack(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginLine, syntax.OpBeginText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	for _, sub := range re.Sub {
		if looksBack(sub) {
			return true
		}
	}
	return false
}

// metaspace makes spaces visible and lets them begin words.
func (o splitterOptions) metaspace() (splitter, error) {
	mark, scheme := "▁", o.PrependScheme
	if o.Replacement != nil {
		mark = *o.Replacement
	}
	if utf8.RuneCountInString(mark) > 1 { // one letter, in the reference too
		return nil, fmt.Errorf("pre_tokenizer Metaspace: replacement %.20q is more than a letter: %w", mark, clipsearch.ErrInvalid)
	}
	switch {
	case scheme == "" && o.AddPrefixSpace != nil && !*o.AddPrefixSpace:
		scheme = "never"
	case scheme == "":
		scheme = "always"
	case scheme != "always" && scheme != "first" && scheme != "never":
		return nil, fmt.Errorf("pre_tokenizer Metaspace: prepend_scheme %.100q is not known here: %w", scheme, clipsearch.ErrInvalid)
	}
	words := chain(nil)
	if o.Split == nil || *o.Split {
		words = cut(matchString(mark), "MergedWithNext", false)
	}
	return func(w word, yield func(word) bool) bool {
		w.text = strings.ReplaceAll(w.text, " ", mark)
		prepend := scheme == "always" || scheme == "first" && w.start
		if prepend && w.text != "" && !strings.HasPrefix(w.text, mark) {
			w.text = mark + w.text
		}
		return words(w, yield)
	}, nil
}

// byteLevel makes every byte a visible letter, so that there are 256 of them.
func byteLevel(prefixSpace, split bool) splitter {
	letters := byteLetters()
	words := chain(nil)
	if split {
		words = cut(matchGPT2, "Isolated", false)
	}
	return func(w word, yield func(word) bool) bool {
		w.text = cutText(w.text, maxText) // it doubles, and may come here again
		if prefixSpace && w.text != "" && w.text[0] != ' ' {
			w.text = " " + w.text
		}
		return words(w, func(part word) bool {
			var b strings.Builder
			for i := range len(part.text) {
				b.WriteRune(letters[part.text[i]])
			}
			return yield(word{b.String(), part.start})
		})
	}
}

// byteLetters returns GPT-2's letter for every byte: itself in Latin-1 where
// that is visible, else one of those from 256 on, in order.
func byteLetters() (letters [256]rune) {
	next := rune(256)
	for b := range letters {
		letters[b] = rune(b)
		if b <= ' ' || b >= 0x7F && b <= 0xA0 || b == 0xAD {
			letters[b] = next
			next++
		}
	}
	return letters
}

// isWordRune is \w.
func isWordRune(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}
