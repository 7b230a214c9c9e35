package index

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/clipsearch/clipsearch"
)

// DropSpaces removes the spaces that neither answer nor are to answer: their
// vectors, their captions' vectors and the copies of their models. It returns how
// many spaces went and about how many bytes. A kill on the way leaves a whole
// index, with some of them still there.
func (x *Index) DropSpaces(ctx context.Context) (n int, bytes int64, err error) {
	unused, err := x.unused(ctx)
	if err != nil {
		return 0, 0, err
	}
	if err := x.forgetPrevious(); err != nil {
		return 0, 0, err
	}
	for _, space := range unused {
		freed, err := x.dropSpace(ctx, space)
		bytes += freed
		if err != nil {
			return n, bytes, fmt.Errorf("drop space %.12s: %w", space, err)
		}
		n++
	}
	freed, err := x.dropModels(ctx)
	return n, bytes + freed, err
}

// unused lists the spaces that nothing needs.
func (x *Index) unused(ctx context.Context) (list []clipsearch.Space, err error) {
	err = x.view(ctx, func(t tx) error {
		w, err := t.intent()
		if err != nil {
			return err
		}
		return t.scan([]byte(spacePrefix), false, func(key, _ []byte, _ error) error {
			if len(key) != 2+len(clipsearch.Space{}) {
				return nil // Check names it
			}
			if s := clipsearch.Space(key[2:]); s != x.meta().Space && s != w.next() {
				list = append(list, s)
			}
			return nil
		})
	})
	return list, err
}

// forgetPrevious takes away what a rollback would go back to, before it is half gone.
func (x *Index) forgetPrevious() error {
	x.writing.Lock()
	defer x.writing.Unlock()
	m := x.meta()
	if m.Previous == (clipsearch.Space{}) {
		return nil
	}
	m.Previous = clipsearch.Space{}
	return x.setMetaAnd(m, nil, func(*writer) {})
}

// dropSpace removes the vectors of a space, a few hundred pictures at a time, and
// then the space itself.
func (x *Index) dropSpace(ctx context.Context, space clipsearch.Space) (bytes int64, err error) {
	dim, err := x.dimOf(ctx, space)
	if err != nil {
		return 0, err
	}
	var after clipsearch.ID
	for {
		var ids []clipsearch.ID
		vectors := 0
		err := x.lacking(ctx, space, after, func(id clipsearch.ID, r record) bool {
			if s := r.of(space); s.Vectors+s.Captions > 0 {
				ids = append(ids, id)
				vectors += s.Vectors + s.Captions
			}
			after = id
			return len(ids) < 256
		})
		if err == nil && len(ids) > 0 {
			_, err = x.apply(ctx, space, 0, func(p *plan) error { return p.dropSpace(ids) })
			bytes += int64(vectors) * int64(4*dim)
		}
		if err != nil {
			return bytes, err
		}
		if len(ids) < 256 {
			break
		}
	}
	x.writing.Lock()
	err = x.forgetDerived(space)
	x.writing.Unlock()
	if err != nil {
		return bytes, err
	}
	return bytes, x.rule(ctx, func(t tx, w *writer) error {
		n, err := t.counts()
		if err != nil {
			return err
		}
		n.Spaces = slices.DeleteFunc(n.Spaces, func(s spaceCounts) bool { return string(s.Space) == string(space[:]) })
		w.set([]byte(countsKey), encode(n))
		w.delete(spaceKey(spacePrefix, space))
		return nil
	})
}

// dropSpace takes the vectors of the plan's space from pictures.
func (p *plan) dropSpace(ids []clipsearch.ID) error {
	for _, id := range ids {
		if known, err := p.has(idKey(recordPrefix, id)); err != nil || !known {
			continue
		}
		c, err := p.change(id)
		if err != nil {
			return err
		}
		c.rec.Stored = slices.DeleteFunc(c.rec.Stored, func(s stored) bool { return string(s.Space) == string(p.space[:]) })
	}
	return nil
}

// dropModels removes the copies of models whose spaces the index does not have.
func (x *Index) dropModels(ctx context.Context) (bytes int64, err error) {
	removeHalfCopies(x.dir, time.Hour) // another process may be writing one
	strange, err := x.strangeModels(ctx)
	for _, dir := range strange {
		bytes += treeSize(dir)
		if err := os.RemoveAll(dir); err != nil {
			return bytes, fmt.Errorf("drop the copy of a model: %w", err)
		}
	}
	return bytes, err
}

// strangeModels lists the copies of models whose spaces the index does not have.
func (x *Index) strangeModels(ctx context.Context) (dirs []string, err error) {
	entries, err := os.ReadDir(filepath.Join(x.dir, "models"))
	if err != nil {
		return nil, nil // an index without copies
	}
	err = x.view(ctx, func(t tx) error {
		for _, e := range entries {
			space, err := clipsearch.ParseSpace(e.Name())
			if err != nil {
				continue // being written, or not ours
			}
			if known, err := t.has(spaceKey(spacePrefix, space)); err == nil && !known && space != x.meta().Space {
				dirs = append(dirs, filepath.Join(x.dir, "models", e.Name()))
			}
		}
		return nil
	})
	return dirs, err
}
