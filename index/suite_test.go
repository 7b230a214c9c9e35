package index

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index/indextest"
)

func suiteOptions() Options {
	return Options{Space: indextest.Space, Model: "suite", Dim: indextest.Dim, Create: true}
}

func TestSuite(t *testing.T) {
	indextest.Run(t, func(t *testing.T) indextest.Store {
		x, err := Open(filepath.Join(t.TempDir(), "index"), suiteOptions())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := x.Close(); err != nil {
				t.Error(err)
			}
		})
		return x
	})
}

// reopening is a store that is closed and opened again every now and then.
type reopening struct {
	*Index
	t testing.TB
	r *rand.Rand
}

func (s *reopening) Has(ctx context.Context, ids []clipsearch.ID) ([]bool, error) {
	if s.r.IntN(60) == 0 {
		dir := s.dir
		closeIndex(s.t, s.Index)
		x, err := Open(dir, suiteOptions())
		if err != nil {
			s.t.Fatal(err)
		}
		s.Index = x
	}
	return s.Index.Has(ctx, ids)
}

// FuzzModel compares the store, closed and opened in between, with a map.
func FuzzModel(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		x, err := Open(filepath.Join(t.TempDir(), "index"), suiteOptions())
		if err != nil {
			t.Fatal(err)
		}
		s := &reopening{Index: x, t: t, r: rand.New(rand.NewPCG(seed, 2))}
		defer func() { closeIndex(t, s.Index) }()
		indextest.Model(t, s, seed, 40)
		mustBeClean(t, s.Index)
	})
}

// TestKill kills a process that puts pictures, at random moments, again and again:
// what it was told is stored is there, and the index is whole.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	acknowledged := map[clipsearch.ID]bool{}
	for round := range 6 {
		cmd, lines := putChild(t, dir)
		kill := time.AfterFunc(time.Duration(100+rand.IntN(500))*time.Millisecond, func() { _ = cmd.Process.Signal(os.Kill) })
		for lines.Scan() {
			var n int
			if _, err := fmt.Sscanf(lines.Text(), "stored %d", &n); err == nil {
				for i := range 16 {
					acknowledged[testID(n+i)] = true
				}
			}
		}
		kill.Stop()
		err := cmd.Wait()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
			t.Logf("round %d: not killed: %v", round, err)
		}
	}
	x, err := Open(dir, withModel())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	for id := range acknowledged {
		if _, err := x.Image(context.Background(), id); err != nil {
			t.Errorf("acknowledged and gone: %v", err)
		}
	}
	st, err := x.Stats(context.Background())
	if err != nil || st.Images%16 != 0 || st.Images < len(acknowledged) || len(acknowledged) == 0 {
		t.Errorf("%d pictures, %d acknowledged, %v: a batch is torn", st.Images, len(acknowledged), err)
	}
	t.Logf("%d pictures, %d acknowledged", st.Images, len(acknowledged))
	mustBeClean(t, x)
}
