package clip

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/clipsearch/clipsearch"
	"github.com/google/go-cmp/cmp"
)

// modelOf returns the model part of a tokenizer.json.
func modelOf(t *testing.T, dir string) (m struct {
	Vocab  map[string]int
	Merges []json.RawMessage
}) {
	t.Helper()
	data, err := os.ReadFile(dir + "/tokenizer.json")
	if err != nil {
		t.Skipf("no vocabulary to write in another form: %v", err)
	}
	file := struct{ Model any }{&m}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return m
}

func file(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

func TestBareClipVocabulary(t *testing.T) {
	m := modelOf(t, golden+"/clip")
	vocab, err := json.Marshal(m.Vocab) // with \u003c for <: escaped, unlike tokenizer.json
	if err != nil {
		t.Fatal(err)
	}
	merges := "#version: 0.2\n"
	for _, raw := range m.Merges {
		var p []string
		if err := json.Unmarshal(raw, &p); err != nil {
			t.Fatal(err)
		}
		merges += strings.Join(p, " ") + "\n"
	}
	fsys := fstest.MapFS{"vocab.json": file(string(vocab)), "merges.txt": file(merges)}
	sameIDs(t, fsys, golden+"/clip", golden+"/clip.jsonl")

	delete(fsys, "merges.txt")
	if _, err := OpenTokenizer(fsys, TokenizerOptions{}); !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), "merges.txt") {
		t.Errorf("without merges.txt: %v, want ErrInvalid that names it", err)
	}
}

// TestSimpleVocabulary: from merges alone come the ids that the reference gives with
// the vocabulary spelt out, which in this one has the bytes of ASCII alone.
func TestSimpleVocabulary(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprintln(z, "a version")
	m := modelOf(t, golden+"/clip")
	for _, raw := range m.Merges {
		var p []string
		if err := json.Unmarshal(raw, &p); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(z, strings.Join(p, " "))
	}
	z.Close()
	tok, err := OpenTokenizer(fstest.MapFS{simpleVocabulary: file(b.String())}, TokenizerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	visible := int64('~' - '!' + 1)
	number := func(id int64) int64 {
		switch {
		case id < visible:
			return id
		case id < 2*visible:
			return id - visible + 256
		}
		return id - 2*visible + 512
	}
	compared := 0
	for _, r := range readRows(t, golden+"/clip.jsonl") {
		if strings.ContainsFunc(r.Text, func(r rune) bool { return r > '~' || r < ' ' }) {
			continue
		}
		compared++
		var want []int64
		for _, id := range r.IDs {
			want = append(want, number(id))
		}
		if got := tok.Encode(r.Text); !cmp.Equal(got, want) {
			t.Errorf("Encode(%q) = %v, want %v", r.Text, got, want)
		}
	}
	if compared < 20 {
		t.Errorf("%d texts were compared", compared)
	}
	for name, data := range map[string]string{"words": "no gzip", "cut off": b.String()[:b.Len()/2]} {
		if _, err := OpenTokenizer(fstest.MapFS{simpleVocabulary: file(data)}, TokenizerOptions{}); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%s: %v is not ErrInvalid", name, err)
		}
	}
}

func TestBareBertVocabulary(t *testing.T) {
	vocab := modelOf(t, bert).Vocab
	lines := make([]string, len(vocab))
	for token, id := range vocab {
		lines[id] = token + []string{"\n", "\r\n"}[id%2]
	}
	sameIDs(t, fstest.MapFS{"vocab.txt": file(strings.Join(lines, ""))}, bert, golden+"/bert.jsonl")
}

// sameIDs compares two tokenizers that ought to be one.
func sameIDs(t *testing.T, bare fs.FS, dir, texts string) {
	t.Helper()
	got, err := OpenTokenizer(bare, TokenizerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := open(t, dir, TokenizerOptions{})
	if got.Kind() != want.Kind() || got.PadID() != want.PadID() {
		t.Errorf("kind %s, pad %d, want %s and %d", got.Kind(), got.PadID(), want.Kind(), want.PadID())
	}
	for _, r := range readRows(t, texts) {
		if diff := cmp.Diff(want.Encode(r.Text), got.Encode(r.Text)); diff != "" {
			t.Errorf("Encode(%q) (-tokenizer.json +bare vocabulary):\n%s", r.Text, diff)
		}
	}
}

func TestCasedBertVocabulary(t *testing.T) {
	fsys := fstest.MapFS{
		"vocab.txt":             file("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nDog\n##s\ndog\n"),
		"tokenizer_config.json": file(`{"do_lower_case": false, "pad_token": {"content": "[MASK]"}}`),
	}
	tok, err := OpenTokenizer(fsys, TokenizerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tok.Encode("Dogs dog DOG"), []int64{2, 5, 6, 7, 1, 3}; !slices.Equal(got, want) || tok.PadID() != 4 {
		t.Errorf("Encode = %v, PadID = %d, want %v and 4", got, tok.PadID(), want)
	}
}

// tiny returns a WordPiece tokenizer.json with other parts put in.
func tiny(parts string) string {
	return fmt.Sprintf(`{"model": {"type": "WordPiece", "unk_token": "?", "vocab": {"?": 0, "a": 1, "##b": 2, "ab": 3, "a b": 4, "x": 5}}%s}`, parts)
}

func TestStages(t *testing.T) {
	tests := []struct {
		parts, text string
		want        []int64
	}{
		{``, "a b", []int64{4}},
		{`, "pre_tokenizer": {"type": "WhitespaceSplit"}`, "abb  a ab", []int64{3, 2, 1, 3}},
		{`, "pre_tokenizer": {"type": "Whitespace"}`, "a-a", []int64{1, 0, 1}},
		{`, "pre_tokenizer": {"type": "CharDelimiterSplit", "delimiter": "-"}`, "a-a", []int64{1, 1}},
		{`, "pre_tokenizer": {"type": "Digits", "individual_digits": true}`, "a12a", []int64{1, 0, 0, 1}},
		{`, "pre_tokenizer": {"type": "Digits"}`, "a12a", []int64{1, 0, 1}},
		{`, "pre_tokenizer": {"type": "Punctuation"}`, "a!?a", []int64{1, 0, 0, 1}},
		{`, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\s+"}, "behavior": "Removed", "invert": false}`, "a\u00a0\u2028a", []int64{1, 1}},
		{`, "pre_tokenizer": {"type": "Split", "pattern": {"String": "x"}, "behavior": "MergedWithPrevious"}`, "xaxx", []int64{5, 0, 5}},
		{`, "normalizer": {"type": "Lowercase"}`, "AB", []int64{3}},
		{`, "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}]}`, "á", []int64{1}},
		{`, "normalizer": {"type": "Replace", "pattern": {"Regex": "[^a]+"}, "content": "b"}`, "a!?", []int64{3}},
		{`, "normalizer": {"type": "Strip", "strip_left": true, "strip_right": false}`, " a ", []int64{0}},
		{`, "normalizer": {"type": "Strip", "strip_left": true, "strip_right": true}`, " a\n", []int64{1}},
		{`, "normalizer": {"type": "Prepend", "prepend": "a"}`, "b", []int64{3}},
		{`, "normalizer": {"type": "Nmt"}`, "a\x01\u200bb", []int64{4}},
		{`, "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 8], "cls": ["[CLS]", 7]}`, "a", []int64{7, 1, 8}},
		{`, "post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"},
			{"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "e"}}], "special_tokens": {"e": {"ids": [8, 9]}}},
			{"type": "RobertaProcessing", "sep": ["s", 6], "cls": ["c", 5]}]}`, "a", []int64{5, 1, 8, 9, 6}},
		{`, "added_tokens": [{"id": 9, "content": "[M]", "lstrip": true, "rstrip": true}]`, "a [M] a", []int64{1, 9, 1}},
		{`, "added_tokens": [{"id": 9, "content": "[M]"}, {"id": 10, "content": "[M]]"}]`, "a[M]][M]", []int64{1, 10, 9}},
		{`, "added_tokens": [{"id": 9, "content": "mm", "single_word": true}]`, "mm.mma", []int64{9, 0}},
		{`, "normalizer": {"type": "Lowercase"}, "added_tokens": [{"id": 9, "content": "M", "normalized": true}, {"id": 10, "content": "N"}]`, "aMmNn", []int64{1, 9, 9, 10, 0}},
	}
	for _, tt := range tests {
		tok, err := OpenTokenizer(fstest.MapFS{"tokenizer.json": file(tiny(tt.parts))}, TokenizerOptions{})
		if err != nil {
			t.Errorf("%s: %v", tt.parts, err)
			continue
		}
		if diff := cmp.Diff(tt.want, tok.Encode(tt.text)); diff != "" {
			t.Errorf("%s: Encode(%q) (-want +got):\n%s", tt.parts, tt.text, diff)
		}
	}
}

func TestVocabulary(t *testing.T) {
	v, want := newVocabulary(3), map[string]int32{}
	for n := range int32(1000) {
		token := strings.Repeat("ab", int(n%7)) + string(rune('A'+n%300))
		v.add(token, n) // some of them again, with another id
		want[token] = n
	}
	for token, id := range want {
		if got, ok := v.find(token); !ok || got != id {
			t.Errorf("find(%q) = %d, %t, want %d", token, got, ok, id)
		}
	}
	for _, token := range []string{"", "ab", "abab", "☃"} {
		if got, ok := v.find(token); ok {
			t.Errorf("find(%q) = %d, want none", token, got)
		}
	}
	if v.len() != len(want) || v.longest != 14 {
		t.Errorf("%d tokens of up to %d bytes, want %d of 14", v.len(), v.longest, len(want))
	}
}

func TestOpenTokenizerErrors(t *testing.T) {
	bpe := func(merges string) string {
		return `{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ` + merges + `}}`
	}
	tests := []struct{ name, content, want string }{
		{"tokenizer.json", ``, `want '{'`},
		{"tokenizer.json", `{"model": {"type": "WordPiece", "vocab": {"a": 1}`, `byte`},
		{"tokenizer.json", `{}`, `no vocabulary`},
		{"tokenizer.json", `{"model": {"type": "WordPiece", "vocab": {"a": -1}}}`, `number of a token`},
		{"tokenizer.json", `{"model": {"type": "WordPiece", "vocab": {"a": 99999999999}}}`, `number of a token`},
		{"tokenizer.json", `{"model": {"type": "WordPiece", "vocab": {"a": 1}}}`, `"[UNK]" is not in the vocabulary`},
		{"tokenizer.json", `{"model": {"type": "WordLevel", "vocab": {"a": 1}}}`, `"WordLevel" is not known here`},
		{"tokenizer.json", `{"model": {"type": "Unigram", "unk_id": 7, "vocab": [["a", -1.5]]}}`, `unknown token 7`},
		{"tokenizer.json", `{"model": {"type": "Unigram", "vocab": [["a"]]}}`, `without a score`},
		{"tokenizer.json", `{"model": {"vocab": [["a", 0]], "vocab": {"a": 7}}}`, `twice`},
		{"tokenizer.json", bpe(`["a c"]`), `merge 0`},
		{"tokenizer.json", bpe(`["a b c"]`), `merge of 3 tokens`},
		{"tokenizer.json", tiny(`} {`), `more than one value`},
		{"tokenizer.json", tiny(`, "x": ` + strings.Repeat("[", 1000)), `in each other`},
		{"tokenizer.json", tiny(`, "normalizer": {"type": "Upside"}`), `normalizer "Upside"`},
		{"tokenizer.json", tiny(`, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////w=="}`), `cut off`},
		{"tokenizer.json", tiny(`, "pre_tokenizer": {"type": "UnicodeScripts"}`), `pre_tokenizer "UnicodeScripts"`},
		{"tokenizer.json", tiny(`, "pre_tokenizer": {"type": "Punctuation", "behavior": "Sideways"}`), `"Sideways"`},
		{"tokenizer.json", tiny(`, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a(?!b)"}, "behavior": "Isolated"}`), `a(?!b)`},
		{"tokenizer.json", tiny(`, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\bb"}, "behavior": "Isolated"}`), `what is before it`},
		{"tokenizer.json", tiny(`, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[a&&b]"}, "behavior": "Isolated"}`), `set in a set`},
		{"tokenizer.json", tiny(`, "post_processor": {"type": "TemplateProcessing", "single": []}`), `0 times`},
		{"tokenizer.json", tiny(`, "added_tokens": [{"id": -2, "content": "z"}]`), `"z"`},
		{"vocab.json", `{"a": 1}`, `neither CLIP's tokenizer`},
		{"vocab.txt", "a\nb\n", `not BERT's tokenizer`},
	}
	for _, tt := range tests {
		_, err := OpenTokenizer(fstest.MapFS{tt.name: file(tt.content)}, TokenizerOptions{})
		if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), tt.name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %.80q: error %v, want one line of ErrInvalid with %q", tt.name, tt.content, err, tt.want)
		}
	}
	if _, err := OpenTokenizer(fstest.MapFS{}, TokenizerOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty directory: %v, want fs.ErrNotExist", err)
	}
	for _, o := range []TokenizerOptions{{Clean: "thoroughly"}, {ContextLength: -1}} {
		if _, err := OpenTokenizer(os.DirFS(golden+"/clip"), o); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%+v: %v, want ErrInvalid", o, err)
		}
	}
}
