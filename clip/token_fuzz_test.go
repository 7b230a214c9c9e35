package clip

import (
	"path/filepath"
	"testing"
	"testing/fstest"
	"unicode/utf8"
)

func FuzzEncode(f *testing.F) {
	for _, name := range []string{"clip", "open_clip", "unigram"} {
		for _, r := range readRows(f, filepath.Join(golden, name+".jsonl")) {
			f.Add(r.Text)
		}
	}
	f.Add("\xff\xc3&#xfffe;\xe2\x82")
	var toks []*Tokenizer
	for _, name := range []string{"clip", "wordpiece", "unigram", "bytefallback"} {
		for _, clean := range []string{"none", "open_clip", "canonicalize"} {
			toks = append(toks, open(f, filepath.Join(golden, name), TokenizerOptions{Clean: clean, ContextLength: 20}))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range toks {
			checkIDs(t, tok, text)
		}
		if s := cleanText(text); utf8.ValidString(text) && !utf8.ValidString(s) {
			t.Errorf("cleanText(%q) = %q, which is not UTF-8", text, s)
		}
	})
}

// checkIDs checks what holds for every text: begin and end are where they
// belong, there are not too many ids, and none is out of the vocabulary.
func checkIDs(t *testing.T, tok *Tokenizer, text string) {
	t.Helper()
	ids := tok.Encode(text)
	n := len(ids) - len(tok.after)
	if len(ids) > tok.ContextLength() || n < len(tok.before) {
		t.Fatalf("Encode(%q) = %v: %d ids", text, ids, len(ids))
	}
	for i, id := range tok.before {
		if ids[i] != id {
			t.Errorf("Encode(%q) = %v, want %v in front", text, ids, tok.before)
		}
	}
	for i, id := range tok.after {
		if ids[n+i] != id {
			t.Errorf("Encode(%q) = %v, want %v at the end", text, ids, tok.after)
		}
	}
	for _, id := range ids {
		if id < 0 || id > 1<<16 {
			t.Errorf("Encode(%q) = %v: %d is no token", text, ids, id)
		}
	}
}

func FuzzOpenTokenizer(f *testing.F) {
	f.Add(tiny(`, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "CAAAAAAAAAAAAAAAYQA="}`), "ab")
	f.Add(tiny(`, "pre_tokenizer": {"type": "Metaspace"}, "padding": {"pad_id": 3}`), " a")
	f.Add(tiny(`, "added_tokens": [{"id": 9, "content": "a", "lstrip": true, "rstrip": true, "normalized": true}]`), " a  a")
	f.Add(`{"model": {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"], "end_of_word_suffix": "</w>"}}`, "abab")
	f.Add(`{"model": {"vocab": [["a", -1], ["ab", -1e300], ["b", 1e308]], "byte_fallback": true}}`, "abcab")
	f.Add(`{"pre_tokenizer": {"type": "ByteLevel"}, "post_processor": {"type": "RobertaProcessing", "sep": ["", 1], "cls": ["", 2]}, "model": {"type": "BPE", "vocab": {"\u0120": 0}, "merges": []}}`, " ")
	f.Fuzz(func(t *testing.T, content, text string) {
		for _, clean := range []string{"", "open_clip"} {
			tok, err := OpenTokenizer(fstest.MapFS{"tokenizer.json": file(content)}, TokenizerOptions{Clean: clean})
			if err != nil {
				continue
			}
			if ids := tok.Encode(text); len(ids) > tok.ContextLength() {
				t.Errorf("%d ids, more than %d", len(ids), tok.ContextLength())
			}
		}
	})
}
