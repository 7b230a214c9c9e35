package clip

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// Tokenizer turns text into the ids that a text tower reads. It is safe for
// concurrent use.
//
// A text goes through these stages, as in the reference implementation
// (tokenizers, by Hugging Face): it is cleaned, added tokens are taken out of
// it, the rest is normalised, cut into words, each word cut into tokens by the
// model, and the begin and end tokens are put around all. Stages after the first
// two work from left to right and stop when the tokens are enough.
type Tokenizer struct {
	kind          string
	length        int // of what Encode returns, at most
	pad           int64
	clean         func(string) string
	raw           *addedTokens // looked for in the text as it is
	normal        *addedTokens // and as it is normalised
	normalize     normalizer
	split         splitter
	model         model
	before, after []int64 // begin and end tokens
	clip          bool    // it is CLIP's own
	bare          bool    // nothing says how texts are normalised for this model
	prefix        string  // before every text, once that is cleaned
	noEnd         bool    // after is cut off again
	known         func(token string) (id int64, ok bool)
}

// model cuts one word into tokens.
type model interface {
	// append adds the word's tokens to ids. It may stop when limit are added.
	append(ids []int64, word string, limit int) []int64
}

// TokenizerOptions say how texts are treated.
type TokenizerOptions struct {
	// Clean is what happens to a text first: "open_clip" repairs and lowers it
	// as open_clip does, and cuts it into open_clip's words where the tokenizer
	// is CLIP's own; "open_clip_lower" lowers it with other tokenizers too;
	// "canonicalize" also drops punctuation; "lower" does nothing but lower it;
	// "none" and "" leave it to what tokenizer.json says.
	Clean string
	// ContextLength is how many ids there are at most, begin and end included;
	// 77 for CLIP's tokenizer and 64 for others if zero.
	ContextLength int
	// Prefix is put before every cleaned text.
	Prefix string
	// NoEnd leaves the end token out.
	NoEnd bool
}

// OpenTokenizer reads a tokenizer from the root of fsys: tokenizer.json, else
// vocab.json with merges.txt or open_clip's bpe_simple_vocab_16e6.txt.gz (CLIP's),
// else vocab.txt (BERT's), else SentencePiece's own model (sentencepiece.bpe.model with
// XLM-R's numbers, spiece.model, tokenizer.model). Its error wraps [fs.ErrNotExist] if
// none of them is there.
func OpenTokenizer(fsys fs.FS, o TokenizerOptions) (*Tokenizer, error) {
	if o.ContextLength < 0 {
		return nil, fmt.Errorf("texts of %d tokens: %w", o.ContextLength, clipsearch.ErrInvalid)
	}
	for _, source := range []struct {
		name string
		read func(fs.FS, []byte) (*tokenizerFile, error)
	}{
		{"tokenizer.json", readTokenizerFile},
		{"vocab.json", readPairVocabulary},
		{simpleVocabulary, readSimpleVocabulary},
		{"vocab.txt", readBertVocabulary},
		{fairseqPieces, readFairseqPieces},
		{sentencePiece, readSentencePiece},
		{gemmaTokenizer, readSentencePiece},
	} {
		data, err := readFile(fsys, source.name, maxTokenizerFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		t, err := openTokenizer(fsys, data, source.read, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source.name, err)
		}
		return t, nil
	}
	return nil, fmt.Errorf("no tokenizer is here, neither tokenizer.json nor vocab.json nor vocab.txt nor spiece.model: %w (%w)", fs.ErrNotExist, clipsearch.ErrInvalid)
}

func openTokenizer(fsys fs.FS, data []byte, read func(fs.FS, []byte) (*tokenizerFile, error), o TokenizerOptions) (*Tokenizer, error) {
	file, err := read(fsys, data)
	if err != nil {
		return nil, err
	}
	t, err := file.tokenizer()
	if err != nil {
		return nil, err
	}
	config, err := readTokenizerConfig(fsys)
	if err != nil {
		return nil, err
	}
	t.pad = file.pad(config)
	clip, isClip := clipModel(t.model)
	t.length, t.clip, t.prefix, t.noEnd = 64, isClip, o.Prefix, o.NoEnd
	t.bare = file.marks != nil
	t.known = func(token string) (int64, bool) {
		id, ok := file.vocab.find(token)
		return int64(id), ok
	}
	if isClip {
		t.length, t.pad = 77, 0
	}
	if o.ContextLength > 0 {
		t.length = o.ContextLength
	}
	switch o.Clean {
	case "", "none":
	case "open_clip":
		if t.clean = cleanText; isClip {
			t.useOpenClip(clip)
		}
	case "open_clip_lower":
		t.clean = func(s string) string { return lowerPython(cleanText(s)) }
	case "canonicalize":
		t.clean = canonicalize
	case "lower":
		t.clean = lowerPython
	default:
		return nil, fmt.Errorf("cleaning %q is none of none, open_clip, open_clip_lower, canonicalize and lower: %w", o.Clean, clipsearch.ErrInvalid)
	}
	return t, nil
}

// clipModel reports whether a model is CLIP's: byte pairs with an end of words.
func clipModel(m model) (*bpe, bool) {
	b, ok := m.(*bpe)
	return b, ok && b.suffix == "</w>" && b.vocab.len() > 0
}

// useOpenClip makes t cut cleaned text as open_clip does, whatever the file
// says: its marks are words of the text, and spelt in its own way.
func (t *Tokenizer) useOpenClip(m *bpe) {
	const begin, end = "<start_of_text>", "<end_of_text>"
	marks := map[string]int64{}
	if len(t.before) > 0 && len(t.after) > 0 {
		marks[begin], marks[end] = t.before[0], t.after[len(t.after)-1]
	}
	t.raw, t.normal = newAddedTokens(nil), newAddedTokens(nil)
	// Its expression ignores case, and so finds in a lone iota subscript neither
	// a letter nor a sign, and 's in 'ſ.
	t.normalize = func(s string) string { return strings.ReplaceAll(lowerPython(s), "\u0345", " ") }
	t.split = chain([]splitter{cut(matchClip(begin, end, "'ſ"), "Removed", true), byteLevel(false, false)})
	t.model = markedWords{m, marks}
}

// markedWords is a model that knows some words as tokens of their own.
type markedWords struct {
	model
	marks map[string]int64
}

func (m markedWords) append(ids []int64, word string, limit int) []int64 {
	if id, ok := m.marks[word]; ok {
		return append(ids, id)
	}
	return m.model.append(ids, word, limit)
}

// Kind returns "bpe", "wordpiece" or "unigram".
func (t *Tokenizer) Kind() string { return t.kind }

// PadID returns the id that fills a row behind a text: 0 for CLIP's own
// tokenizer, as in open_clip, else what its files say.
func (t *Tokenizer) PadID() int64 { return t.pad }

// speaks reports whether a language's name is a token that has to be put before a
// text: the tokenizer knows it, and its template does not do that already.
func (t *Tokenizer) speaks(language string) bool {
	id, ok := t.known(language)
	return ok && !slices.Contains(t.before, id)
}

// ContextLength returns how many ids Encode returns at most.
func (t *Tokenizer) ContextLength() int { return t.length }

// Encode returns the ids of a text: its begin and end tokens included, not
// padded, and cut to the context length with the end token last. What is not
// UTF-8 in it counts as U+FFFD, and what follows its first megabyte as nothing.
func (t *Tokenizer) Encode(text string) []int64 {
	text = t.prefix + t.clean(strings.ToValidUTF8(cutText(text, maxText), "\uFFFD"))
	ids := append(make([]int64, 0, min(t.length, 128)), t.before...)
	most := max(len(ids), t.length-len(t.after))
	add := func(w word, id int32) bool {
		if id >= 0 {
			ids = append(ids, int64(id))
			return len(ids) < most
		}
		return t.split(w, func(w word) bool {
			ids = t.model.append(ids, w.text, most-len(ids))
			return len(ids) < most
		})
	}
	if len(ids) < most {
		t.raw.cut(word{text, true}, func(w word, id int32) bool {
			if id >= 0 {
				return add(w, id)
			}
			w.text = cutText(t.normalize(w.text), mostOf(len(w.text)))
			return t.normal.cut(w, add)
		})
	}
	ids = append(ids[:min(len(ids), most)], t.after...)
	if len(ids) > t.length {
		ids = append(ids[:t.length-1], ids[len(ids)-1])
	}
	if t.noEnd {
		ids = ids[:max(0, len(ids)-len(t.after))]
	}
	return ids
}
