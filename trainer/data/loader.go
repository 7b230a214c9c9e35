package data

import (
	"context"
	"errors"
	"fmt"
	"image"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/clipsearch/clipsearch/clip"
)

// LoaderOptions say what batches are made of.
type LoaderOptions struct {
	Batch   int // pictures of one; at most as many as the set has
	Seed    uint64
	Threads int // that decode; as many as there are cores if zero

	// Decode returns the pixels of a picture's file, which the loader may write to. Batches have no pixels if it is nil:
	// that is enough where features are cached.
	Decode     func(file []byte) (*image.RGBA, error)
	Preprocess clip.Preprocess
	Augment    Augment
	Cache      *Cache // pictures that need no decoding, of the same set; nil: none

	Views int // that there are features of, for each picture; see Batch.Views

	// Report is told of each damaged picture, once. It may be called from several
	// goroutines, but never at the same time.
	Report func(line string)
}

// Loader draws batches from a set. It is safe for concurrent use.
type Loader struct {
	set     *Set
	o       LoaderOptions
	order   order
	mu      sync.Mutex // of Report
	damaged []atomic.Bool
	failed  atomic.Int64
	sides   []bool // a caption says left or right
}

// NewLoader returns a loader. A batch larger than the set is cut to it: see
// [Loader.BatchSize].
func NewLoader(set *Set, o LoaderOptions) (*Loader, error) {
	switch {
	case len(set.Items) == 0:
		return nil, invalid("the set is empty")
	case o.Batch < 1:
		return nil, invalid("a batch of %d: it must be at least 1", o.Batch)
	case o.Views < 0:
		return nil, invalid("%d views: it must not be negative", o.Views)
	case o.Threads < 0:
		return nil, invalid("%d threads: it must not be negative", o.Threads)
	case o.Decode != nil && o.Preprocess.Size < 1:
		return nil, invalid("pictures of size %d: it must be at least 1", o.Preprocess.Size)
	case o.Cache != nil && o.Cache.Len() != len(set.Items):
		return nil, invalid("the cache has %d pictures and the set %d: it is of another set", o.Cache.Len(), len(set.Items))
	}
	if err := o.Augment.check(); err != nil {
		return nil, err
	}
	n := len(set.Items)
	o.Batch, o.Threads = min(o.Batch, n), threads(o.Threads)
	l := &Loader{set: set, o: o, order: order{n: n, batch: o.Batch, seed: o.Seed}, damaged: make([]atomic.Bool, n)}
	if o.Augment.KeepSides {
		l.sides = make([]bool, n)
		for i, it := range set.Items {
			l.sides[i] = namesSides(it.Captions)
		}
	}
	return l, nil
}

// BatchSize returns how many pictures a batch has.
func (l *Loader) BatchSize() int { return l.o.Batch }

// StepsPerEpoch returns in how many steps every picture is seen once, a part of a step
// counted as a whole.
func (l *Loader) StepsPerEpoch() int { return (l.order.n + l.o.Batch - 1) / l.o.Batch }

// Batch is what one step learns from: row by row a picture and one of its captions.
type Batch struct {
	Step     int
	Items    []int // places in the set
	Captions []string
	Texts    []int     // which of its picture's captions each is
	Views    []int     // which of the views each picture is seen in, where the loader has several
	Pixels   []float32 // rows x 3 x size x size, normalised; nil if the loader decodes nothing
}

// Batch returns the batch of a step, from zero on: a function of the seed, the step and
// the files alone. A damaged picture is replaced by one that is not in the batch. It is
// an error if no picture of the set can be read.
func (l *Loader) Batch(ctx context.Context, step int) (*Batch, error) {
	b := &Batch{}
	return b, l.fill(ctx, b, step)
}

// fill makes b the batch of a step, in the memory that b has.
func (l *Loader) fill(ctx context.Context, b *Batch, step int) error {
	if step < 0 {
		return invalid("step %d: it must not be negative", step)
	}
	items, epochs := l.order.batchOf(step)
	b.Step, b.Items = step, items
	if l.o.Decode != nil {
		if err := l.pixels(ctx, b); err != nil {
			return fmt.Errorf("batch of step %d: %w", step, err)
		}
	}
	b.Captions, b.Texts, b.Views = make([]string, len(items)), make([]int, len(items)), nil
	for row, item := range b.Items {
		all := l.set.Items[item].Captions
		b.Texts[row] = l.turn("caption", item, epochs[row], len(all))
		b.Captions[row] = all[b.Texts[row]]
		if l.o.Views > 0 {
			b.Views = append(b.Views, l.turn("turn of views", item, epochs[row], l.o.Views))
		}
	}
	return nil
}

// turn returns which of n things of a picture an epoch takes: each once before any comes
// again.
func (l *Loader) turn(purpose string, item, epoch, n int) int {
	return random(l.o.Seed, purpose, uint64(item), uint64(epoch/n)).Perm(n)[epoch%n]
}

// pixels fills b.Pixels, and exchanges those of b.Items that are damaged.
func (l *Loader) pixels(ctx context.Context, b *Batch) error {
	row := l.rowSize()
	if n := len(b.Items) * row; cap(b.Pixels) < n {
		b.Pixels = make([]float32, n)
	} else {
		b.Pixels = b.Pixels[:n]
	}
	bad := make([]bool, len(b.Items))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(l.o.Threads)
	for i := range b.Items {
		g.Go(func() error {
			if err := gctx.Err(); err != nil {
				return err
			}
			bad[i] = !l.row(b.Pixels[i*row:][:row], b.Items[i], b.Step, i)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i := range bad {
		if bad[i] {
			if err := l.replace(ctx, b, bad, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Loader) rowSize() int { return 3 * l.o.Preprocess.Size * l.o.Preprocess.Size }

// row writes a row's picture, and reports whether it could.
func (l *Loader) row(dst []float32, item, step, row int) bool {
	return l.draw(dst, item, func(img *image.RGBA) *image.RGBA {
		r := random(l.o.Seed, "augment", uint64(step), uint64(row))
		return l.o.Augment.apply(l.o.Preprocess, img, r, l.sides != nil && l.sides[item])
	})
}

// replace puts another picture in the place of a damaged one: the first that can be
// read of those behind a place that the step and the row draw, and that the batch does
// not have. Where there is none, one is taken that it has.
func (l *Loader) replace(ctx context.Context, b *Batch, bad []bool, i int) error {
	size := l.rowSize()
	n := l.order.n
	start := random(l.o.Seed, "replace", uint64(b.Step), uint64(i)).IntN(n)
	taken := map[int]bool{}
	for row, item := range b.Items {
		taken[item] = !bad[row] || taken[item]
	}
	for _, again := range []bool{false, true} {
		for k := range n {
			item := (start + k) % n
			if taken[item] != again || l.damaged[item].Load() {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if l.row(b.Pixels[i*size:][:size], item, b.Step, i) {
				b.Items[i], bad[i] = item, false
				return nil
			}
		}
	}
	return invalid("not one of the %d pictures can be read", n)
}

// draw writes the picture that view makes of an item's, normalised, and reports whether
// the item could be read. One that could not is not tried again.
func (l *Loader) draw(dst []float32, item int, view func(*image.RGBA) *image.RGBA) bool {
	if l.damaged[item].Load() {
		return false
	}
	img, err := l.picture(item)
	if err != nil {
		l.report(item, err)
		return false
	}
	l.o.Preprocess.Normalize(dst, view(img))
	return true
}

func (l *Loader) picture(item int) (*image.RGBA, error) {
	if l.o.Cache != nil {
		img, err := l.o.Cache.picture(item)
		if errors.Is(err, errDamaged) && l.o.Decode != nil { // the file says why
			if _, why := decode(l.set.Items[item], l.o.Decode); why != nil {
				err = why
			}
		}
		return img, err
	}
	return decode(l.set.Items[item], l.o.Decode)
}

func decode(it Item, decoder func([]byte) (*image.RGBA, error)) (*image.RGBA, error) {
	file, err := it.Read()
	if err != nil {
		return nil, err
	}
	img, err := decoder(file)
	if err == nil && (img == nil || img.Rect.Empty()) {
		err = errors.New("it has no pixels")
	}
	return img, err
}

// report tells of a damaged picture.
func (l *Loader) report(item int, err error) {
	if l.damaged[item].Swap(true) {
		return
	}
	n := l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.o.Report != nil {
		l.o.Report(fmt.Sprintf("%s is left out (%d so far): %v", l.set.Items[item].Name, n, err))
	}
}

// Readable returns how many of the pictures can be read. It looks no further than most,
// and reports those in front of them that are damaged.
func (l *Loader) Readable(ctx context.Context, most int) (n int, err error) {
	for item := 0; item < l.order.n && n < most; item++ {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		if _, err := l.picture(item); err != nil {
			l.report(item, err)
			continue
		}
		n++
	}
	return n, nil
}

// Damaged returns how many pictures were found damaged until now.
func (l *Loader) Damaged() int { return int(l.failed.Load()) }
