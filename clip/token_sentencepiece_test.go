package clip

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/clipsearch/clipsearch"
)

// spmFiles are the models that testdata/tokenizer/make_sentencepiece.py trains.
var spmFiles = []string{"spm-t5/" + sentencePiece, "spm-xlmr/" + fairseqPieces, "spm-gemma/" + gemmaTokenizer}

// TestSentencePieceMarks: the marks have the numbers that the families give them, and
// no text becomes one.
func TestSentencePieceMarks(t *testing.T) {
	for _, tt := range []struct {
		dir, kind string
		pad, mark int64
	}{{"spm-t5", "unigram", 0, 1}, {"spm-xlmr", "unigram", 1, 2}, {"spm-gemma", "bpe", 0, 1}} {
		tok := open(t, golden+"/"+tt.dir, TokenizerOptions{})
		if tok.Kind() != tt.kind || tok.PadID() != tt.pad {
			t.Errorf("%s: kind %s, pad %d, want %s and %d", tt.dir, tok.Kind(), tok.PadID(), tt.kind, tt.pad)
		}
		ids := tok.Encode("</s> <s> <pad> <unk> <eos>")
		for _, id := range ids[1 : len(ids)-1] {
			if id == tt.mark {
				t.Errorf("%s: the words for its marks are %v, a mark among them", tt.dir, ids)
			}
		}
	}
}

// TestSentencePieceConfig: tokenizer_config.json may ask for a begin token, and for no
// end.
func TestSentencePieceConfig(t *testing.T) {
	data, err := os.ReadFile(golden + "/spm-gemma/" + gemmaTokenizer)
	if err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string][2]int64{
		`{}`: {-1, 1}, `{"add_bos_token":true}`: {2, 1}, `{"add_bos_token":true,"add_eos_token":false}`: {2, -1},
	} {
		tok, err := OpenTokenizer(fstest.MapFS{gemmaTokenizer: {Data: data}, "tokenizer_config.json": {Data: []byte(config)}}, TokenizerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ids := tok.Encode("a dog")
		if (ids[0] == 2) != (want[0] == 2) || (ids[len(ids)-1] == 1) != (want[1] == 1) {
			t.Errorf("%s: %v", config, ids)
		}
	}
}

func TestSentencePieceMistakes(t *testing.T) {
	for _, name := range spmFiles {
		data, err := os.ReadFile(golden + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		base := name[strings.LastIndex(name, "/")+1:]
		for what, bad := range map[string][]byte{"empty": {}, "words": []byte("no model at all"), "cut off": data[:len(data)-7], "a piece and no more": data[:data[1]+2]} {
			_, err := OpenTokenizer(fstest.MapFS{base: {Data: bad}}, TokenizerOptions{})
			if err != nil && (!errors.Is(err, clipsearch.ErrInvalid) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			if err == nil && what != "a piece and no more" {
				t.Errorf("%s, %s: no error", name, what)
			}
		}
	}
}

func FuzzSentencePiece(f *testing.F) {
	for _, name := range spmFiles {
		data, err := os.ReadFile(golden + "/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "a photo of a dog")
	}
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		for _, name := range []string{sentencePiece, fairseqPieces} {
			tok, err := OpenTokenizer(fstest.MapFS{name: {Data: data}}, TokenizerOptions{})
			if err != nil {
				if !errors.Is(err, clipsearch.ErrInvalid) || strings.Contains(err.Error(), "\n") {
					t.Fatalf("error %q", err)
				}
				continue
			}
			for _, id := range tok.Encode(text) {
				if id < 0 {
					t.Fatalf("%s: the id %d", name, id)
				}
			}
		}
	})
}
