package index

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/clipsearch/clipsearch"
)

const (
	benchPictures = 8000
	benchDim      = 256
)

// benchBatch is what ingest puts at once.
func benchBatch(from int) (batch []clipsearch.Entry) {
	for n := from; n < min(from+64, benchPictures); n++ {
		e := testEntry(n)
		e.Vectors, e.CaptionVectors = []clipsearch.Vector{unit(benchDim, uint64(n))}, nil
		batch = append(batch, e)
	}
	return batch
}

// benchIndex makes an index of 8,000 pictures and returns its directory.
func benchIndex(b *testing.B) (string, Options) {
	b.Helper()
	o := testOptions()
	o.Dim = benchDim
	dir := filepath.Join(b.TempDir(), "index")
	x, err := Open(dir, o)
	if err != nil {
		b.Fatal(err)
	}
	for n := 0; n < benchPictures; n += 64 {
		put(b, x, benchBatch(n)...)
	}
	closeIndex(b, x)
	return dir, o
}

func BenchmarkPut64(b *testing.B) {
	o := testOptions()
	o.Dim = benchDim
	x, err := Open(filepath.Join(b.TempDir(), "index"), o)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		b.StopTimer()
		batch := benchBatch(n % (benchPictures - 64))
		for i := range batch {
			batch[i].ID = testID(1e6 + n)
			n++
		}
		b.StartTimer()
		put(b, x, batch...)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "pictures/s")
	closeIndex(b, x)
}

// BenchmarkOpen8000 opens, asks the first question and closes, as a search from the
// shell does.
func BenchmarkOpen8000(b *testing.B) {
	dir, o := benchIndex(b)
	ctx := context.Background()
	ask := map[string]func(x *Index) error{
		"open":    func(*Index) error { return nil },
		"nearest": func(x *Index) error { _, err := x.Nearest(ctx, unit(benchDim, 5), 200, nil); return err },
		"match":   func(x *Index) error { _, err := x.Match(ctx, "a dog on grass", 200, nil); return err },
		"filter": func(x *Index) error {
			_, err := x.Nearest(ctx, unit(benchDim, 5), 200, clipsearch.Filter{{Field: "tag", Op: "has", Text: "tag1"}})
			return err
		},
		"stats": func(x *Index) error { _, err := x.Stats(ctx); return err },
		"check": func(x *Index) error { _, err := x.Check(ctx, false); return err },
	}
	for name, fn := range ask {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				x, err := Open(dir, o)
				if err == nil {
					err = fn(x)
				}
				if err != nil {
					b.Fatal(err)
				}
				closeIndex(b, x)
			}
		})
	}
}

func BenchmarkAsk8000(b *testing.B) {
	dir, o := benchIndex(b)
	x, err := Open(dir, o)
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	ctx := context.Background()
	tags := clipsearch.Filter{{Field: "tag", Op: "has", Text: "tag1"}}
	b.Run("nearest", func(b *testing.B) {
		for b.Loop() {
			if _, err := x.Nearest(ctx, unit(benchDim, 5), 200, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("filtered", func(b *testing.B) {
		for b.Loop() {
			if _, err := x.Nearest(ctx, unit(benchDim, 5), 200, tags); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("match", func(b *testing.B) {
		for b.Loop() {
			if _, err := x.Match(ctx, "red car number77", 200, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
