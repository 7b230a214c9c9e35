package index

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
)

// TestTiming prints what opening, loading and asking an index of many pictures
// takes. It is skipped under -short: it stores 8,000 pictures.
func TestTiming(t *testing.T) {
	if testing.Short() {
		t.Skip("stores 8,000 pictures")
	}
	const n, dim = 8000, 256
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "index")
	o := testOptions()
	o.Dim = dim
	timed := func(what string, fn func() error) {
		t.Helper()
		start := time.Now()
		if err := fn(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%-32s %v", what, time.Since(start).Round(10*time.Microsecond))
	}
	var x *Index
	reopen := func() (err error) { x, err = Open(dir, o); return err }
	timed("create", reopen)
	timed(fmt.Sprintf("put %d by 64", n), func() error {
		for i := 0; i < n; i += 64 {
			var batch []clipsearch.Entry
			for j := i; j < min(i+64, n); j++ {
				e := testEntry(j)
				e.Vectors, e.CaptionVectors = []clipsearch.Vector{unit(dim, uint64(j))}, nil
				batch = append(batch, e)
			}
			if err := x.Put(ctx, batch); err != nil {
				return err
			}
		}
		return nil
	})
	timed("close", func() error { return x.Close() })
	timed("open", reopen)
	timed("seen 8000", func() error {
		var files []clipsearch.File
		for j := range n {
			files = append(files, testFile(j))
		}
		_, err := x.Seen(ctx, files)
		return err
	})
	near := func(f clipsearch.Filter) func() error {
		return func() error { _, err := x.Nearest(ctx, unit(dim, 5), 200, f); return err }
	}
	timed("first nearest", near(nil))
	timed("nearest", near(nil))
	filter := clipsearch.Filter{{Field: "tag", Op: "has", Text: "tag1"}}
	timed("first filtered", near(filter))
	timed("filtered", near(filter))
	timed("first match", func() error { _, err := x.Match(ctx, "a dog on grass", 200, nil); return err })
	timed("match", func() error { _, err := x.Match(ctx, "red car number77", 200, nil); return err })
	timed("stats", func() error { st, err := x.Stats(ctx); t.Logf("%+v", st); return err })
	timed("check", func() error {
		p, err := x.Check(ctx, false)
		if len(p) > 0 {
			t.Error(p[0])
		}
		return err
	})
	timed("close", func() error { return x.Close() })
	timed("open", reopen)
	timed("close", func() error { return x.Close() })
}
