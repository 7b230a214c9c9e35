package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/eval"
	"github.com/clipsearch/clipsearch/index"
)

// world is what an index of generated pictures is filled with and asked.
type world struct {
	vectors, queries eval.Matrix
	anchor           []int // of each picture: how many are nearer to picture 0, of a thousand
	seed             uint64
}

func newWorld(n, queries int, seed uint64) (*world, error) {
	w := &world{seed: seed}
	var err error
	w.vectors, w.queries, err = eval.Generate(eval.GenerateOptions{N: n, Dim: 512, Queries: queries, Seed: seed})
	if err != nil {
		return nil, err
	}
	order, first := make([]int, n), clipsearch.Vector(w.vectors.Row(0))
	near := make([]float32, n)
	for i := range order {
		order[i], near[i] = i, first.Dot(w.vectors.Row(i))
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(near[b], near[a]) })
	w.anchor = make([]int, n)
	for place, i := range order {
		w.anchor[i] = place * 1000 / n
	}
	return w, nil
}

// id names picture i; IDs of real pictures are as random.
func id(i int) clipsearch.ID { return clipsearch.NewID(fmt.Append(nil, "picture ", i)) }

// lot is what a picture is wide: one of 1,000, by lot.
func lot(i int) int { return int(uint32(i) * 2654435761 >> 8 % 1000) }

// entry is picture i, its name counted from first: Width is drawn by lot, Height says
// where it lies.
func (w *world) entry(i, first int) clipsearch.Entry {
	n := first + i
	path := fmt.Sprintf("/photos/%d/IMG_%07d.jpg", n%97, n)
	return clipsearch.Entry{
		Image: clipsearch.Image{
			ID: id(n), Files: []clipsearch.File{{Path: path, Size: int64(n) + 1, ModTime: time.Unix(int64(n), 0)}},
			Format: "jpeg", Width: 1 + lot(n), Height: 1 + w.anchor[i], Bytes: int64(n) + 1,
		},
		Space: space, Vectors: []clipsearch.Vector{w.vectors.Row(i)}, Thumb: []byte{0xff, 0xd8, 0xff, 0xd9},
	}
}

var space = clipsearch.Space{1}

func options(create bool) index.Options {
	return index.Options{Space: space, Model: "generated", Dim: 512, Create: create}
}

// fill makes an index in dir of all pictures, with graph and codes written.
func (w *world) fill(ctx context.Context, dir string) error {
	x, err := index.Open(dir, options(true))
	if err != nil {
		return err
	}
	defer x.Close()
	start := time.Now()
	if err := w.put(ctx, x); err != nil {
		return err
	}
	note("stored, pictures/s", float64(w.vectors.Rows())/time.Since(start).Seconds())
	start = time.Now()
	if err := x.Settle(ctx); err != nil {
		return err
	}
	note("codes and graph behind it, s", time.Since(start).Seconds())
	return x.Close()
}

// put stores all pictures.
func (w *world) put(ctx context.Context, x *index.Index) error {
	for at := 0; at < w.vectors.Rows(); at += batchSize {
		if err := x.Put(ctx, w.batch(at, 0)); err != nil {
			return err
		}
	}
	return nil
}

// batchSize is how many pictures an ingest stores at once.
const batchSize = 64

// batch is the pictures from number at on, counted from first.
func (w *world) batch(at, first int) (batch []clipsearch.Entry) {
	for i := at; i < min(at+batchSize, w.vectors.Rows()); i++ {
		batch = append(batch, w.entry(i, first))
	}
	return batch
}

// truth returns for each query its 10 nearest pictures among those that admit does,
// compared one by one.
func (w *world) truth(admit func(i int) bool) [][]clipsearch.ID {
	lists := make([][]clipsearch.ID, w.queries.Rows())
	each(len(lists), func(q int) {
		type one struct {
			i     int
			score float32
		}
		var best []one
		v := clipsearch.Vector(w.queries.Row(q))
		for i := range w.vectors.Rows() {
			if admit != nil && !admit(i) {
				continue
			}
			s := v.Dot(w.vectors.Row(i))
			if len(best) == 10 && s <= best[9].score {
				continue
			}
			at, _ := slices.BinarySearchFunc(best, s, func(o one, s float32) int { return cmp.Compare(s, o.score) })
			best = slices.Insert(best, at, one{i, s})
			best = best[:min(10, len(best))]
		}
		for _, o := range best {
			lists[q] = append(lists[q], id(o.i))
		}
	})
	return lists
}

// each calls fn with 0 to n-1, on all processors.
func each(n int, fn func(i int)) {
	var g sync.WaitGroup
	threads := runtime.GOMAXPROCS(0)
	for t := range threads {
		g.Go(func() {
			for i := t; i < n; i += threads {
				fn(i)
			}
		})
	}
	g.Wait()
}
