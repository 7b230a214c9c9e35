package clip

import (
	"cmp"
	"errors"
	"io/fs"

	"github.com/clipsearch/clipsearch/internal/graph"
)

// tokenizerFiles are what OpenTokenizer reads, as far as it is there.
var tokenizerFiles = []string{"tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "vocab.txt", simpleVocabulary, fairseqPieces, sentencePiece, gemmaTokenizer}

// english is NLLB's name for texts in English, which these models are searched in
// unless somebody says otherwise.
const english = "eng_Latn"

// setWords finds the tokenizer in one of dirs and how the family's texts are
// cleaned, how long they are and what fills them up.
func (m *Model) setWords(dirs []string, c config, g graph.Graph) error {
	ids, _ := g.IDs()
	fixed := ids.Dim(1) > 0
	length := ids.Dim(1)
	if !fixed {
		length = c.contextLength()
	}
	t, dir, limit, err := openAnyTokenizer(m.fsys, dirs)
	if errors.Is(err, fs.ErrNotExist) {
		m.ContextLength = cmp.Or(length, c.usualLength())
		return nil
	}
	if err != nil {
		return err
	}
	_, masked := g.Input("attention_mask")
	m.ContextLength, m.Tokenizer = family(t, c, masked, fixed, length, limit)
	m.Tokenizer.Dir = dir
	return nil
}

// usualLength is the family's, where a configuration leaves out what is usual.
func (c config) usualLength() int {
	if c.isSigLIP() {
		return 64
	}
	return 77
}

// family says what is done with the words of a model's family. length is what graph
// or config say, limit what the tokenizer's own config does; 0: nothing.
func family(t *Tokenizer, c config, masked, fixed bool, length, limit int) (int, Words) {
	switch {
	case length == 0 && c.isSigLIP(): // always full, so a tokenizer that could do more means nothing
	case length == 0 || !fixed && limit > 0 && limit < length:
		length = limit
	}
	length = cmp.Or(length, c.usualLength())
	w := Words{Pad: t.PadID(), PadTo: length, Clean: "none"}
	clean := c.TextCfg.TokenizerKwargs.Clean
	switch {
	case t.clip:
		// Filled up with 0 whatever the tokenizer says: towers without a causal
		// mask are ruined by the end token as padding, the others do not mind.
		w.Clean = "open_clip"
	case clean != "":
		w.Clean = map[string]string{"whitespace": "open_clip", "lower": "open_clip_lower"}[clean]
	case c.TextCfg.Tokenizer != "":
		w.Clean = "open_clip"
	case c.isSigLIP() && t.bare && t.Kind() == "unigram":
		w.Clean = "canonicalize" // as a tokenizer.json would say
	case c.isSigLIP() && t.Kind() == "bpe":
		w.Clean = "lower" // SigLIP2 reads lower case only; its tokenizer long left that to its users
	}
	if w.Clean == "" || clean == "canonicalize" {
		w.Clean = clean // a mistake is OpenTokenizer's to name
	}
	if masked && !t.clip && !c.isSigLIP() {
		w.PadTo = 0
	}
	if t.speaks(english) {
		w.Prefix = english
	}
	w.NoEnd = c.TextCfg.TokenizerKwargs.StripSep
	return length, w
}

// openAnyTokenizer opens the tokenizer in the first of dirs that has one, and says
// how long its own config lets texts be, 0 if it does not.
func openAnyTokenizer(fsys fs.FS, dirs []string) (t *Tokenizer, dir string, limit int, err error) {
	for _, dir := range dirs {
		sub, err := fs.Sub(fsys, dir)
		if err != nil {
			continue // a folder of such a name is not possible here
		}
		t, err := OpenTokenizer(sub, TokenizerOptions{})
		if errors.Is(err, fs.ErrNotExist) && !anyTokenizer(sub) {
			continue
		}
		if err != nil {
			return nil, dir, 0, err
		}
		c, err := readTokenizerConfig(sub)
		return t, dir, c.limit, err
	}
	return nil, "", 0, fs.ErrNotExist
}

// anyTokenizer reports whether a file of a tokenizer is there, though others that
// it needs may not be.
func anyTokenizer(fsys fs.FS) bool {
	for _, name := range tokenizerFiles {
		if _, err := fs.Stat(fsys, name); err == nil && name != "tokenizer_config.json" && name != "merges.txt" {
			return true
		}
	}
	return false
}
