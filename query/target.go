package query

import (
	"context"
	"fmt"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// target is a direction to look in.
type target struct {
	vector clipsearch.Vector
	why    string
}

// targets returns the directions of q: one for its words, one for its pictures.
// The two are ranked apart and fused, never averaged: texts and pictures lie in
// different regions of the space, and a mean of both is near neither.
//
// What is not wanted is subtracted from each. That is sound across the regions:
// the distance between them lowers every picture's score alike.
func (e *Engine) targets(ctx context.Context, q Query) ([]target, error) {
	plus, minus, err := e.texts(ctx, q)
	if err != nil {
		return nil, err
	}
	looks, err := e.pictures(ctx, q)
	if err != nil {
		return nil, err
	}
	var all []target
	if len(plus) > 0 || len(looks) == 0 {
		v, err := sum(append(plus, minus...))
		if err != nil {
			return nil, fmt.Errorf("the words of %q cancel each other out: %w", q, err)
		}
		all = append(all, target{v, "looks like the words"})
	}
	if len(looks) > 0 {
		v, err := sum(append(looks, minus...))
		if err != nil {
			return nil, fmt.Errorf("the pictures of %q cancel each other out: %w", q, err)
		}
		all = append(all, target{v, "looks like the picture"})
	}
	return all, nil
}

// weighted is a summand of a target.
type weighted struct {
	vector clipsearch.Vector
	weight float64
}

func sum(parts []weighted) (clipsearch.Vector, error) {
	var total []float32
	for _, p := range parts {
		if total == nil {
			total = make([]float32, len(p.vector))
		}
		if len(p.vector) != len(total) {
			return nil, invalid("vectors of %d and of %d numbers do not go together", len(total), len(p.vector))
		}
		for i, x := range p.vector {
			total[i] += float32(p.weight * float64(x))
		}
	}
	return clipsearch.Unit(total)
}

// texts encodes q's words: those that are added, and those that are subtracted.
func (e *Engine) texts(ctx context.Context, q Query) (plus, minus []weighted, err error) {
	terms := append([]Term{{1, q.Text}}, q.Terms...)
	if q.words() == "" { // phrases are part of the words, unless someone built q by hand
		terms = append(terms, Term{1, strings.Join(q.Phrases, " ")})
	}
	for _, not := range q.Not {
		terms = append(terms, Term{-notWeight, not})
	}
	var texts []string
	var weights []float64
	for _, t := range terms {
		if strings.TrimSpace(t.Text) != "" && t.Weight != 0 {
			texts, weights = append(texts, t.Text), append(weights, t.Weight)
		}
	}
	vectors, err := e.encode(ctx, texts)
	for i, v := range vectors {
		if w := (weighted{v, weights[i]}); w.weight > 0 {
			plus = append(plus, w)
		} else {
			minus = append(minus, w)
		}
	}
	return plus, minus, err
}

// pictures returns the vectors of the pictures that q names or carries.
func (e *Engine) pictures(ctx context.Context, q Query) ([]weighted, error) {
	var parts []weighted
	if q.Vector != nil {
		parts = append(parts, weighted{q.Vector, 1})
	}
	for i, id := range append(q.Similar[:len(q.Similar):len(q.Similar)], q.Unlike...) {
		v, err := e.Index.Vector(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("similar:%s: %w", id, err)
		}
		w := weighted{v, 1}
		if i >= len(q.Similar) {
			w.weight = -notWeight
		}
		parts = append(parts, w)
	}
	return parts, nil
}

// encode returns the vectors of texts, asking the encoder only for those that
// were not asked for lately.
func (e *Engine) encode(ctx context.Context, texts []string) ([]clipsearch.Vector, error) {
	space := clipsearch.SpaceOf(ctx)
	vectors := make([]clipsearch.Vector, len(texts))
	var missing []string
	var at []int
	for i, t := range texts {
		v, ok := e.vectors.get(cacheKey{space, t})
		if !ok {
			missing, at = append(missing, t), append(at, i)
		}
		vectors[i] = v
	}
	if len(missing) == 0 {
		return vectors, nil
	}
	fresh, err := e.Encoder.EncodeTexts(ctx, missing)
	if err != nil {
		return nil, fmt.Errorf("encode %d texts: %w", len(missing), err)
	}
	for j, v := range fresh {
		vectors[at[j]] = v
		e.vectors.put(cacheKey{space, missing[j]}, v)
	}
	return vectors, nil
}
