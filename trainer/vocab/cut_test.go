package vocab_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/trainer/vocab"
)

const pieces = `{"added_tokens":[{"id":0,"content":"[PAD]","special":true},{"id":2,"content":"[CLS]","special":true},{"id":3,"content":"[SEP]","special":true}],
"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},
"pre_tokenizer":{"type":"BertPreTokenizer"},"padding":{"strategy":"BatchLongest","direction":"Right","pad_id":0,"pad_type_id":0,"pad_token":"[PAD]"},
"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],"pair":[],
"special_tokens":{"[CLS]":{"id":"[CLS]","ids":[2],"tokens":["[CLS]"]},"[SEP]":{"id":"[SEP]","ids":[3],"tokens":["[SEP]"]}}},
"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
"vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"unused":4,"a":5,"dog":6,"##s":7,"do":8,"##g":9,"cat":10,"##n":11}}}`

func open(t *testing.T, file []byte) *clip.Tokenizer {
	t.Helper()
	tok, err := clip.OpenTokenizer(fstest.MapFS{"tokenizer.json": {Data: file}}, clip.TokenizerOptions{ContextLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestCut(t *testing.T) {
	whole := open(t, []byte(pieces))
	used := map[int]bool{}
	for _, s := range []string{"a dog", "dogs"} {
		for _, id := range whole.Encode(s) {
			used[int(id)] = true
		}
	}
	cut, rows, err := vocab.Cut([]byte(pieces), func(id int, _ string) bool { return used[id] })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{0, 1, 2, 3, 5, 6, 7}, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	smaller := open(t, cut)
	for s, same := range map[string]bool{"a dog": true, "Dogs": true, "dogs a": true, "cat": false} {
		var back []int64
		for _, id := range smaller.Encode(s) {
			back = append(back, int64(rows[id]))
		}
		if got := slices.Equal(back, whole.Encode(s)); got != same {
			t.Errorf("%q is %v, of the whole vocabulary %v", s, back, whole.Encode(s))
		}
	}
	if smaller.PadID() != 0 {
		t.Errorf("it fills up with %d", smaller.PadID())
	}
}

func TestCutRefuses(t *testing.T) {
	all := func(int, string) bool { return true }
	for _, bad := range []string{"", "[]", `{"model":{"type":"BPE","vocab":{}}}`, strings.Replace(pieces, `"dog":6`, `"dog":6.5`, 1), strings.Replace(pieces, `"ids":[2]`, `"ids":[20]`, 1), strings.Replace(pieces, `"pad_id":0`, `"pad_id":90`, 1)} {
		if _, _, err := vocab.Cut([]byte(bad), all); err == nil {
			t.Errorf("Cut(%.40q): no error", bad)
		}
	}
}
