package index

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
)

// TestWordsChild is not a test: it changes the words of pictures in a process of
// its own, takes pictures out and asks for words in between, and with
// INDEX_TEST_LANGUAGE changes the language. It prints what is acknowledged.
func TestWordsChild(t *testing.T) {
	dir := os.Getenv("INDEX_TEST_WORDS")
	if dir == "" {
		t.Skip("run by other tests")
	}
	ctx := context.Background()
	x, err := Open(dir, testOptions())
	if err != nil {
		fmt.Println("error", err)
		return
	}
	if os.Getenv("INDEX_TEST_LANGUAGE") != "" {
		go func() {
			for n := 0; err == nil; n++ {
				err = x.SetLanguage(ctx, Languages()[n%2+3])
			}
		}()
	}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for {
		var batch []clipsearch.Entry
		version := r.IntN(1e9)
		from := r.IntN(40) * 25
		for i := from; i < from+25; i++ {
			batch = append(batch, wordsEntry(i, version))
		}
		fmt.Println("begin", from, version)
		err := x.Put(ctx, batch)
		fmt.Println("put", from, version)
		if err == nil && r.IntN(4) == 0 {
			gone := r.IntN(1000)
			fmt.Println("begin-delete", gone)
			err = x.Delete(ctx, []clipsearch.ID{testID(gone)})
			fmt.Println("delete", gone)
		}
		if err == nil && r.IntN(3) == 0 {
			_, err = x.Match(ctx, "dog", 10, nil) // Bleve is told first
		}
		if err != nil {
			fmt.Println("error", err)
			return
		}
	}
}

func wordsEntry(i, version int) clipsearch.Entry {
	e := testEntry(i)
	e.Captions, e.CaptionVectors, e.Thumb = []string{"a dog in " + versionWord(i, version)}, nil, []byte{1}
	return e
}

// versionWord is a word of letters that only this version of picture i has.
func versionWord(i, version int) string {
	return strings.Map(func(r rune) rune { return r - '0' + 'a' }, fmt.Sprint(version)) +
		strings.Map(func(r rune) rune { return r - '0' + 'k' }, fmt.Sprintf("%03d", i)) + "x"
}

// wordsModel is what is known of the pictures: the version of each, -1 if it is not
// there, and for those that were being changed, the versions that may be.
type wordsModel struct {
	now   map[int]int
	maybe map[int]int
}

// follow reads what the child prints until it ends.
func (m *wordsModel) follow(t *testing.T, lines *bufio.Scanner) {
	for lines.Scan() {
		var from, version int
		what := lines.Text()
		switch {
		case scan(what, "begin %d %d", &from, &version):
			for i := from; i < from+25; i++ {
				m.maybe[i] = version
			}
		case scan(what, "put %d %d", &from, &version):
			maps.Copy(m.now, m.maybe)
			clear(m.maybe)
		case scan(what, "begin-delete %d", &from):
			m.maybe[from] = -1
		case scan(what, "delete %d", &from):
			maps.Copy(m.now, m.maybe)
			clear(m.maybe)
		case scan(what, "error %d"):
			t.Errorf("child: %s", what)
		}
	}
}

func scan(line, format string, to ...any) bool {
	n, err := fmt.Sscanf(line, format, to...)
	return err == nil && n == len(to)
}

// TestKillWords kills a process that changes words, at random moments, again and
// again. Whoever opens the index then tells Bleve of no more than what x/ names,
// and every picture is found by the words that it has, and by no others.
func TestKillWords(t *testing.T) {
	for name, env := range map[string]string{"words": "INDEX_TEST_LANGUAGE=", "languages": "INDEX_TEST_LANGUAGE=1"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "index")
			m := &wordsModel{map[int]int{}, map[int]int{}}
			for range 6 {
				cmd := exec.Command(os.Args[0], "-test.run=^TestWordsChild$")
				cmd.Env = append(os.Environ(), "INDEX_TEST_WORDS="+dir, env)
				cmd.Stderr = os.Stderr
				out, err := cmd.StdoutPipe()
				if err == nil {
					err = cmd.Start()
				}
				if err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(time.Duration(100+rand.IntN(900))*time.Millisecond, func() { _ = cmd.Process.Kill() })
				m.follow(t, bufio.NewScanner(out))
				_ = cmd.Wait() // it was killed
				m.verify(t, dir)
			}
		})
	}
}

// verify opens the index after a crash.
func (m *wordsModel) verify(t *testing.T, dir string) {
	t.Helper()
	x, err := Open(dir, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer closeIndex(t, x)
	dirty := len(x.text.dirty)
	if has(t, x, rebuildKey) && x.text.words != nil {
		t.Error("the text index is to be built again")
	}
	for i := range 1000 {
		m.verifyPicture(t, x, i)
	}
	clear(m.maybe)
	told := toldOf(t, x)
	if told > dirty {
		t.Errorf("Bleve was told of %d pictures, of %d it did not know", told, dirty)
	}
	t.Logf("%d of %d pictures told", told, len(m.now))
	if err := x.text.build(context.Background()); err != nil {
		t.Error(err)
	}
	mustBeClean(t, x)
}

// verifyPicture finds out which version of picture i there is, and whether words
// find that one.
func (m *wordsModel) verifyPicture(t *testing.T, x *Index, i int) {
	t.Helper()
	old, known := m.now[i]
	maybe, changing := m.maybe[i]
	var caption string
	if img, err := x.Image(context.Background(), testID(i)); err == nil {
		caption = img.Caption()
	}
	is := func(version int) bool {
		return version < 0 && caption == "" || version >= 0 && caption == "a dog in "+versionWord(i, version)
	}
	if !known {
		old = -1
	}
	switch {
	case changing && is(maybe):
		m.now[i] = maybe
	case !is(old):
		t.Errorf("picture %d has caption %q, want that of version %d or %d", i, caption, old, maybe)
	}
	for _, version := range []int{old, maybe} {
		if version <= 0 {
			continue
		}
		word := versionWord(i, version)
		if found := len(match(t, x, word, 5, nil)) > 0; found != is(version) {
			t.Errorf("picture %d with caption %q: %q finds it: %v", i, caption, word, found)
		}
	}
}

// toldOf is how many pictures Bleve was told of.
func toldOf(t *testing.T, x *Index) int {
	t.Helper()
	if err := x.text.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer x.text.give()
	return x.text.told
}

func has(t *testing.T, x *Index, key string) (ok bool) {
	t.Helper()
	err := x.store.view(func(tx tx) (err error) {
		ok, err = tx.has([]byte(key))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// TestRebuildResumed closes the index in the middle of a rebuild: the next process
// does not do again what was done.
func TestRebuildResumed(t *testing.T) {
	x := newIndex(t)
	manyWords(t, x, 1500, 1500)
	closeIndex(t, x)
	if err := os.RemoveAll(filepath.Join(x.dir, "text")); err != nil {
		t.Fatal(err)
	}
	x = open(t, x.dir)
	if err := x.text.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := x.text.open()
	var some []clipsearch.ID
	for i := range 1000 {
		some = append(some, testID(i))
	}
	if err == nil {
		err = x.text.tellSome(context.Background(), some, maps.Clone(x.text.dirty))
	}
	x.text.give()
	if err != nil || !has(t, x, rebuildKey) {
		t.Fatalf("begin a rebuild: %v", err)
	}
	closeIndex(t, x) // nothing was put: it leaves the rest to the next process
	x = open(t, x.dir)
	if err := x.Delete(context.Background(), []clipsearch.ID{testID(1), testID(1200)}); err != nil {
		t.Fatal(err)
	}
	if hits := match(t, x, "sunny", 2000, nil); len(hits) != 1498 {
		t.Errorf("%d hits, want 1498", len(hits))
	}
	mustBeClean(t, x)
	if told := toldOf(t, x); told < 500 || told > 502 || has(t, x, rebuildKey) {
		t.Errorf("Bleve was told of %d pictures, of 500 it did not know", told)
	}
}
