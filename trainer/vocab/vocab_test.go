package vocab

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
)

//go:generate go test -run TestFiles -update
//go:generate python3 testdata/make_golden.py

var update = flag.Bool("update", false, "write testdata/files, which the golden numbers are made with")

const context = 24 // of testdata/files

// golden is what Hugging Face's libraries say.
type golden struct {
	Merges  [][2]string
	Tokens  int
	Context int
	Pad     int
	Lengths []int
	IDs     []struct {
		Text string
		IDs  []int64
	}
}

func readGolden(t *testing.T) (g golden) {
	text, err := os.ReadFile("testdata/golden.json")
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func captions(t testing.TB) []string {
	text, err := os.ReadFile("testdata/captions.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func train(t testing.TB, o Options, texts ...string) *Vocabulary {
	t.Helper()
	v, err := Train(slices.Values(texts), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The files that the reference read are those that are written now.
func TestFiles(t *testing.T) {
	v := train(t, Options{Size: 640}, captions(t)...)
	if *update {
		if err := v.Write("testdata/files", context); err != nil {
			t.Fatal(err)
		}
	}
	files, err := v.Files(context)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range files {
		want, err := os.ReadFile(filepath.Join("testdata/files", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is another: make the golden numbers again (%v)", name, err)
		}
	}
}

func TestIDsAreTransformers(t *testing.T) {
	g := readGolden(t)
	files := os.DirFS("testdata/files")
	tok, err := clip.OpenTokenizer(files, clip.TokenizerOptions{ContextLength: g.Context})
	if err != nil {
		t.Fatal(err)
	}
	// As older programs have them: without a tokenizer.json.
	old := t.TempDir()
	for _, name := range []string{"vocab.json", "merges.txt"} {
		if err := os.Link(filepath.Join("testdata/files", name), filepath.Join(old, name)); err != nil {
			t.Skip(err)
		}
	}
	two, err := clip.OpenTokenizer(os.DirFS(old), clip.TokenizerOptions{ContextLength: g.Context})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range g.IDs {
		if diff := cmp.Diff(tt.IDs, tok.Encode(tt.Text)); diff != "" {
			t.Errorf("%q (-transformers +clip):\n%s", tt.Text, diff)
		}
		if diff := cmp.Diff(tt.IDs, two.Encode(tt.Text)); diff != "" {
			t.Errorf("%q, vocab.json and merges.txt (-transformers +clip):\n%s", tt.Text, diff)
		}
	}
	c, err := Cover(files, clip.TokenizerOptions{ContextLength: 12}, slices.Values(captions(t)))
	want := Coverage{Texts: len(g.Lengths), Longest: slices.Max(g.Lengths)}
	for _, n := range g.Lengths {
		want.Tokens += n
		if n > 12 {
			want.Cut++
		}
	}
	if err != nil || c != want {
		t.Errorf("Cover: %+v, %v, want %+v", c, err, want)
	}
}

// The reference's merges, one by one: no pair may be more frequent than the one it has
// joined, as we count. Which of equals it takes is its own affair.
func TestMergesAreTokenizers(t *testing.T) {
	g := readGolden(t)
	counts := map[string]int{}
	for _, c := range captions(t) {
		for w := range clip.TextWords(c) {
			counts[w]++
		}
	}
	l := newLearner(counts)
	for i, m := range g.Merges {
		p := pair{l.ids[m[0]], l.ids[m[1]]}
		best := 0
		for _, n := range l.count {
			best = max(best, n)
		}
		if l.count[p] != best {
			t.Fatalf("merge %d, %q: it is there %d times, and another pair %d times", i, m, l.count[p], best)
		}
		l.join(p)
	}
	v := train(t, Options{Size: Smallest + len(g.Merges)}, captions(t)...)
	if len(v.Merges) != len(g.Merges) {
		t.Fatalf("%d merges, want %d", len(v.Merges), len(g.Merges))
	}
	dir := t.TempDir()
	if err := v.Write(dir, context); err != nil {
		t.Fatal(err)
	}
	c, err := Cover(os.DirFS(dir), clip.TokenizerOptions{ContextLength: context}, slices.Values(captions(t)))
	if ours := c.Tokens - 2*c.Texts; err != nil || float64(ours) > 1.005*float64(g.Tokens) {
		t.Errorf("the captions have %d tokens, and %d with the reference's vocabulary of the same size (%v)", ours, g.Tokens, err)
	}
}

func TestTrain(t *testing.T) {
	for name, tt := range map[string]struct {
		o     Options
		texts []string
		want  [][2]string
	}{
		"most frequent first":     {Options{}, []string{"abc abc", "bc"}, [][2]string{{"b", "c</w>"}, {"a", "bc</w>"}}},
		"smallest of equals":      {Options{}, []string{"dc dc ba ba"}, [][2]string{{"b", "a</w>"}, {"d", "c</w>"}}},
		"overlapping":             {Options{}, []string{"aaaa aaaa"}, [][2]string{{"a", "a"}, {"a", "a</w>"}, {"aa", "aa</w>"}}},
		"a size":                  {Options{Size: Smallest + 1}, []string{"dc dc ba ba"}, [][2]string{{"b", "a</w>"}}},
		"once is not often":       {Options{}, []string{"ab"}, nil},
		"once is often":           {Options{MinCount: 1}, []string{"ab"}, [][2]string{{"a", "b</w>"}}},
		"too long to learn from":  {Options{}, []string{strings.Repeat("ab", 200) + " a"}, nil},
		"lower case, no controls": {Options{}, []string{"AB\x00 &amp;&amp; Ab"}, [][2]string{{"a", "b</w>"}}},
		"bytes":                   {Options{}, []string{"é é"}, [][2]string{{"Ã", "©</w>"}}},
	} {
		v := train(t, tt.o, tt.texts...)
		if diff := cmp.Diff(tt.want, v.Merges); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if n := len(v.Tokens); n != Smallest+len(tt.want) || v.Tokens[n-1] != endOfText {
			t.Errorf("%s: %d tokens, of which the last is %s", name, n, v.Tokens[n-1])
		}
	}
	texts := captions(t)
	v := train(t, Options{Size: 700}, texts...)
	slices.Reverse(texts)
	if diff := cmp.Diff(v, train(t, Options{Size: 700}, texts...)); diff != "" {
		t.Errorf("the order of the captions matters:\n%s", diff)
	}
}

func TestTrainErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		o    Options
		text string
	}{"small": {Options{Size: 513}, "a"}, "count": {Options{MinCount: -1}, "a"}, "no words": {Options{}, " "}} {
		if _, err := Train(slices.Values([]string{tt.text}), tt.o); !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

// Whatever was learnt from, what is written can be read.
func FuzzTrain(f *testing.F) {
	f.Add("a dog's ball, a dog's tail")
	f.Add("\xff\xff \xff\xff é é <|endoftext|> <|endoftext|>")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := Train(slices.Values([]string{text, text}), Options{Size: 600})
		if err != nil {
			if !errors.Is(err, clipsearch.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		files, err := v.Files(16)
		if err != nil {
			t.Fatal(err)
		}
		dir := fstest.MapFS{}
		for name, content := range files {
			dir[name] = &fstest.MapFile{Data: content}
		}
		if _, err := Cover(dir, clip.TokenizerOptions{ContextLength: 16}, slices.Values([]string{text})); err != nil {
			t.Fatal(err)
		}
	})
}
