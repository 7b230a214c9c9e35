package clip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// tokenizerFile is what a tokenizer.json says, or what is known of a tokenizer
// that lies in another form.
type tokenizerFile struct {
	normalizer, splitter, template json.RawMessage
	added                          []addedToken
	padding                        struct {
		ID *int64 `json:"pad_id"`
	}
	kind     string // "BPE", "WordPiece" or "Unigram"
	settings map[string]json.RawMessage
	vocab    *vocabulary
	merges   [][2]string
	scores   []float64 // of Unigram

	// Of a SentencePiece model, in the place of what a tokenizer.json says:
	normal        normalizer
	before, after []int64
	marks         map[string]int64 // no text becomes one of them
	unknown       int32            // of BPE, if it is one of the marks
}

// modelSettings are the keys of a model that are read, besides its tokens.
var modelSettings = []string{
	"unk_token", "unk_id", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "max_input_chars_per_word",
}

func readTokenizerFile(_ fs.FS, data []byte) (*tokenizerFile, error) {
	f := &tokenizerFile{settings: map[string]json.RawMessage{}}
	r := newJSONReader(data)
	r.object(func(key string) {
		switch key {
		case "normalizer":
			f.normalizer = r.part()
		case "pre_tokenizer":
			f.splitter = r.part()
		case "post_processor":
			f.template = r.part()
		case "added_tokens":
			f.readAdded(r)
		case "padding":
			r.value(&f.padding)
		case "model":
			f.readModel(r)
		default:
			r.skip()
		}
	})
	return f, r.end()
}

func (f *tokenizerFile) readModel(r *jsonReader) {
	r.object(func(key string) {
		switch {
		case key == "vocab" && f.vocab != nil || key == "merges" && f.merges != nil:
			r.fail("%s is there twice", key)
		case key == "type":
			f.kind = r.str()
		case key == "merges":
			f.readMerges(r)
		case key == "vocab" && r.next() == '{':
			f.vocab = readVocabulary(r)
		case key == "vocab":
			f.readPieces(r)
		case slices.Contains(modelSettings, key):
			f.settings[key] = r.part()
		default:
			r.skip()
		}
	})
	switch { // early files do not name the type
	case f.kind != "":
	case f.scores != nil:
		f.kind = "Unigram"
	case f.merges != nil:
		f.kind = "BPE"
	default:
		f.kind = "WordPiece"
	}
}

// readVocabulary reads an object of tokens and their ids.
func readVocabulary(r *jsonReader) *vocabulary {
	vocab := newVocabulary(min(strings.Count(r.s[r.i:], `":`), maxTokens))
	r.object(func(token string) { addToken(r, vocab, token, r.id()) })
	return vocab
}

// addToken adds a token to a vocabulary that r is reading.
func addToken(r *jsonReader, vocab *vocabulary, token string, id int32) {
	switch {
	case len(token) > maxToken:
		r.fail("a token of %d bytes, more than %d", len(token), maxToken)
	case vocab.len() == maxTokens:
		r.fail("more than %d tokens", maxTokens)
	default:
		vocab.add(token, id)
	}
}

// readAdded reads the list of added tokens.
func (f *tokenizerFile) readAdded(r *jsonReader) {
	f.added = nil
	r.array(func() {
		var a addedToken
		switch r.value(&a); {
		case len(f.added) == maxAdded:
			r.fail("more than %d added tokens", maxAdded)
		case len(a.Content) > maxAddedToken:
			r.fail("an added token of %d bytes, more than %d", len(a.Content), maxAddedToken)
		}
		f.added = append(f.added, a)
	})
}

// readPieces reads a list of ["piece", score]; their ids are their places.
func (f *tokenizerFile) readPieces(r *jsonReader) {
	f.vocab = newVocabulary(min(strings.Count(r.s[r.i:], "["), maxTokens))
	r.array(func() {
		var piece string
		n := 0
		r.array(func() {
			switch n++; n {
			case 1:
				piece = r.str()
			case 2:
				f.scores = append(f.scores, r.float())
			}
		})
		if n != 2 {
			r.fail("a piece without a score")
			return
		}
		addToken(r, f.vocab, piece, int32(len(f.scores)-1))
	})
}

// readMerges reads a list of pairs, written "a b" or ["a", "b"].
func (f *tokenizerFile) readMerges(r *jsonReader) {
	f.merges = make([][2]string, 0, min((len(r.s)-r.i)/32, maxMerges))
	r.array(func() {
		if len(f.merges) == maxMerges {
			r.fail("more than %d merges", maxMerges)
		}
		var p [3]string
		n := 0
		if r.next() == '"' {
			for part := range strings.SplitSeq(r.str(), " ") {
				p[min(n, 2)] = part
				n++
			}
		} else {
			r.array(func() {
				p[min(n, 2)] = r.str()
				n++
			})
		}
		if n != 2 {
			r.fail("a merge of %d tokens", n)
			return
		}
		f.merges = append(f.merges, [2]string{p[0], p[1]})
	})
}

// tokenizer puts the stages together.
func (f *tokenizerFile) tokenizer() (*Tokenizer, error) {
	t := &Tokenizer{kind: strings.ToLower(f.kind), clean: func(s string) string { return s }}
	var err error
	if t.normalize, err = newNormalizer(f.normalizer, newStages("normalizer")); err != nil {
		return nil, err
	}
	if f.normal != nil {
		t.normalize = f.normal
	}
	if t.split, err = newSplitter(f.splitter, newStages("pre_tokenizer")); err != nil {
		return nil, err
	}
	if t.before, t.after, err = readTemplate(f.template, newStages("post_processor")); err != nil {
		return nil, err
	}
	if f.marks != nil {
		t.before, t.after = f.before, f.after
	}
	if n := max(len(t.before), len(t.after)); n > maxMarks {
		return nil, fmt.Errorf("post_processor: %d tokens before or behind a text, more than %d: %w", n, maxMarks, clipsearch.ErrInvalid)
	}
	if t.model, err = f.model(); err != nil {
		return nil, err
	}
	var raw, normal []addedToken
	for _, a := range f.added {
		if id, ok := f.vocab.find(a.Content); ok {
			a.ID = id
		}
		if a.ID < 0 {
			return nil, fmt.Errorf("added token %q has the number %d: %w", a.Content, a.ID, clipsearch.ErrInvalid)
		}
		if !a.Normalized {
			raw = append(raw, a)
			continue
		}
		if f.normal == nil {
			a.Content = t.normalize(a.Content)
		}
		if len(a.Content) > maxToken {
			return nil, fmt.Errorf("added token %d has %d bytes when it is normalised: %w", a.ID, len(a.Content), clipsearch.ErrInvalid)
		}
		normal = append(normal, a)
	}
	t.raw, t.normal = newAddedTokens(raw), newAddedTokens(normal)
	return t, nil
}

func (f *tokenizerFile) model() (model, error) {
	if f.vocab == nil || f.vocab.len() == 0 {
		return nil, fmt.Errorf("there is no vocabulary: %w", clipsearch.ErrInvalid)
	}
	raw, err := json.Marshal(f.settings)
	if err != nil {
		return nil, err
	}
	set := func(v any) error {
		if err := json.Unmarshal(raw, v); err != nil {
			return fmt.Errorf("model: %v: %w", err, clipsearch.ErrInvalid)
		}
		return nil
	}
	switch {
	case f.kind == "BPE" && f.scores == nil:
		var o bpeOptions
		if err := set(&o); err != nil {
			return nil, err
		}
		m, err := newBPE(f.vocab, f.merges, o)
		if err == nil && f.marks != nil {
			m.unknown = f.unknown
		}
		return m, err
	case f.kind == "WordPiece" && f.scores == nil:
		var o wordPieceOptions
		if err := set(&o); err != nil {
			return nil, err
		}
		return newWordPiece(f.vocab, o)
	case f.kind == "Unigram" && f.scores != nil:
		var o unigramOptions
		if err := set(&o); err != nil {
			return nil, err
		}
		return newUnigram(f.vocab, f.scores, o)
	}
	return nil, fmt.Errorf("model %.100q is not known here, or not with such a vocabulary: %w", f.kind, clipsearch.ErrInvalid)
}

// pad returns what fills a row: as tokenizer_config.json says, or tokenizer.json,
// or the usual name of such a token.
func (f *tokenizerFile) pad(c tokenizerConfig) int64 {
	if c.pad == "" && f.padding.ID != nil && *f.padding.ID >= 0 {
		return *f.padding.ID
	}
	for _, name := range []string{c.pad, "<pad>", "[PAD]"} {
		if id, ok := f.marks[name]; ok {
			return id
		}
		for _, a := range f.added {
			if a.Content == name && name != "" {
				return int64(a.ID)
			}
		}
		if id, ok := f.vocab.find(name); ok {
			return int64(id)
		}
	}
	return 0
}

// tokenizerConfig is what matters of a tokenizer_config.json.
type tokenizerConfig struct {
	pad   string
	cased bool // letters keep their case; said for vocab.txt alone
	limit int  // ids that a text may have; 0: not said, or not meant
	// Said for SentencePiece's own models alone: a begin token, and no end token.
	begins, endless bool
}

// readTokenizerConfig returns the zero value where there is no such file.
func readTokenizerConfig(fsys fs.FS) (tokenizerConfig, error) {
	const name = "tokenizer_config.json"
	data, err := readFile(fsys, name, maxConfigFile)
	if errors.Is(err, fs.ErrNotExist) {
		return tokenizerConfig{}, nil
	}
	if err != nil {
		return tokenizerConfig{}, err
	}
	var file struct {
		Pad   json.RawMessage `json:"pad_token"` // its text, or an added token
		Lower *bool           `json:"do_lower_case"`
		Limit float64         `json:"model_max_length"` // 1e30 where nobody cared
		Begin *bool           `json:"add_bos_token"`
		End   *bool           `json:"add_eos_token"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return tokenizerConfig{}, fmt.Errorf("%s: %v: %w", name, err, clipsearch.ErrInvalid)
	}
	c := tokenizerConfig{cased: file.Lower != nil && !*file.Lower}
	c.begins, c.endless = file.Begin != nil && *file.Begin, file.End != nil && !*file.End
	if file.Limit >= 1 && file.Limit <= 1<<16 {
		c.limit = int(file.Limit)
	}
	var token addedToken
	if json.Unmarshal(file.Pad, &c.pad) != nil && json.Unmarshal(file.Pad, &token) == nil {
		c.pad = token.Content
	}
	return c, nil
}
