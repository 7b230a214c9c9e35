package clip

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf8"

	"github.com/clipsearch/clipsearch"
)

// readPairVocabulary reads vocab.json and merges.txt, which have neither normaliser
// nor marks: they are CLIP's own, or RoBERTa's, as their tokens tell.
func readPairVocabulary(fsys fs.FS, data []byte) (*tokenizerFile, error) {
	r := newJSONReader(data)
	f := &tokenizerFile{kind: "BPE", vocab: readVocabulary(r)}
	if err := r.end(); err != nil {
		return nil, err
	}
	err := f.describeRoberta()
	if err != nil {
		err = f.describeClip()
	}
	if err != nil {
		return nil, err
	}
	f.merges, err = readMergesText(fsys)
	return f, err
}

// The marks of CLIP's own vocabulary.
const clipBegin, clipEnd = "<|startoftext|>", "<|endoftext|>"

// describeClip fills in all but the merges of a tokenizer whose vocabulary is CLIP's.
func (f *tokenizerFile) describeClip() error {
	const begin, end = clipBegin, clipEnd
	first, okFirst := f.vocab.find(begin)
	last, okLast := f.vocab.find(end)
	if !okFirst || !okLast {
		return fmt.Errorf("%s and %s are not in it: this is neither CLIP's tokenizer nor RoBERTa's, and others need a tokenizer.json: %w", begin, end, clipsearch.ErrInvalid)
	}
	f.added = []addedToken{{ID: first, Content: begin}, {ID: last, Content: end}}
	f.normalizer = json.RawMessage(`{"type": "Sequence", "normalizers": [{"type": "NFC"},
		{"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}]}`)
	pattern, err := json.Marshal(clipWordsSpecial)
	if err != nil {
		return err
	}
	f.splitter = fmt.Appendf(nil, `{"type": "Sequence", "pretokenizers": [
		{"type": "Split", "pattern": {"Regex": %s}, "behavior": "Removed", "invert": true},
		{"type": "ByteLevel", "add_prefix_space": false}]}`, pattern)
	f.template = fmt.Appendf(nil, `{"type": "RobertaProcessing", "sep": [%q, %d], "cls": [%q, %d]}`, end, last, begin, first)
	f.settings = map[string]json.RawMessage{
		"unk_token": json.RawMessage(`"` + end + `"`), "end_of_word_suffix": json.RawMessage(`"</w>"`),
	}
	return nil
}

// describeRoberta fills in all but the merges of a tokenizer that has RoBERTa's marks
// and cuts as GPT-2 does: bytes, and a space belongs to the word behind it.
func (f *tokenizerFile) describeRoberta() error {
	marks := []string{"<s>", "<pad>", "</s>", "<unk>", "<mask>"}
	f.added = nil
	for _, mark := range marks {
		id, ok := f.vocab.find(mark)
		if !ok {
			return fmt.Errorf("%s is not in it: %w", mark, clipsearch.ErrInvalid)
		}
		f.added = append(f.added, addedToken{ID: id, Content: mark})
	}
	f.splitter = json.RawMessage(`{"type": "ByteLevel", "add_prefix_space": false}`)
	f.template = fmt.Appendf(nil, `{"type": "RobertaProcessing", "sep": ["</s>", %d], "cls": ["<s>", %d]}`, f.added[2].ID, f.added[0].ID)
	f.settings = map[string]json.RawMessage{"unk_token": json.RawMessage(`"<unk>"`)}
	return nil
}

func readMergesText(fsys fs.FS) ([][2]string, error) {
	const name = "merges.txt"
	data, err := readFile(fsys, name, maxTokenizerFile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, clipsearch.ErrInvalid)
	}
	merges, err := readMergeLines(data)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return merges, err
}

// readMergeLines reads a pair a line.
func readMergeLines(data []byte) ([][2]string, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("it is not UTF-8: %w", clipsearch.ErrInvalid)
	}
	var merges [][2]string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#version") {
			continue
		}
		if len(merges) == maxMerges {
			return nil, fmt.Errorf("more than %d merges: %w", maxMerges, clipsearch.ErrInvalid)
		}
		left, right, ok := strings.Cut(line, " ")
		if !ok || strings.Contains(right, " ") {
			return nil, fmt.Errorf("%.100q is no pair: %w", line, clipsearch.ErrInvalid)
		}
		merges = append(merges, [2]string{left, right})
	}
	return merges, nil
}

// simpleVocabulary is the file that OpenAI's and open_clip's programs carry: CLIP's
// merges, from which the vocabulary follows.
const simpleVocabulary = "bpe_simple_vocab_16e6.txt.gz"

const (
	maxSimple = 16 << 20 // bytes of it, once unpacked
	// simpleMerges is how many of its lines are used: more than CLIP's 49,408 tokens
	// have room for lie in it.
	simpleMerges = 49152 - 256 - 2
)

// readSimpleVocabulary numbers the tokens as open_clip does: the bytes, the bytes
// that end a word, what is merged, and the marks.
func readSimpleVocabulary(_ fs.FS, data []byte) (*tokenizerFile, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, clipsearch.ErrInvalid)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxSimple+1))
	if err != nil || len(text) > maxSimple {
		return nil, fmt.Errorf("it cannot be unpacked, or has more than %d bytes (%v): %w", maxSimple, err, clipsearch.ErrInvalid)
	}
	_, text, _ = bytes.Cut(text, []byte("\n")) // a version
	merges, err := readMergeLines(text)
	if err != nil {
		return nil, err
	}
	f := &tokenizerFile{kind: "BPE", vocab: newVocabulary(len(merges) + 514), merges: merges[:min(len(merges), simpleMerges)]}
	add := func(token string) { f.vocab.add(token, int32(f.vocab.len())) }
	letters := byteLetters()
	visible := func(yield func(rune) bool) { // those that stand for themselves come first
		for _, self := range []bool{true, false} {
			for b, r := range letters {
				if (rune(b) == r) == self && !yield(r) {
					return
				}
			}
		}
	}
	for _, suffix := range []string{"", "</w>"} {
		for r := range visible {
			add(string(r) + suffix)
		}
	}
	for _, m := range f.merges {
		add(m[0] + m[1])
	}
	add(clipBegin)
	add(clipEnd)
	return f, f.describeClip()
}

// readBertVocabulary reads vocab.txt, one token a line: BERT's, uncased unless
// tokenizer_config.json says otherwise.
func readBertVocabulary(fsys fs.FS, data []byte) (*tokenizerFile, error) {
	f := &tokenizerFile{kind: "WordPiece", vocab: newVocabulary(min(bytes.Count(data, []byte("\n")), maxTokens))}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxToken+len("\r\n"))
	for id := int32(0); lines.Scan(); id++ {
		if id == maxTokens {
			return nil, fmt.Errorf("more than %d tokens: %w", maxTokens, clipsearch.ErrInvalid)
		}
		f.vocab.add(lines.Text(), id)
	}
	if err := lines.Err(); err != nil || !utf8.Valid(data) {
		return nil, fmt.Errorf("not a list of tokens, one a line: %w", clipsearch.ErrInvalid)
	}
	for _, mark := range []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"} {
		id, ok := f.vocab.find(mark)
		if !ok {
			return nil, fmt.Errorf("%s is not in it: this is not BERT's tokenizer: %w", mark, clipsearch.ErrInvalid)
		}
		f.added = append(f.added, addedToken{ID: id, Content: mark})
	}
	c, err := readTokenizerConfig(fsys)
	if err != nil {
		return nil, err
	}
	f.normalizer = fmt.Appendf(nil, `{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "lowercase": %t}`, !c.cased)
	f.splitter = json.RawMessage(`{"type": "BertPreTokenizer"}`)
	f.template = fmt.Appendf(nil, `{"type": "BertProcessing", "sep": ["[SEP]", %d], "cls": ["[CLS]", %d]}`, f.added[3].ID, f.added[2].ID)
	return f, nil
}
