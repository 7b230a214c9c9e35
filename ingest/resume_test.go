package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/ingest"
)

// TestResumedAnywhere cuts runs off at random moments, while files come, change,
// move and go, and then runs to the end: every file must be there once, under the
// picture that its bytes are.
func TestResumedAnywhere(t *testing.T) {
	noLeaks(t)
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		dir, st := t.TempDir(), newStore()
		p := &ingest.Pipeline{
			Encoder: &encoder{}, Store: st, Prune: true,
			Jobs: 1 + rnd.IntN(4), Batch: 1 + rnd.IntN(6), PutBatch: 1 + rnd.IntN(20),
		}
		for i := range 60 {
			write(t, dir, fmt.Sprintf("%d/%d.png", i%3, i), paint(rnd.IntN(30), 4))
		}
		for range 6 {
			stir(t, dir, rnd)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(8_000))*time.Microsecond)
			sum, err := p.Run(ctx, dir)
			cancel()
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			checkSum(t, sum)
		}
		ingested(t, p, dir)
		checkStored(t, seed, dir, st)
		if sum := ingested(t, p, dir); sum.Known != sum.Found || sum.Pruned != 0 {
			t.Errorf("seed %d: one more run: %+v", seed, sum)
		}
	}
}

// stir does to a folder what people do.
func stir(t *testing.T, dir string, rnd *rand.Rand) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*", "*.png"))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		path, other := all[rnd.IntN(len(all))], filepath.Join(dir, fmt.Sprint(rnd.IntN(3)), fmt.Sprintf("x%d.png", rnd.IntN(40)))
		if _, err := os.Stat(path); err != nil {
			continue
		}
		switch rnd.IntN(4) {
		case 0:
			err = os.Rename(path, other)
		case 1:
			err = os.Remove(path)
		case 2:
			err = os.WriteFile(path, paint(30+rnd.IntN(30), 5), 0o644)
		case 3:
			write(t, filepath.Dir(other), filepath.Base(other), paint(rnd.IntN(30), 4))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func checkStored(t *testing.T, seed uint64, dir string, st *store) {
	t.Helper()
	where := map[string]clipsearch.ID{}
	for id, e := range st.entries {
		for _, path := range e.Paths() {
			if _, twice := where[path]; twice {
				t.Errorf("seed %d: %s belongs to two pictures", seed, path)
			}
			where[path] = id
		}
	}
	all, err := filepath.Glob(filepath.Join(dir, "*", "*.png"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if where[path] != clipsearch.NewID(data) {
			t.Errorf("seed %d: %s is stored as %s, want %s", seed, path, where[path], clipsearch.NewID(data))
		}
		delete(where, path)
	}
	if len(where) > 0 {
		t.Errorf("seed %d: files that are no more: %v", seed, where)
	}
}
