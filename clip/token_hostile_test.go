package clip

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clipsearch/clipsearch"
)

// Tokenizers that somebody made to do harm, or with noise in them. Each is
// refused, or loads and cuts a caption, in bounded time and memory.
func TestHostileTokenizers(t *testing.T) {
	parts := func(kind, list string) string { return fmt.Sprintf(`, %q: {"type": "Sequence", %s}`, kind, list) }
	repeated := func(item string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	grow := `{"type": "Replace", "pattern": {"String": "a"}, "content": "` + strings.Repeat("a", maxInsert) + `"}`
	insert := `{"type": "Replace", "pattern": {"Regex": "x*"}, "content": "` + strings.Repeat("a", maxInsert) + `"}`
	for _, tt := range []struct {
		name, file, fails string // empty: it loads
	}{
		{"a million merges of nonsense", nonsense(1_000_000, false), "merge 0"},
		{"a million merges that fit", nonsense(1_000_000, true), ""},
		{"too many merges", `{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ` + repeated(`"a a"`, maxMerges+1) + `}}`, "more than 2097152 merges"},
		{"one token, again and again", `{"model": {"type": "Unigram", "vocab": ` + repeated(`["a",0]`, maxTokens) + `}}`, ""},
		{"too many tokens", `{"model": {"vocab": {"[UNK]": 0` + distinct(maxTokens) + `}}}`, "more than 2097152 tokens"},
		{"a long token", `{"model": {"type": "Unigram", "vocab": [["` + strings.Repeat("a", maxToken+1) + `", 0]]}}`, "a token of 1025 bytes"},
		{"a settings list", `{"model": {"type": "WordPiece", "unk_token": ` + repeated("1", maxPart) + `}}`, "a value of"},
		{"unknown settings", `{"model": {"vocab": {"[UNK]": 0}` + distinct(500_000) + `}}`, ""},
		{"many added tokens", tiny(`, "added_tokens": ` + repeated(`{"id":1}`, maxAdded+1)), "more than 16384 added tokens"},
		{"a long added token", tiny(`, "added_tokens": [{"id": 1, "content": "` + strings.Repeat("a", maxAddedToken+1) + `"}]`), "an added token of 257 bytes"},
		{"an added token that grows", tiny(`, "added_tokens": [{"id": 1, "content": "aaaaaaaa", "normalized": true}], "normalizer": ` + grow), "added token 1 has 2048 bytes"},
		{"a text that grows", tiny(parts("normalizer", `"normalizers": `+repeated(grow, maxSteps))), ""},
		{"a text that grows everywhere", tiny(parts("normalizer", `"normalizers": `+repeated(insert, maxSteps))), ""},
		{"a prefix that grows", tiny(parts("normalizer", `"normalizers": `+repeated(`{"type": "Prepend", "prepend": "aaaaaaaa"}`, maxSteps))), ""},
		{"a long replacement", tiny(`, "normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "` + strings.Repeat("a", maxInsert+1) + `"}`), "puts in 257 bytes"},
		{"a long prefix", tiny(`, "normalizer": {"type": "Prepend", "prepend": "` + strings.Repeat("a", maxInsert+1) + `"}`), "puts in 257 bytes"},
		{"a map that grows", tiny(`, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "` + writeCharsmap(map[string]string{"a": strings.Repeat("a", 1<<20), "h": ""}) + `"}`), ""},
		{"bytes that grow", tiny(parts("pre_tokenizer", `"pretokenizers": `+repeated(`{"type": "ByteLevel", "use_regex": false}`, maxSteps))), ""},
		{"many normalizers", tiny(parts("normalizer", `"normalizers": `+repeated(`{"type": "NFC"}`, maxSteps+1))), "normalizer: more than 32 steps"},
		{"many splitters", tiny(parts("pre_tokenizer", `"pretokenizers": `+repeated(`{"type": "Digits"}`, 100_000))), "pre_tokenizer: more than 32 steps"},
		{"many processors", tiny(parts("post_processor", `"processors": `+repeated(`{"type": "ByteLevel"}`, maxSteps+1))), "post_processor: more than 32 steps"},
		{"normalizers in each other", tiny(`, "normalizer": ` + nested(`{"type": "Sequence", "normalizers": [%s]}`, maxSequences+1, `{"type": "NFC"}`)), "too many sequences"},
		{"splitters in each other", tiny(`, "pre_tokenizer": ` + nested(`{"type": "Sequence", "pretokenizers": [%s]}`, maxSequences+1, `{"type": "Digits"}`)), "too many sequences"},
		{"processors in each other", tiny(`, "post_processor": ` + nested(`{"type": "Sequence", "processors": [%s]}`, maxSequences+1, `{"type": "ByteLevel"}`)), "too many sequences"},
		{"many marks", tiny(`, "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "a"}}, {"Sequence": {}}], "special_tokens": {"a": {"ids": ` + repeated("1", 1_000_000) + `}}}`), "1000000 tokens before or behind a text"},
		{"a word for a space", tiny(`, "pre_tokenizer": {"type": "Metaspace", "replacement": "` + strings.Repeat("a", 1<<20) + `"}`), "is more than a letter"},
		{"a large pattern", tiny(`, "normalizer": {"type": "Replace", "pattern": {"Regex": "` + strings.Repeat("a", maxPattern+1) + `"}, "content": ""}`), "a pattern of 4097 bytes"},
		{"a pattern that becomes large", tiny(`, "normalizer": {"type": "Replace", "pattern": {"Regex": "` + strings.Repeat(`\\p{L}{1000}`, 300) + `"}, "content": ""}`), "more than 16384"},
		{"a pattern in patterns", tiny(`, "normalizer": {"type": "Replace", "pattern": {"Regex": "` + strings.Repeat(`(`, 1100) + `a*` + strings.Repeat(`)*`, 1100) + `"}, "content": ""}`), "is not known here"},
		{"a pattern that takes time elsewhere", tiny(`, "pre_tokenizer": {"type": "Split", "behavior": "Isolated", "pattern": {"Regex": "(a|aa)+x"}}`), ""},
		{"deep", `{"x": ` + strings.Repeat(`[`, 10_000_000), "values in each other"},
		{"a number without an end", `{"x": ` + strings.Repeat(`1`, 10_000_000), "want a number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			within(t, func() {
				tok, err := OpenTokenizer(fstest.MapFS{"tokenizer.json": file(tt.file)}, TokenizerOptions{})
				if tt.fails != "" {
					if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(fmt.Sprint(err), tt.fails) || len(fmt.Sprint(err)) > 1000 {
						t.Errorf("error %.500v, want ErrInvalid that says %q", err, tt.fails)
					}
					return
				}
				if err != nil {
					t.Fatalf("%.500v", err)
				}
				for _, text := range []string{"a cat on a mat", strings.Repeat("é", 100), "haha"} {
					if ids := tok.Encode(text); len(ids) > tok.ContextLength() {
						t.Errorf("Encode(%q): %d ids", text, len(ids))
					}
				}
			})
		})
	}
}

// within runs f and holds the process to a bound far above what it needs, and far
// below what it would need without any. What never ends is ended by the test's own
// time.
func within(t *testing.T, f func()) {
	t.Helper()
	const most = 4 << 30
	start := time.Now()
	f()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.Sys > most {
		t.Errorf("the process has had %d MB", m.Sys>>20)
	}
	t.Logf("took %v; the process has had %d MB", time.Since(start).Round(time.Millisecond), m.Sys>>20)
}

// nonsense is a BPE tokenizer with n merges, of tokens that are there or not.
func nonsense(n int, there bool) string {
	var vocab, merges strings.Builder
	vocab.WriteString(`"a": 0, "b": 1`)
	last := "a"
	for i := range n {
		token := fmt.Sprintf("a%x", i)
		if !there {
			fmt.Fprintf(&merges, `"%s q%x",`, last, i)
			continue
		}
		fmt.Fprintf(&vocab, `, %q: %d, "%x": %d`, token, 2*i+2, i, 2*i+3)
		fmt.Fprintf(&merges, `"a %x",`, i)
	}
	return fmt.Sprintf(`{"model": {"type": "BPE", "vocab": {%s}, "merges": [%s]}}`, vocab.String(), strings.TrimSuffix(merges.String(), ","))
}

// distinct are n keys with values.
func distinct(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `, "%x": 1`, i)
	}
	return b.String()
}

func nested(wrap string, n int, inner string) string {
	for range n {
		inner = fmt.Sprintf(wrap, inner)
	}
	return inner
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

// A map of SentencePiece's own that makes a letter into a megabyte, for a caption.
func TestGrowingPieces(t *testing.T) {
	table, err := base64.StdEncoding.DecodeString(writeCharsmap(map[string]string{"a": strings.Repeat("a", 1<<20)}))
	if err != nil {
		t.Fatal(err)
	}
	piece := func(text string, kind byte) []byte {
		p := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), text)
		p = protowire.AppendVarint(protowire.AppendTag(p, 3, protowire.VarintType), uint64(kind))
		return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), p)
	}
	normal := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), table)
	model := slices.Concat(piece("<unk>", pieceUnknown), piece("a", pieceNormal), piece("aa", pieceNormal), protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), normal))
	within(t, func() {
		tok, err := OpenTokenizer(fstest.MapFS{sentencePiece: {Data: model}}, TokenizerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if ids := tok.Encode(strings.Repeat("a", 100_000)); len(ids) > tok.ContextLength() {
			t.Errorf("%d ids", len(ids))
		}
	})
}

func TestHostileVocabularies(t *testing.T) {
	clip := `{"<|startoftext|>": 0, "<|endoftext|>": 1, "a": 2, "b": 3, "ab": 4}`
	bert := "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"
	long := strings.Repeat("a", maxToken+100)
	for _, tt := range []struct {
		name  string
		fsys  fstest.MapFS
		fails string
	}{
		{"merges of nonsense", fstest.MapFS{"vocab.json": file(clip), "merges.txt": file(strings.Repeat("q r\n", 1_000_000))}, "merge 0"},
		{"too many merges", fstest.MapFS{"vocab.json": file(clip), "merges.txt": file(strings.Repeat("a b\n", maxMerges+1))}, "more than 2097152 merges"},
		{"a merge of one", fstest.MapFS{"vocab.json": file(clip), "merges.txt": file(long)}, "is no pair"},
		{"a long token", fstest.MapFS{"vocab.json": file(`{"` + long + `": 0}`), "merges.txt": file("")}, "a token of 1124 bytes"},
		{"a long line", fstest.MapFS{"vocab.txt": file(bert + long)}, "not a list of tokens"},
		{"too many lines", fstest.MapFS{"vocab.txt": file(bert + strings.Repeat("\n", maxTokens))}, "more than 2097152 tokens"},
		{"too many pieces", fstest.MapFS{"spiece.model": file(strings.Repeat("\x0a\x00", maxTokens+1))}, "more than 2097152 pieces"},
		{"a long piece", fstest.MapFS{"spiece.model": file("\x0a\x84\x08\x0a\x81\x08" + strings.Repeat("a", maxToken+1))}, "piece 0 is none"},
		{"many pieces of users", fstest.MapFS{"spiece.model": file("\x0a\x02\x18\x02" + strings.Repeat("\x0a\x02\x18\x04", maxAdded+1))}, "more than 16384 pieces"},
		{"a large table of letters", fstest.MapFS{"spiece.model": file("\x0a\x02\x18\x02\x1a\x86\x80\x80\x02\x12\x81\x80\x80\x02" + strings.Repeat("a", maxPart+1))}, "a table of letters of 4194305 bytes"},
		{"a zipped bomb", fstest.MapFS{simpleVocabulary: file(zipped(strings.Repeat("a", 64<<20)))}, "more than 16777216 bytes"},
		{"a config that is a list", fstest.MapFS{"vocab.txt": file(bert), "tokenizer_config.json": file(strings.Repeat("[", 1_000_000))}, "tokenizer_config.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			within(t, func() {
				_, err := OpenTokenizer(tt.fsys, TokenizerOptions{})
				if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(fmt.Sprint(err), tt.fails) || len(fmt.Sprint(err)) > 1000 {
					t.Errorf("error %.500v, want ErrInvalid that says %q", err, tt.fails)
				}
			})
		})
	}
}

// A file that pretends to be a tokenizer of 100 GB is not read.
func TestTokenizerSize(t *testing.T) {
	for _, name := range []string{"tokenizer.json", "vocab.json", "vocab.txt"} {
		dir := t.TempDir()
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(100<<30), f.Close()); err != nil {
			t.Skipf("no sparse files here: %v", err)
		}
		within(t, func() {
			_, err := OpenTokenizer(os.DirFS(dir), TokenizerOptions{})
			if !errors.Is(err, clipsearch.ErrInvalid) || !strings.Contains(fmt.Sprint(err), "has 107374182400 bytes") {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func FuzzBareVocabulary(f *testing.F) {
	f.Add(`{"<|startoftext|>": 0, "<|endoftext|>": 1, "a": 2, "b</w>": 3, "ab</w>": 4}`, "#version: 0.2\na b</w>\n", "", `{"pad_token": "a"}`, "ab")
	f.Add("", "", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\r\n##b\n", `{"do_lower_case": false, "pad_token": {"content": "[MASK]"}}`, "Ab")
	f.Fuzz(func(t *testing.T, vocab, merges, words, config, text string) {
		fsys := fstest.MapFS{"merges.txt": file(merges), "tokenizer_config.json": file(config)}
		if vocab != "" {
			fsys["vocab.json"] = file(vocab)
		} else {
			fsys["vocab.txt"] = file(words)
		}
		tok, err := OpenTokenizer(fsys, TokenizerOptions{})
		if err != nil {
			if !errors.Is(err, clipsearch.ErrInvalid) {
				t.Errorf("%v is not ErrInvalid", err)
			}
			return
		}
		if ids := tok.Encode(text); len(ids) > tok.ContextLength() {
			t.Errorf("%d ids, more than %d", len(ids), tok.ContextLength())
		}
	})
}

// TestReadConfigFile: what is too large, or no file, is refused before it is read.
func TestReadConfigFile(t *testing.T) {
	fsys := fstest.MapFS{"small": file("{}"), "large": {Data: make([]byte, maxConfigFile+1)}, "folder/x": file("")}
	if data, err := ReadConfigFile(fsys, "small"); err != nil || string(data) != "{}" {
		t.Errorf("small: %q, %v", data, err)
	}
	for _, name := range []string{"large", "folder"} {
		if _, err := ReadConfigFile(fsys, name); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%s: %v is not ErrInvalid", name, err)
		}
	}
}
