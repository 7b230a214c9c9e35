package query_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/query"
)

// changing is an index that answers with its second space from the first Nearest on,
// and the encoder of both. In the second one a vector has one more number.
type changing struct {
	*fakeIndex
	encoder
	now   clipsearch.Space
	asked []clipsearch.Space // of every call
}

var firstSpace, secondSpace = clipsearch.Space{1}, clipsearch.Space{2}

func (x *changing) see(ctx context.Context) error {
	s := clipsearch.SpaceOf(ctx)
	if x.asked = append(x.asked, s); s != x.now {
		return fmt.Errorf("not in %.2s: %w", s, clipsearch.ErrSpace)
	}
	return nil
}

func (x *changing) EncodeTexts(ctx context.Context, texts []string) ([]clipsearch.Vector, error) {
	vectors, err := x.encoder.EncodeTexts(ctx, texts)
	if s := clipsearch.SpaceOf(ctx); s == secondSpace {
		for i := range vectors {
			vectors[i] = append(vectors[i], 0)
		}
	}
	return vectors, err
}

func (x *changing) Nearest(ctx context.Context, v clipsearch.Vector, k int, f clipsearch.Filter) ([]clipsearch.Hit, error) {
	x.now = secondSpace
	if err := x.see(ctx); err != nil {
		return nil, err
	}
	if len(v) != len(things)+2 {
		return nil, fmt.Errorf("%d numbers: a vector of the other space", len(v))
	}
	return x.fakeIndex.Nearest(ctx, v[:len(things)+1], k, f)
}

func (x *changing) Vector(ctx context.Context, id clipsearch.ID) (clipsearch.Vector, error) {
	if err := x.see(ctx); err != nil {
		return nil, err
	}
	v, err := x.fakeIndex.Vector(ctx, id)
	if x.now == secondSpace {
		v = append(v[:len(v):len(v)], 0)
	}
	return v, err
}

// pin is as simple as one can be.
func (x *changing) pin(ctx context.Context, fn func(context.Context) error) error {
	for {
		if err := fn(clipsearch.InSpace(ctx, x.now)); !errors.Is(err, clipsearch.ErrSpace) {
			return err
		}
	}
}

// A query that meets a change of space begins again, and mixes nothing: not even what
// was encoded for it before.
func TestPin(t *testing.T) {
	for _, words := range []string{"dog", "dog + beach", "similar:ID", "dog similar:ID -people"} {
		x := &changing{fakeIndex: album(), now: firstSpace}
		words = strings.ReplaceAll(words, "ID", x.images[1].ID.String())
		e := &query.Engine{Encoder: x, Index: x, Pin: x.pin}
		first := search(t, e, words)
		if len(first.Results) == 0 || x.now != secondSpace {
			t.Errorf("%q: %d results", words, len(first.Results))
		}
		for _, again := range search(t, e, words).Results[:1] {
			if again.ID != first.Results[0].ID {
				t.Errorf("%q: %v is first, and then %v", words, first.Results[0].ID, again.ID)
			}
		}
	}
}
