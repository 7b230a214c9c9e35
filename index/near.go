package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index/ann"
)

// InMemory vectors and fewer are held in memory whole; of more the numbers that
// answers are scored by at last stay in their file.
const InMemory = 200_000

const (
	// sample is how many vectors codes are learned from.
	sample = 4096
)

// tuning says from how many vectors on there is what.
type tuning struct {
	graph int // a graph
	saved int // codes and graph in the store: of fewer they are made again quicker than read
}

var usual = tuning{graph: 50_000, saved: 4096}

// near finds by package ann.
type near struct {
	*ann.Index
	kept  ann.Kept      // what the store has of it; guarded by Index.saving
	saved uint64        // up to which entry of the journal that is
	turn  chan struct{} // held by who works on it, saves or checks it
	ctx   context.Context
	stop  context.CancelFunc // ends the work behind it, when something else takes its place
}

func newNear(x *ann.Index) *near {
	n := &near{Index: x, turn: make(chan struct{}, 1)}
	n.ctx, n.stop = context.WithCancel(context.Background())
	return n
}

// take waits for n's turn, which give ends. Package ann has who works, saves and checks
// wait for each other too, but not for the end of a context, and work may be long.
func (n *near) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case n.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *near) give() { <-n.turn }

// while is ctx until something else takes n's place.
func (n *near) while(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(n.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

func (n *near) Add(d doc, v clipsearch.Vector) error { return n.Index.Add(uint32(d), v) }

func (n *near) Remove(d doc) { n.Index.Remove(uint32(d)) }

// Search uses two threads where that pays.
func (n *near) Search(v clipsearch.Vector, k int, admitted *roaring.Bitmap) []neighbor {
	return n.search(v, ann.Search{K: k, Admit: admitted})
}

func (n *near) search(v clipsearch.Vector, s ann.Search) []neighbor {
	s.Threads = min(runtime.GOMAXPROCS(0), 2)
	found := n.Index.Search(v, s)
	list := make([]neighbor, len(found))
	for i, nb := range found {
		list[i] = neighbor{doc(nb.Doc), nb.Score}
	}
	return list
}

// Len returns how many vectors there are; of a nil one none.
func (n *near) Len() int { return n.Index.Len() }

// nearOptions are those of an index over the pictures' vectors of a space.
func (x *Index) nearOptions(m Meta, p *pictures) (ann.Options, error) {
	dir := filepath.Join(x.dir, "vectors", m.Space.String())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		dir = "" // a medium that is only read
	}
	return ann.Options{
		Dim: m.Dim, Dir: dir, DirFrom: x.tuning.saved, GraphFrom: x.tuning.graph, InMemory: InMemory, Workers: workers(),
		Less:    func(a, b uint32) bool { return p.less(doc(a), doc(b)) },
		Vectors: func(d uint32) [][]float32 { return x.vectorsKept(m, p.name(doc(d))) },
	}, nil
}

// workers leaves half of the processors to searches.
func workers() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// vectorsKept returns the vectors that the store has of a picture.
func (x *Index) vectorsKept(m Meta, id clipsearch.ID) (list [][]float32) {
	_ = x.store.view(func(t tx) error {
		return t.scan(vectorsKey(vectorPrefix, m.Space, id), true, func(_, value []byte, err error) error {
			v := make(clipsearch.Vector, m.Dim)
			if err == nil && decodeVector(v, value) == nil {
				list = append(list, v)
			}
			return nil
		})
	})
	return list
}

// loadNear brings the vectors of the space that meta names into memory, of pictures
// that number numbers: by the codes and the graph that the store has, if it has
// them whole, and else by the vectors themselves. It leaves out what is damaged:
// Check names it. Where the disk has no room for a file, it does without.
func (x *Index) loadNear(ctx context.Context, meta Meta, p *pictures, number func(clipsearch.ID) doc) (*near, error) {
	if n, err := x.loadSaved(ctx, meta, p, number); n != nil || ctx.Err() != nil {
		return n, err
	}
	o, err := x.nearOptions(meta, p)
	if err != nil {
		return nil, err
	}
	if checkSpace(x.dir, margin+x.rowsRoom(meta)) == nil {
		if n, err := x.loadVectors(ctx, o, meta, number); err == nil || ctx.Err() != nil {
			return n, err
		}
	}
	_ = x.sweepRows(meta) // a medium that is only read has none
	o.Dir = ""
	n, err := x.loadVectors(ctx, o, meta, number)
	if err != nil {
		return nil, fmt.Errorf("load vectors: %w", err)
	}
	return n, nil
}

// rowsRoom is what a file takes, about, for the whole numbers of a space's vectors:
// see package ann.
func (x *Index) rowsRoom(m Meta) int64 {
	const atOnce = 1 << 14 // rows are given room
	n := 0
	_ = x.store.view(func(t tx) error { // Check names what is wrong with counts
		c, err := t.counts()
		n = c.of(m.Space).Images
		return err
	})
	if n < x.tuning.saved {
		return 0
	}
	return int64(n/atOnce+1) * atOnce * int64(3*(m.Dim+63)+4)
}

// sweepRows removes the files of a space's whole numbers that no manifest names.
// Nothing of the space is in memory.
func (x *Index) sweepRows(m Meta) error {
	var kept ann.Kept
	_ = x.store.view(func(t tx) error { // one that cannot be read names none
		b, err := t.get(manifestKey(m.Space))
		var of manifest
		if err == nil {
			err = decode(b, &of)
		}
		if err == nil {
			kept, err = ann.Keeps(of.Saved)
		}
		return err
	})
	dir := filepath.Join(x.dir, "vectors", m.Space.String())
	files, err := os.ReadDir(dir)
	for _, f := range files {
		if f.Name() != kept.File {
			err = errors.Join(err, os.Remove(filepath.Join(dir, f.Name())))
		}
	}
	return err
}

// loadVectors brings the vectors of a space into memory by themselves.
func (x *Index) loadVectors(ctx context.Context, o ann.Options, meta Meta, number func(clipsearch.ID) doc) (*near, error) {
	a, err := ann.New(o)
	if err != nil {
		return nil, err
	}
	l := loader{to: a}
	v := make(clipsearch.Vector, meta.Dim)
	err = x.view(ctx, func(t tx) error {
		return t.scan(spaceKey(vectorPrefix, meta.Space), true, func(key, value []byte, err error) error {
			_, id, _, ok := parseVectorKey(key)
			if err != nil || !ok || decodeVector(v, value) != nil || unitLength(v) != nil {
				return ctx.Err()
			}
			if err := l.add(number(id), v); err != nil {
				return err
			}
			return ctx.Err()
		})
	})
	if err == nil {
		err = l.flush()
	}
	if err != nil {
		return nil, err
	}
	return newNear(a), nil
}

// loader adds vectors to an empty index, which learns its codes from the first: they
// come in the order of their IDs, which is as good as by lot.
type loader struct {
	to    *ann.Index
	docs  []doc
	first [][]float32
	full  bool
}

func (l *loader) add(d doc, v clipsearch.Vector) error {
	if l.full {
		return l.to.Add(uint32(d), v)
	}
	l.docs, l.first = append(l.docs, d), append(l.first, append([]float32(nil), v...))
	if len(l.first) < sample {
		return nil
	}
	return l.flush()
}

// flush adds what has been held back.
func (l *loader) flush() error {
	if l.full || len(l.first) == 0 {
		return nil
	}
	l.full = true
	if err := l.to.Learn(l.first); err != nil {
		return err
	}
	for i, v := range l.first {
		if err := l.to.Add(uint32(l.docs[i]), v); err != nil {
			return err
		}
	}
	l.docs, l.first = nil, nil
	return nil
}
