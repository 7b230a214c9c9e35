package index

import (
	"context"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/index/ann"
)

// answering is what searches go by. They reach it through one atomic pointer and
// take no lock of the index: whoever writes never has them wait. What it refers to
// brings itself up to date; where a part is replaced, another answering takes its
// place.
type answering struct {
	space    clipsearch.Space
	pictures *pictures
	vectors  *near
	columns  *columns // nil while no filter has asked for them
}

// publish has searches go by what is in memory now. The caller holds x.mu.
func (x *Index) publish() {
	var a *answering
	if m := x.mem; m.vectors != nil {
		a = &answering{x.meta().Space, m.pictures, m.vectors, m.columns}
	}
	x.answers.Store(a)
}

// answering returns what a search under ctx and f goes by, in memory from now on.
func (x *Index) answering(ctx context.Context, f clipsearch.Filter) (*answering, error) {
	for {
		a := x.answers.Load()
		if a == nil || len(f) > 0 && a.columns == nil {
			if err := x.load(ctx, len(f) > 0); err != nil {
				return nil, err
			}
			continue
		}
		if a.in(ctx) {
			return a, nil
		}
		x.mu.RLock() // a change may be under way
		_, err := x.metaIn(ctx)
		a = x.answers.Load()
		x.mu.RUnlock()
		if err != nil {
			return nil, err
		}
		if a.in(ctx) {
			return a, nil
		}
	}
}

// in reports whether a is of the space that ctx names, if it names one.
func (a *answering) in(ctx context.Context) bool {
	pin := clipsearch.SpaceOf(ctx)
	return a != nil && (pin == a.space || pin == clipsearch.Space{})
}

// admitted returns the docs that f admits; nil if it admits all. A picture whose
// record cannot be read is admitted by no filter.
func (a *answering) admitted(f clipsearch.Filter) *roaring.Bitmap {
	if len(f) == 0 {
		return nil
	}
	return a.columns.admitted(f)
}

// Nearest returns the k pictures nearest to v among those that f admits, best first:
// hardly any other than the true ones, and exactly those under
// [clipsearch.Exactly]. Of several vectors of a picture the best counts.
func (x *Index) Nearest(ctx context.Context, v clipsearch.Vector, k int, f clipsearch.Filter) ([]clipsearch.Hit, error) {
	ctx, err := x.validQuery(ctx, v, k)
	if err != nil {
		return nil, fmt.Errorf("nearest: %w", err)
	}
	a, err := x.answering(ctx, f)
	if err != nil {
		return nil, err
	}
	var hits []clipsearch.Hit
	for _, nb := range a.vectors.search(v, ann.Search{K: k, Admit: a.admitted(f), Exact: clipsearch.IsExact(ctx)}) {
		hits = append(hits, clipsearch.Hit{ID: a.pictures.name(nb.doc), Score: nb.score})
	}
	return hits, nil
}

// validQuery returns an error wrapping [clipsearch.ErrInvalid] unless the k nearest
// to v can be asked for. The context that it returns names the space that v was
// proven for.
func (x *Index) validQuery(ctx context.Context, v clipsearch.Vector, k int) (context.Context, error) {
	if k < 1 {
		return ctx, fmt.Errorf("%d hits asked for: %w", k, clipsearch.ErrInvalid)
	}
	m, err := x.metaIn(ctx)
	if err == nil {
		err = validVector(v, m.Dim)
	}
	return clipsearch.InSpace(ctx, m.Space), err
}
