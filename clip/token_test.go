package clip

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

// equal compares ids with the reference's, which pads CLIP's to 77. Of two cuts
// that are exactly as likely, the one is as good as the other.
func equal(tok *Tokenizer, got, want []int64) bool {
	if u, ok := tok.model.(*unigram); ok && !cmp.Equal(got, want) {
		gotText, gotScore := u.read(got)
		wantText, wantScore := u.read(want)
		return gotText == wantText && math.Abs(gotScore-wantScore) < 1e-9
	}
	if tok.length == 77 {
		for len(want) > len(got) && (want[len(want)-1] == 0 || want[len(want)-2] == want[len(want)-1]) {
			want = want[:len(want)-1]
		}
	}
	return cmp.Equal(got, want)
}

func (m *unigram) read(ids []int64) (text string, score float64) {
	pieces := map[int64]string{}
	for piece, id := range m.vocab {
		pieces[int64(id)] = piece
	}
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(pieces[id])
		score += m.scores[id]
	}
	return b.String(), score
}

func TestEncodeAsReference(t *testing.T) {
	const shared = "../../shared/fixtures/tokenizer"
	tests := []struct {
		dir, rows, clean string
		share            float64
	}{
		{"clip", "clip_hf", "", 1},
		{"clip", "clip_bpe", "open_clip", 0.98},
		{"wordpiece", "wordpiece", "", 1},
		{"unigram", "unigram", "", 1},
		{"charsmap", "charsmap", "", 1},
		{"bytefallback", "bytefallback", "", 1},
	}
	for _, tt := range tests {
		t.Run(tt.rows, func(t *testing.T) {
			rows := readRows(t, filepath.Join(shared, tt.rows+".jsonl"))
			tok := open(t, filepath.Join(shared, tt.dir), TokenizerOptions{Clean: tt.clean})
			wrong := 0
			for _, r := range rows {
				if got := tok.Encode(r.Text); !equal(tok, got, r.IDs) {
					if wrong++; wrong <= 20 {
						t.Logf("Encode(%q) = %v, want %v", r.Text, got, r.IDs)
					}
				}
			}
			if got := 1 - float64(wrong)/float64(len(rows)); got < tt.share {
				t.Errorf("%d of %d texts as the reference has them, want a share of %v", len(rows)-wrong, len(rows), tt.share)
			}
		})
	}
}
