package clip

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// row is a text and the ids that the reference gives it.
type row struct {
	Text string
	IDs  []int64
}

func readRows(t testing.TB, name string) []row {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Skipf("no reference ids to compare with: %v", err)
	}
	defer f.Close()
	var rows []row
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	if err := lines.Err(); err != nil || len(rows) == 0 {
		t.Fatalf("%s: %d rows, %v", name, len(rows), err)
	}
	return rows
}

func open(t testing.TB, dir string, o TokenizerOptions) *Tokenizer {
	t.Helper()
	tok, err := OpenTokenizer(os.DirFS(dir), o)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// equal compares ids with the reference's, which pads CLIP's to 77 with 0 or the
// end token. Of two cuts that are exactly as likely, one is as good as the other.
func equal(tok *Tokenizer, got, want []int64) bool {
	if u, ok := tok.model.(*unigram); ok && !cmp.Equal(got, want) {
		gotText, gotScore := u.read(got)
		wantText, wantScore := u.read(want)
		return gotText == wantText && math.Abs(gotScore-wantScore) < 1e-9
	}
	for tok.length == 77 && len(want) > len(got) && (want[len(want)-1] == 0 || want[len(want)-2] == want[len(want)-1]) {
		want = want[:len(want)-1]
	}
	return cmp.Equal(got, want)
}

func (m *unigram) read(ids []int64) (text string, score float64) {
	pieces := map[int64]string{}
	for i := range m.vocab.len() {
		pieces[int64(m.vocab.ids[i])] = string(m.vocab.token(i))
	}
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(pieces[id])
		score += m.scores[id]
	}
	return b.String(), score
}

const (
	golden = "testdata/tokenizer"              // made by make_golden.py there
	shared = "../../shared/fixtures/tokenizer" // not part of the repository
	bert   = "../embed/builtin/model"          // the tokenizer of the embedded model
)

func TestEncodeAsReference(t *testing.T) {
	tests := []struct {
		rows, dir string
		opts      TokenizerOptions
		share     float64 // of the texts that must be equal; ftfy knows more misreadings than recode
	}{
		{golden + "/clip", golden + "/clip", TokenizerOptions{}, 1},
		{golden + "/open_clip", golden + "/clip", TokenizerOptions{Clean: "open_clip"}, 0.98},
		{golden + "/wordpiece", golden + "/wordpiece", TokenizerOptions{}, 1},
		{golden + "/bert", bert, TokenizerOptions{ContextLength: 48}, 1},
		{golden + "/unigram", golden + "/unigram", TokenizerOptions{}, 1},
		{golden + "/canonicalize", golden + "/unigram", TokenizerOptions{Clean: "canonicalize"}, 0.98},
		{golden + "/bytefallback", golden + "/bytefallback", TokenizerOptions{}, 1},
		{golden + "/roberta", golden + "/roberta", TokenizerOptions{}, 1},
		{golden + "/spm-t5", golden + "/spm-t5", TokenizerOptions{}, 1},
		{golden + "/spm-xlmr", golden + "/spm-xlmr", TokenizerOptions{}, 1},
		{golden + "/spm-gemma", golden + "/spm-gemma", TokenizerOptions{}, 1},
		{shared + "/clip_hf", shared + "/clip", TokenizerOptions{}, 1},
		{shared + "/clip_bpe", shared + "/clip", TokenizerOptions{Clean: "open_clip"}, 0.98},
		{shared + "/wordpiece", shared + "/wordpiece", TokenizerOptions{}, 1},
		{shared + "/unigram", shared + "/unigram", TokenizerOptions{}, 1},
		{shared + "/charsmap", shared + "/charsmap", TokenizerOptions{}, 1},
		{shared + "/bytefallback", shared + "/bytefallback", TokenizerOptions{}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.rows, func(t *testing.T) {
			rows := readRows(t, tt.rows+".jsonl")
			tok := open(t, tt.dir, tt.opts)
			var wrong []string
			for _, r := range rows {
				if got := tok.Encode(r.Text); !equal(tok, got, r.IDs) {
					wrong = append(wrong, fmt.Sprintf("Encode(%q) = %v, want %v", r.Text, got, r.IDs))
				}
			}
			if float64(len(wrong)) > (1-tt.share)*float64(len(rows)) {
				t.Errorf("%d of %d texts are not cut as the reference cuts them:\n%s", len(wrong), len(rows), strings.Join(wrong, "\n"))
			}
		})
	}
}

func TestContextLength(t *testing.T) {
	long := strings.Repeat("two dogs ", 100)
	tests := []struct {
		dir    string
		length int
		want   int
	}{
		{"clip", 0, 77}, {"wordpiece", 0, 64}, {"unigram", 0, 64}, {"bytefallback", 0, 64},
		{"clip", 8, 8}, {"clip", 3, 3}, {"clip", 2, 2}, {"clip", 1, 1}, {"unigram", 1, 1}, {"unigram", 2, 2},
	}
	for _, tt := range tests {
		tok := open(t, filepath.Join(golden, tt.dir), TokenizerOptions{ContextLength: tt.length})
		empty, got := tok.Encode(""), tok.Encode(long)
		if len(got) != tt.want || tok.ContextLength() != tt.want || got[len(got)-1] != empty[len(empty)-1] {
			t.Errorf("%s, context length %d: Encode(long) = %v, want %d ids and %d last", tt.dir, tt.length, got, tt.want, empty[len(empty)-1])
		}
	}
}

func TestKindAndPadID(t *testing.T) {
	tests := []struct {
		dir, kind string
		pad       int64
	}{
		{golden + "/clip", "bpe", 0},
		{golden + "/bytefallback", "bpe", 0},
		{golden + "/wordpiece", "wordpiece", 0},
		{golden + "/unigram", "unigram", 0},
		{golden + "/roberta", "bpe", 1},
		{shared + "/../models/hf-siglip-charsmap", "unigram", 1},
		{shared + "/../models/openclip-hf-text", "unigram", 1},
	}
	for _, tt := range tests {
		if _, err := os.Stat(tt.dir); err != nil {
			t.Logf("not checked: %v", err)
			continue
		}
		if tok := open(t, tt.dir, TokenizerOptions{}); tok.Kind() != tt.kind || tok.PadID() != tt.pad {
			t.Errorf("%s: Kind() = %q, PadID() = %d, want %q and %d", tt.dir, tok.Kind(), tok.PadID(), tt.kind, tt.pad)
		}
	}
}

// Text that was made to take time or memory: the words are endless, or nothing
// of it is left.
func TestEndlessText(t *testing.T) {
	tok := open(t, golden+"/clip", TokenizerOptions{})
	for _, letter := range []string{"dog ", "日本 ", "\xff\xbf "} {
		half := strings.Repeat(letter, maxText/len(letter))
		if got, want := tok.Encode(half+half), tok.Encode(half); !cmp.Equal(got, want) {
			t.Errorf("Encode(two megabytes of %q) = %v, want %v", letter, got, want)
		}
	}
	const size = 1 << 16
	texts := map[string]string{
		"one letter": "a", "a sign": "'", "space": " ", "control": "\x00", "not UTF-8": "\xff", "entity": "amp;",
		"marks": "\u0301\u0327", "unknown": "\U0001F600", "Chinese": "日本語", "words": "cat dog ", "sigma": "Σ'", "bracket": "<", "line": "\n",
	}
	for _, name := range []string{"clip", "wordpiece", "unigram", "bytefallback"} {
		for _, clean := range []string{"none", "open_clip"} {
			tok := open(t, filepath.Join(golden, name), TokenizerOptions{Clean: clean})
			for what, s := range texts {
				begun := time.Now()
				ids := tok.Encode("&" + strings.Repeat(s, size/len(s)))
				if took := time.Since(begun); took > 10*time.Second || len(ids) > tok.ContextLength() {
					t.Errorf("%s, clean %s: %s without end took %v and has %d ids", name, clean, what, took, len(ids))
				}
			}
		}
	}
}

// A word is cut the same whether its beginning is settled on the way or not.
func TestUnigramSettles(t *testing.T) {
	m := open(t, golden+"/unigram", TokenizerOptions{}).model.(*unigram)
	var b strings.Builder
	for i := range 3 * settleEvery {
		b.WriteByte("abcdefgh "[i*i%9])
	}
	word := b.String() + strings.Repeat("☃", settleEvery) + "dogs"
	all := m.append(nil, word, len(word))
	w := unigramWord{unigram: m, word: word, fused: -1, steps: []step{{}}}
	for at := 0; at < len(word); {
		at += w.extend(at)
	}
	w.emit(len(word))
	w.flush()
	if diff := cmp.Diff(w.ids, all); diff != "" {
		t.Errorf("settling on the way changed the ids (-at once +settled):\n%s", diff)
	}
	if some := m.append(nil, word, 10); len(some) < 10 || len(some) > len(all) || !cmp.Equal(some, all[:len(some)]) {
		t.Errorf("append with limit 10 = %v, want the first of %v", some, all[:20])
	}
}

func TestEncodeConcurrently(t *testing.T) {
	tok := open(t, golden+"/clip", TokenizerOptions{Clean: "open_clip"})
	want := tok.Encode("Two dogs’ café &amp; bar")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if got := tok.Encode("Two dogs’ café &amp; bar"); !cmp.Equal(got, want) {
					t.Errorf("Encode = %v, want %v", got, want)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkOpenTokenizer(b *testing.B) {
	for _, dir := range []string{bert, shared + "/clip", shared + "/charsmap"} {
		b.Run(filepath.Base(dir), func(b *testing.B) {
			if _, err := os.Stat(dir); err != nil {
				b.Skip(err)
			}
			for b.Loop() {
				open(b, dir, TokenizerOptions{})
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, name := range []string{"clip", "wordpiece", "unigram", "bytefallback"} {
		tok := open(b, filepath.Join(golden, name), TokenizerOptions{Clean: "open_clip"})
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				tok.Encode("Two dogs are running across a grassy field near the café .")
			}
		})
	}
}
