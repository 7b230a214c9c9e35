package query

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// What each ranking counts in the fusion. Of two lists of equal weight the
// first hits alternate; at 0.9 a picture that only its words speak for stands
// behind the first seven of those that only their looks do, and one that both
// speak for stands before all of either.
const (
	lookWeight = 1
	wordWeight = 0.9
	nameWeight = 10 // at rank 100 still more than all others together
)

// notWeight is how far a negative pushes, measured in the words' own length: at
// one, "beach -people" would rather show anything without people than a beach.
const notWeight = 0.5

// lookups asks the index whatever q's mode wants to know.
func (e *Engine) lookups(ctx context.Context, q Query) ([]source, error) {
	if q.Mode == ModeText {
		if q.words() == "" {
			return nil, invalid("mode text looks for words in captions and names, and there are none in the query")
		}
		hits, err := e.match(ctx, q)
		return []source{{List{hits, wordWeight}, "caption or name has the words"}}, err
	}
	t, err := e.targets(ctx, q)
	if err != nil {
		return nil, err
	}
	var sources []source
	for _, t := range t {
		hits, err := e.nearest(ctx, t.vector, nearestDepth, q)
		if err != nil {
			return nil, err
		}
		sources = append(sources, source{List{hits, lookWeight}, t.why})
	}
	if q.Mode == ModeSemantic || q.words() == "" {
		return sources, nil
	}
	hits, err := e.match(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(hits) > 0 {
		sources = append(sources, source{List{hits, wordWeight}, "caption or name has the words"})
	}
	named, err := e.named(ctx, t[0].vector, q)
	if len(named) > 0 {
		sources = append(sources, source{List{named, nameWeight}, "so named"})
	}
	return sources, err
}

// nearest returns the pictures nearest to v that q's filter admits and that
// have its phrases.
func (e *Engine) nearest(ctx context.Context, v clipsearch.Vector, k int, q Query) ([]clipsearch.Hit, error) {
	if q.Exact {
		ctx = clipsearch.Exactly(ctx)
	}
	return withPhrases(q, func(f clipsearch.Filter) ([]clipsearch.Hit, error) {
		hits, err := e.Index.Nearest(ctx, v, k, f)
		if err != nil {
			return nil, fmt.Errorf("nearest: %w", err)
		}
		return hits, nil
	})
}

// match is nearest for the words of q.
func (e *Engine) match(ctx context.Context, q Query) ([]clipsearch.Hit, error) {
	return withPhrases(q, func(f clipsearch.Filter) ([]clipsearch.Hit, error) {
		hits, err := e.Index.Match(ctx, q.words(), matchDepth, f)
		if err != nil {
			return nil, fmt.Errorf("match: %w", err)
		}
		return hits, nil
	})
}

// withPhrases runs lookup so that only pictures with all of q's phrases come
// back. A filter cannot say "or", so each of the three places where a phrase
// may occur is asked for.
func withPhrases(q Query, lookup func(clipsearch.Filter) ([]clipsearch.Hit, error)) ([]clipsearch.Hit, error) {
	if len(q.Phrases) == 0 {
		hits, err := lookup(q.Filter)
		return inOrder(hits), err
	}
	var found []clipsearch.Hit
	for i, p := range q.Phrases {
		here := map[clipsearch.ID]clipsearch.Hit{}
		for _, field := range []string{"caption", "name", "tag"} {
			hits, err := lookup(has(q.Filter, field, p))
			if err != nil {
				return nil, err
			}
			for _, h := range hits {
				here[h.ID] = h
			}
		}
		if i == 0 {
			for _, h := range here {
				found = append(found, h)
			}
		}
		found = slices.DeleteFunc(found, func(h clipsearch.Hit) bool { _, ok := here[h.ID]; return !ok })
	}
	return inOrder(found), nil
}

// has returns f with one more predicate.
func has(f clipsearch.Filter, field, text string) clipsearch.Filter {
	return append(slices.Clip(f), clipsearch.Predicate{Field: field, Op: "has", Text: text})
}

// named returns the pictures whose file name has one of the words that only a
// name can be, or one of the phrases.
func (e *Engine) named(ctx context.Context, v clipsearch.Vector, q Query) ([]clipsearch.Hit, error) {
	var named []clipsearch.Hit
	seen := map[clipsearch.ID]bool{}
	for _, w := range append(nameWords(q.words()), q.Phrases...) {
		narrowed := q
		narrowed.Filter = has(q.Filter, "name", w)
		hits, err := e.nearest(ctx, v, nameDepth, narrowed)
		if err != nil {
			return nil, err
		}
		for _, h := range hits {
			if seen[h.ID] {
				continue
			}
			ok, err := e.is(ctx, h.ID, func(m clipsearch.Image) bool {
				return slices.Contains(q.Phrases, w) || slices.ContainsFunc(names(m), func(n string) bool { return hasWord(n, w) })
			})
			if err != nil {
				return nil, err
			}
			if ok {
				seen[h.ID] = true
				named = append(named, h)
			}
		}
	}
	return named[:min(nameDepth, len(named))], nil
}

// drop leaves out the pictures that are called what q does not want.
func (e *Engine) drop(ctx context.Context, hits []Scored, q Query) ([]Scored, error) {
	for _, not := range q.Not {
		if strings.TrimSpace(not) == "" {
			continue
		}
		called, err := e.Index.Match(ctx, not, dropDepth, q.Filter)
		if err != nil {
			return nil, fmt.Errorf("match what is not wanted: %w", err)
		}
		out := make(map[clipsearch.ID]bool, len(called))
		for _, h := range called {
			out[h.ID] = true
		}
		kept := hits[:0]
		for _, h := range hits {
			if out[h.ID] {
				is, err := e.is(ctx, h.ID, func(m clipsearch.Image) bool { return isCalled(m, not) })
				if err != nil {
					return nil, err
				}
				if is {
					continue
				}
			}
			kept = append(kept, h)
		}
		hits = kept
	}
	return hits, nil
}
