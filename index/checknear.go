package index

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/clipsearch/clipsearch"
)

// nearCheck compares what searches work on with the vectors: every vector has its
// codes, no codes are of another, and the graph leads to all. Writes go on meanwhile:
// the vectors are those of one moment, and what seems to be wrong is looked at again
// while nobody writes.
type nearCheck struct {
	check    // what is found
	meta     Meta
	near     *near
	pictures *pictures
}

// checkNear checks what is in memory, which it loads as for a search, and has it made
// again if that is wished. It waits for what works on it; writers do not wait for it.
func (c *check) checkNear(ctx context.Context, repair bool) error {
	n, err := c.newNearCheck(ctx)
	if n == nil || err != nil {
		return err
	}
	during, cancel := n.near.while(ctx)
	defer cancel()
	err = n.run(during)
	if n.near.ctx.Err() != nil {
		return ctx.Err() // something else has taken its place, and what was wrong is gone
	}
	c.problems = append(c.problems, n.problems...)
	if err != nil || !repair || len(n.problems) == 0 {
		return err
	}
	return n.repair()
}

// newNearCheck returns nil where there is nothing to check.
func (c *check) newNearCheck(ctx context.Context) (*nearCheck, error) {
	x := c.x
	if x.answers.Load() == nil && !x.keepsCodes() {
		return nil, nil // nothing is kept that could be wrong
	}
	if err := x.load(ctx, false); err != nil {
		return nil, err
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.mem.vectors == nil {
		return nil, nil // a repair was quicker
	}
	return &nearCheck{check: check{x: x}, meta: x.meta(), near: x.mem.vectors, pictures: x.mem.pictures}, nil
}

// keepsCodes reports whether the store has codes of some space.
func (x *Index) keepsCodes() bool {
	x.writing.Lock()
	defer x.writing.Unlock()
	return len(x.journal.spaces) > 0
}

func (n *nearCheck) run(ctx context.Context) error {
	if err := n.compare(ctx); err != nil {
		return err
	}
	if err := n.near.take(ctx); err != nil {
		return err
	}
	defer n.near.give()
	return n.near.Check(ctx, func(d uint32, what string) { n.wrongDerived(n.meta.Space, what) })
}

// compare compares the vectors in the store with those in memory.
func (n *nearCheck) compare(ctx context.Context) error {
	size, count, suspects, err := n.scan(ctx)
	if err != nil {
		return err
	}
	lost, err := n.confirmed(ctx, suspects)
	for _, id := range lost {
		n.wrong(id.String(), "its vector has no codes, or others: repair makes the codes again", func(*repair) {})
	}
	if size != count && len(lost) == 0 {
		n.wrongDerived(n.meta.Space, fmt.Sprintf("%d codes of %d vectors", size, count))
	}
	return err
}

// scan counts the codes and the vectors of one moment, and lists the pictures that
// lack codes since, as also those do that have gone.
func (n *nearCheck) scan(ctx context.Context) (size, count int, suspects []clipsearch.ID, err error) {
	n.x.writing.Lock()
	begun := sync.OnceFunc(n.x.writing.Unlock)
	defer begun()
	v := make(clipsearch.Vector, n.meta.Dim)
	err = n.x.view(ctx, func(t tx) error {
		size = n.near.Len()
		begun() // t goes on seeing what there was
		return t.scan(spaceKey(vectorPrefix, n.meta.Space), true, func(key, value []byte, err error) error {
			_, id, _, ok := parseVectorKey(key)
			if err != nil || !ok || decodeVector(v, value) != nil {
				return ctx.Err()
			}
			count++
			if !n.holds(id, v) && (len(suspects) == 0 || suspects[len(suspects)-1] != id) {
				suspects = append(suspects, id)
			}
			return ctx.Err()
		})
	})
	return size, count, suspects, err
}

func (n *nearCheck) holds(id clipsearch.ID, v clipsearch.Vector) bool {
	n.x.mu.RLock()
	d, known := n.pictures.docs[id]
	n.x.mu.RUnlock()
	return known && n.near.Holds(uint32(d), v)
}

// confirmed returns up to 20 of the pictures that lack codes now, looking at some at a
// time while nobody writes.
func (n *nearCheck) confirmed(ctx context.Context, ids []clipsearch.ID) (lost []clipsearch.ID, err error) {
	const most = 20
	for some := range slices.Chunk(ids, 100) {
		if lost, err = n.confirm(ctx, lost, some); err != nil || len(lost) >= most {
			break
		}
	}
	return lost[:min(len(lost), most)], err
}

func (n *nearCheck) confirm(ctx context.Context, lost, ids []clipsearch.ID) ([]clipsearch.ID, error) {
	n.x.writing.Lock()
	defer n.x.writing.Unlock()
	v := make(clipsearch.Vector, n.meta.Dim)
	err := n.x.view(ctx, func(t tx) error {
		for _, id := range ids {
			lacks := false
			err := t.scan(vectorsKey(vectorPrefix, n.meta.Space, id), true, func(_, value []byte, err error) error {
				lacks = lacks || err == nil && decodeVector(v, value) == nil && !n.holds(id, v)
				return nil
			})
			if err != nil {
				return err
			}
			if lacks {
				lost = append(lost, id)
			}
		}
		return nil
	})
	return lost, err
}

// repair has codes and graph made again.
func (n *nearCheck) repair() error {
	n.x.writing.Lock()
	defer n.x.writing.Unlock()
	if n.near.ctx.Err() != nil {
		return nil // they are already
	}
	if err := n.x.forgetDerived(n.meta.Space); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	return nil
}
