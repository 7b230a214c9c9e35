package data

import (
	"context"
	"image"
	"iter"

	"golang.org/x/sync/errgroup"
)

// Batches yields the batches of the steps from one up to another, in order. The next one
// is made while a batch is used; a batch is valid until the next is asked for. An error
// is the last that is yielded.
func (l *Loader) Batches(ctx context.Context, from, to int) iter.Seq2[*Batch, error] {
	return ahead(ctx, from, to, l.fill)
}

// made is a batch, or why it could not be made.
type made struct {
	batch *Batch
	err   error
}

// ahead yields what fill makes for the steps from one up to another: one is made while
// another is used, and memory is used again.
func ahead(ctx context.Context, from, to int, fill func(context.Context, *Batch, int) error) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		ready, free := make(chan made, 1), make(chan *Batch, 3)
		done := make(chan struct{})
		defer func() { cancel(); <-done }()
		for range cap(free) { // one is used, one ready, one being made
			free <- &Batch{}
		}
		go func() {
			defer close(done)
			defer close(ready)
			for step := from; step < to; step++ {
				m := made{batch: <-free} // there is always one but while two wait for the reader
				m.err = fill(ctx, m.batch, step)
				select {
				case ready <- m:
				case <-ctx.Done():
					return
				}
				if m.err != nil {
					return
				}
			}
		}()
		for m := range ready {
			if m.err != nil {
				yield(nil, m.err)
				return
			}
			if !yield(m.batch, nil) {
				return
			}
			free <- m.batch
		}
		if err := ctx.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// View writes a view of a picture, normalised: view 0 is the picture as a model that is
// in use sees it, decoded from its file; each other is an augmentation of its own, the
// same one whenever it is asked for. It reports whether the picture could be read. The
// loader must have something that decodes.
func (l *Loader) View(dst []float32, item, view int) bool {
	if view == 0 {
		img, err := decode(l.set.Items[item], l.o.Decode)
		if err != nil {
			l.report(item, err)
			return false
		}
		l.o.Preprocess.Normalize(dst, l.o.Preprocess.Fit(img))
		return true
	}
	return l.draw(dst, item, func(img *image.RGBA) *image.RGBA {
		r := random(l.o.Seed, "view", uint64(item), uint64(view))
		return l.o.Augment.apply(l.o.Preprocess, img, r, l.sides != nil && l.sides[item])
	})
}

// Views yields a view of every picture, in the order of the set and in batches of which
// the last may be smaller. Damaged pictures are not among them, and captions neither. A
// batch is valid until the next is asked for.
func (l *Loader) Views(ctx context.Context, view int) iter.Seq2[*Batch, error] {
	n, size := l.order.n, l.rowSize()
	steps := (n + l.o.Batch - 1) / l.o.Batch
	return ahead(ctx, 0, steps, func(ctx context.Context, b *Batch, step int) error {
		if l.o.Decode == nil {
			return invalid("views of %d pictures: the loader has nothing that decodes them", n)
		}
		from := step * l.o.Batch
		rows := min(l.o.Batch, n-from)
		if cap(b.Pixels) < rows*size {
			b.Pixels = make([]float32, rows*size)
		}
		b.Pixels = b.Pixels[:rows*size]
		good := make([]bool, rows)
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(l.o.Threads)
		for i := range rows {
			g.Go(func() error {
				good[i] = l.View(b.Pixels[i*size:][:size], from+i, view)
				return gctx.Err()
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		b.Step, b.Items = step, b.Items[:0]
		for i, ok := range good {
			if ok {
				copy(b.Pixels[len(b.Items)*size:][:size], b.Pixels[i*size:][:size])
				b.Items = append(b.Items, from+i)
			}
		}
		b.Pixels = b.Pixels[:len(b.Items)*size]
		return nil
	})
}
