package stream

import (
	"context"
	"io"

	"github.com/clipsearch/clipsearch"
)

// Source is an index to be exported, page after page.
type Source interface {
	Export(ctx context.Context, after clipsearch.ID, limit int) ([]clipsearch.Record, error)
}

// Sink is an index to be imported into. Importing a picture twice is importing it
// once.
type Sink interface {
	Import(ctx context.Context, spaces []clipsearch.SpaceModel, batch []clipsearch.Record) (clipsearch.Imported, error)
}

// AddAll adds every picture of src. tell is told how many there were, now and then;
// it may be nil.
func (w *Writer) AddAll(ctx context.Context, src Source, tell func(images int)) error {
	var last clipsearch.ID
	n := 0
	for {
		page, err := src.Export(ctx, last, shardPictures)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			if err := w.Add(r); err != nil {
				return err
			}
		}
		last, n = page[len(page)-1].ID, n+len(page)
		if tell != nil {
			tell(n)
		}
	}
}

// Salvager is an index that has come to harm.
type Salvager interface {
	Salvage(ctx context.Context, after clipsearch.ID, limit int) (clipsearch.Salvaged, error)
}

// AddSalvaged adds what can be read of every picture of src, and returns what cannot.
// tell is told how many there were, now and then; it may be nil.
func (w *Writer) AddSalvaged(ctx context.Context, src Salvager, tell func(images int)) (lost []clipsearch.Loss, err error) {
	var page clipsearch.Salvaged
	for n := 0; !page.Done; {
		if page, err = src.Salvage(ctx, page.After, shardPictures); err != nil {
			return lost, err
		}
		for _, r := range page.Records {
			if err := w.Add(r); err != nil {
				return lost, err
			}
		}
		lost, n = append(lost, page.Lost...), n+len(page.Records)
		if tell != nil {
			tell(n)
		}
	}
	return lost, nil
}

// GiveAll gives every picture that is left to sink, none of a shard before the whole
// shard has proven right, and returns nil only if the stream is whole. What sink has
// taken before an error it keeps; the counts tell.
func (x *Reader) GiveAll(ctx context.Context, sink Sink, tell func(images int)) (sum clipsearch.Imported, err error) {
	models := x.manifest.Models()
	if _, err := sink.Import(ctx, models, nil); err != nil {
		return sum, err
	}
	for {
		records, err := x.Next()
		if err == io.EOF {
			return sum, nil
		}
		for err == nil && len(records) > 0 {
			n := portion(records)
			var did clipsearch.Imported
			did, err = sink.Import(ctx, models, records[:n])
			sum.Stored, sum.Known, sum.Skipped = sum.Stored+did.Stored, sum.Known+did.Known, sum.Skipped+did.Skipped
			records = records[n:]
		}
		if err != nil {
			return sum, err
		}
		if tell != nil {
			tell(sum.Stored + sum.Known + sum.Skipped)
		}
	}
}

// portion is how many of records make a batch: others write larger shards than we do.
func portion(records []clipsearch.Record) int {
	size := 0
	for i, r := range records[:min(len(records), shardPictures)] {
		if size += recordBytes(r); size > shardBytes && i > 0 {
			return i
		}
	}
	return min(len(records), shardPictures)
}

// recordBytes is about how much r takes in a stream.
func recordBytes(r clipsearch.Record) int {
	n := len(r.Thumb) + 1024
	for _, s := range r.Vectors {
		for _, list := range [][]clipsearch.Vector{s.Vectors, s.Captions} {
			for _, v := range list {
				n += 4 * len(v)
			}
		}
	}
	return n
}
