package index

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
)

// A life is what a process does to an index until it is killed: it says what it
// begins, does it, and says that it is done. Whoever reads that knows what the
// index must hold afterwards, but for one operation, which may have come to pass or
// not, and nothing between.

const lifePictures = 120 // few, so that operations meet

var otherSpace = clipsearch.Space{9, 8, 7}

// operation is one line of what a life says.
type operation struct {
	What    string // put, delete, forget, compact, match, nearest, settle, switch, complete, change, rollback, drop or reopen
	N       []int  // pictures
	Caption string // that they are given
	Done    bool
	Answers clipsearch.Space // once it is done
	Err     string
}

// lifeOptions open an index whichever space answers. Its files are small, so that
// they are written out often, and a life's few pictures are enough for a graph, and
// for codes to be saved and a journal kept.
func lifeOptions(dir string) Options {
	o := withModel()
	if _, err := ReadMeta(dir); err == nil {
		o.Space, o.Model, o.Dim, o.Create = clipsearch.Space{}, "", 0, false
	}
	o.sizes = sizes{memtable: 1 << 20, valueLog: 1 << 20}
	o.tuning = tuning{graph: 40, saved: 20}
	return o
}

func openLife(dir string) (*Index, error) { return Open(dir, lifeOptions(dir)) }

// randomOperation returns what comes next.
func randomOperation(r *rand.Rand) operation {
	kinds := []string{
		"put", "put", "put", "put", "put", "put", "delete", "delete", "forget", "match", "compact",
		"nearest", "nearest", "settle", "settle", "settle",
		"switch", "complete", "complete", "complete", "change", "change", "rollback", "drop", "reopen",
	}
	op := operation{What: kinds[r.IntN(len(kinds))]}
	switch op.What {
	case "put", "delete", "forget":
		for range 1 + r.IntN(6) {
			if n := r.IntN(lifePictures); !slices.Contains(op.N, n) {
				op.N = append(op.N, n)
			}
		}
		op.Caption = "zq" // and letters that neither a stem nor a file's name has
		for range 4 {
			op.Caption += string("bcfhjkmv"[r.IntN(8)])
		}
	}
	return op
}

// lifeEntry is a picture with other captions than it has elsewhere.
func lifeEntry(n int, caption string, space clipsearch.Space) clipsearch.Entry {
	e := testEntry(n)
	e.Captions, e.Space = []string{caption}, space
	e.Vectors, e.CaptionVectors = lifeVectors(n, space), []clipsearch.Vector{unit(testDim, uint64(n)+1e6)}
	return e
}

func lifeVectors(n int, space clipsearch.Space) []clipsearch.Vector {
	return []clipsearch.Vector{unit(testDim, uint64(n)+uint64(space[0])<<32)}
}

// do carries out op on x, which it may open anew.
func (op operation) do(dir string, x *Index) (*Index, error) {
	ctx := context.Background()
	switch op.What {
	case "put":
		var batch []clipsearch.Entry
		for _, n := range op.N {
			batch = append(batch, lifeEntry(n, op.Caption, x.meta().Space))
		}
		return x, x.Put(ctx, batch)
	case "delete":
		var ids []clipsearch.ID
		for _, n := range op.N {
			ids = append(ids, testID(n))
		}
		return x, x.Delete(ctx, ids)
	case "forget":
		var paths []string
		for _, n := range op.N {
			paths = append(paths, testFile(n).Path)
		}
		_, err := x.Forget(ctx, paths)
		return x, err
	case "match":
		_, err := x.Match(ctx, "dog", 5, nil)
		return x, err
	case "nearest": // and have the tender work
		_, err := x.Nearest(ctx, unit(testDim, 1), 5, nil)
		return x, err
	case "settle":
		return x, x.Settle(ctx)
	case "compact":
		return x, x.Compact(ctx)
	case "reopen":
		if err := x.Close(); err != nil {
			return nil, err
		}
		return openLife(dir)
	}
	return x, op.change(ctx, dir, x)
}

// change carries out what has to do with spaces. What cannot be done just now is
// not done.
func (op operation) change(ctx context.Context, dir string, x *Index) (err error) {
	s, err := x.Spaces(ctx)
	if err != nil {
		return err
	}
	switch op.What {
	case "switch":
		to := clipsearch.SpaceStats{Model: "other", Digest: otherSpace, Dim: testDim}
		if s.Answering.Digest == otherSpace {
			to.Model, to.Digest = "test-model", testSpace
		}
		if err := KeepModel(dir, to.Digest, withModel()); err != nil {
			return err
		}
		return x.SwitchTo(ctx, to)
	case "complete": // a few of those that lack vectors
		space := cmp.Or(s.Next.Digest, s.Answering.Digest)
		lacks, err := x.Lacking(ctx, space, clipsearch.ID{}, 40, false)
		if err != nil {
			return err
		}
		return x.Reencode(ctx, space, reencoded(lacks, space))
	case "change":
		_, err = x.Change(ctx)
	case "rollback":
		err = x.Rollback(ctx)
	case "drop":
		_, _, err = x.DropSpaces(ctx)
	}
	if errors.Is(err, clipsearch.ErrInvalid) {
		return nil // nothing to go back to
	}
	return err
}

func reencoded(lacks []clipsearch.Lack, space clipsearch.Space) (list []clipsearch.Reencoded) {
	numbers := map[clipsearch.ID]int{}
	for n := range lifePictures {
		numbers[testID(n)] = n
	}
	for _, l := range lacks {
		r := clipsearch.Reencoded{ID: l.Image.ID, Captions: l.Image.Captions}
		if l.Vectors {
			r.Vectors = lifeVectors(numbers[l.Image.ID], space)
		}
		if l.Captions {
			r.CaptionVectors = []clipsearch.Vector{unit(testDim, 77)}
		}
		list = append(list, r)
	}
	return list
}

// TestLifeChild is not a test: it is a life in a process of its own.
func TestLifeChild(t *testing.T) {
	dir := os.Getenv("INDEX_TEST_LIFE")
	if dir == "" {
		t.Skip("run by TestKills")
	}
	seed, err := strconv.ParseUint(os.Getenv("INDEX_TEST_SEED"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 11))
	say := json.NewEncoder(os.Stdout)
	x, err := openLife(dir)
	if err != nil {
		_ = say.Encode(operation{What: "open", Err: err.Error()})
		return
	}
	for {
		op := randomOperation(r)
		_ = say.Encode(op)
		if x, err = op.do(dir, x); err != nil {
			op.Err = err.Error()
		} else {
			op.Answers = x.meta().Space
		}
		op.Done = true
		_ = say.Encode(op)
		if err != nil {
			return
		}
	}
}

// lifeState is what an index holds, as far as lives change it.
type lifeState struct {
	captions map[int]string // of each picture there is
	answers  clipsearch.Space
}

// after is s once op has come to pass. Of a change of spaces only the process that
// makes it knows what it comes to.
func (s lifeState) after(op operation) lifeState {
	next := lifeState{maps.Clone(s.captions), s.answers}
	for _, n := range op.N {
		if op.What == "put" {
			next.captions[n] = op.Caption
		} else {
			delete(next.captions, n)
		}
	}
	return next
}

// liveAndDie lets a process live on the index in dir and kills it. It returns what
// the index must hold, and what it may hold instead.
func liveAndDie(t *testing.T, dir string, seed uint64, s lifeState) (must, may lifeState, last operation) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 12))
	cmd := exec.Command(os.Args[0], "-test.run=^TestLifeChild$")
	cmd.Env = append(os.Environ(), "INDEX_TEST_LIFE="+dir, "INDEX_TEST_SEED="+strconv.FormatUint(seed, 10))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill := func() { _ = cmd.Process.Kill() }
	pause := time.Duration(r.IntN(int(300 * time.Millisecond)))
	if r.IntN(5) == 0 { // while it opens what the last one left
		time.AfterFunc(pause/4, kill)
	}
	must, may = s, s
	lines := bufio.NewScanner(out)
	for n, patience := 0, r.IntN(120); lines.Scan(); n++ {
		if n == patience {
			time.AfterFunc(pause/30, kill)
		}
		var op operation
		if json.Unmarshal(lines.Bytes(), &op) != nil {
			t.Fatalf("seed %d: the process says %q", seed, lines.Text())
		}
		if op.Err != "" {
			t.Fatalf("seed %d: %s: %s", seed, op.What, op.Err)
		}
		if last = op; op.Done {
			must = must.after(op)
			must.answers = op.Answers
			may = must
			continue
		}
		if may = must.after(op); op.What == "change" || op.What == "rollback" {
			may.answers = map[clipsearch.Space]clipsearch.Space{testSpace: otherSpace, otherSpace: testSpace}[must.answers]
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("seed %d: the process ended by itself, or died of something else: %v", seed, err)
	}
	return must, may, last
}

// inspect reads from x what lives change, and reports whatever does not agree with
// itself.
func inspect(t *testing.T, x *Index) lifeState {
	t.Helper()
	ctx := context.Background()
	mustBeClean(t, x)
	s := lifeState{captions: map[int]string{}, answers: x.meta().Space}
	var near []clipsearch.ID
	for n := range lifePictures {
		m, err := x.Image(ctx, testID(n))
		if errors.Is(err, clipsearch.ErrNotFound) {
			continue
		}
		if err != nil || len(m.Captions) != 1 || len(m.Files) != 1 {
			t.Fatalf("picture %d: %+v, %v", n, m, err)
		}
		s.captions[n] = m.Captions[0]
		if _, err := x.Vector(ctx, m.ID); err == nil {
			near = append(near, m.ID)
		}
	}
	hits, err := x.Nearest(ctx, unit(testDim, 1), 1000, nil)
	if err != nil || len(hits) != len(near) {
		t.Errorf("Nearest finds %d pictures of the %d that have vectors: %v", len(hits), len(near), err)
	}
	for _, id := range near {
		v, err := x.Vector(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if hits, err := x.Nearest(ctx, v, 1, nil); err != nil || len(hits) != 1 || hits[0].ID != id {
			t.Errorf("picture %s is not nearest to itself: %v, %v", id, hits, err)
		}
	}
	words := map[string]int{}
	for _, c := range s.captions {
		words[c]++
	}
	for _, word := range slices.Sorted(maps.Keys(words))[:min(len(words), 20)] {
		if hits, err := x.Match(ctx, word, 1000, nil); err != nil || len(hits) != words[word] {
			t.Errorf("Match(%s) finds %d pictures of %d: %v", word, len(hits), words[word], err)
		}
	}
	return s
}

func (s lifeState) is(o lifeState) bool {
	return s.answers == o.answers && maps.Equal(s.captions, o.captions)
}

// differs tells in what s is neither of two others.
func (s lifeState) differs(must, may lifeState) string {
	var list []string
	for n := range lifePictures {
		if got := s.captions[n]; got != must.captions[n] && got != may.captions[n] {
			list = append(list, fmt.Sprintf("picture %d is %q, not %q or %q", n, got, must.captions[n], may.captions[n]))
		}
	}
	return fmt.Sprintf("answers %.4s, not %.4s or %.4s; %s", s.answers, must.answers, may.answers, strings.Join(list, "; "))
}

// TestKills kills a process that lives on an index, again and again, and looks at
// what it leaves: CLIPSEARCH_KILLS times, or 8.
func TestKills(t *testing.T) {
	kills := 8
	if s := os.Getenv("CLIPSEARCH_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("CLIPSEARCH_KILLS: %v", err)
		}
		kills = n
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dir := filepath.Join(t.TempDir(), "index")
	s := lifeState{captions: map[int]string{}, answers: testSpace}
	during := map[string]int{}
	saved, replayed := 0, 0
	for k := range kills {
		must, may, last := liveAndDie(t, dir, seed+uint64(k), s)
		if last.Done {
			last.What = "nothing"
		}
		during[cmp.Or(last.What, "open")]++
		x, err := openLife(dir)
		if err != nil {
			t.Fatalf("kill %d, during %s: %v", k, last.What, err)
		}
		behind := keysOf(t, x, string(spaceKey(journalPrefix, x.meta().Space)))
		s = inspect(t, x)
		if loadedSaved(x) {
			if saved++; behind > 0 {
				replayed++
			}
		}
		if !s.is(must) && !s.is(may) {
			t.Errorf("kill %d, during %s of %v: %s", k, last.What, last.N, s.differs(must, may))
		}
		closeIndex(t, x)
		if t.Failed() {
			t.Fatalf("kill %d of seed %d, during %+v", k, seed, last)
		}
	}
	t.Logf("%d kills, during %v; %d pictures at the end; codes of the one killed were loaded %d times, with a journal %d times",
		kills, during, len(s.captions), saved, replayed)
	if kills > 50 && replayed == 0 {
		t.Error("no journal was gone through")
	}
}
