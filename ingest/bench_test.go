package ingest_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/ingest"
)

// void is a store that keeps nothing.
type void struct{ *store }

func (void) Seen(_ context.Context, files []clipsearch.File) ([]clipsearch.ID, error) {
	return make([]clipsearch.ID, len(files)), nil
}

func (void) Put(context.Context, []clipsearch.Entry) error { return nil }

// BenchmarkRun ingests photographs with an encoder and a store that cost nothing:
// what is left is the price of reading, hashing, decoding and thumbnails. It
// fails if a picture is lost.
func BenchmarkRun(b *testing.B) {
	const most = 2000
	all, err := filepath.Glob("../../shared/data/flickr8k/images/*.jpg")
	if err != nil || len(all) == 0 {
		b.Skip("no photographs in ../shared/data/flickr8k/images")
	}
	all = all[:min(most, len(all))]
	var bytes int64
	for _, path := range all {
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		bytes += info.Size()
	}
	b.SetBytes(bytes)
	for b.Loop() {
		p := &ingest.Pipeline{Encoder: &encoder{}, Store: void{newStore()}}
		sum, err := p.Run(b.Context(), all...)
		if err != nil || sum.Stored != len(all) {
			b.Fatalf("Run: %v, stored %d of %d", err, sum.Stored, len(all))
		}
	}
	b.ReportMetric(float64(len(all)*b.N)/b.Elapsed().Seconds(), "images/s")
}
