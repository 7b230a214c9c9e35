package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clipsearch/clipsearch"
)

// TextEncoder puts words where the pictures they describe are.
type TextEncoder interface {
	EncodeTexts(ctx context.Context, texts []string) ([]clipsearch.Vector, error)
}

// Index finds pictures. Both lookups return at most k hits, best first.
type Index interface {
	Nearest(ctx context.Context, v clipsearch.Vector, k int, f clipsearch.Filter) ([]clipsearch.Hit, error)
	Match(ctx context.Context, words string, k int, f clipsearch.Filter) ([]clipsearch.Hit, error)
	Image(ctx context.Context, id clipsearch.ID) (clipsearch.Image, error)
	Vector(ctx context.Context, id clipsearch.ID) (clipsearch.Vector, error)
}

// Engine answers queries. Its fields must not change after the first Search;
// Search may be called by several goroutines at once.
type Engine struct {
	Encoder TextEncoder
	Index   Index
	Exists  func(path string) bool // which of a picture's paths to show; the first if nil

	// Pin has a query meet one space: it calls fn with a context that names the space
	// which answers (see [clipsearch.InSpace]), and once more where fn's error wraps
	// [clipsearch.ErrSpace]: another one answers by then. A context that names a space
	// already it hands on as it is. Nil: there is but one space.
	Pin func(ctx context.Context, fn func(context.Context) error) error

	// Damage says what answers leave out because the index cannot read it; empty if
	// nothing. Nil: nobody knows.
	Damage func(ctx context.Context) string

	vectors vectorCache
}

// How deep the lookups go. They do not depend on the page, so that every page of
// an answer is cut from the same ranking and Total holds on all of them.
const (
	nearestDepth = 5000
	matchDepth   = 1000
	nameDepth    = 100
	dropDepth    = 100_000

	// DateDepth is how many of the best hits are sorted by date: a library's
	// newest pictures are no answer where most have nothing to do with the query.
	DateDepth = 200
)

// Search runs q and returns its page of results, best first. It is an error
// wrapping [clipsearch.ErrInvalid] if q is not valid or asks for nothing, and
// one wrapping [clipsearch.ErrNotFound] if q names a picture that the index
// does not hold. A page beyond the end is empty. An answer is of one space; who
// gives q a Vector has encoded it under the same Pin.
func (e *Engine) Search(ctx context.Context, q Query) (a Answer, err error) {
	if e.Pin == nil {
		return e.search(ctx, q)
	}
	err = e.Pin(ctx, func(ctx context.Context) (err error) {
		a, err = e.search(ctx, q)
		return err
	})
	return a, err
}

func (e *Engine) search(ctx context.Context, q Query) (Answer, error) {
	start := time.Now()
	if err := q.Valid(); err != nil {
		return Answer{}, err
	}
	if q.Empty() {
		return Answer{}, invalid("the query is empty: say what to look for, or give a picture")
	}
	r, err := e.rank(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Query: q.String(), Total: len(r.hits), Notes: []Note{}}
	if q.MinRelevance > 0 {
		a.Notes = append(a.Notes, Note{Text: "relevance cannot be calibrated yet: min-relevance leaves nothing out"})
	}
	if what := e.damage(ctx); what != "" {
		a.Notes = append(a.Notes, Note{Text: what, Damage: true})
	}
	a.Results, err = e.page(ctx, q, r)
	a.TookMS = float64(time.Since(start).Microseconds()) / 1000
	return a, err
}

func (e *Engine) damage(ctx context.Context) string {
	if e.Damage == nil {
		return ""
	}
	return e.Damage(ctx)
}

// ranking is every hit of a query, in the order of the answer, and where each
// came from.
type ranking struct {
	hits    []Scored
	sources []source
}

// source is one lookup's result and what it says of the pictures in it.
type source struct {
	List
	why string
}

// rank finds all hits of q.
func (e *Engine) rank(ctx context.Context, q Query) (ranking, error) {
	if !q.HasText() && !q.HasPicture() && len(q.Phrases) == 0 {
		return e.everything(ctx, q)
	}
	sources, err := e.lookups(ctx, q)
	if err != nil {
		return ranking{}, err
	}
	r := ranking{sources: sources}
	if len(sources) == 1 && (q.Mode == ModeSemantic || q.Mode == ModeText) {
		r.hits = raw(sources[0].Hits)
	} else {
		lists := make([]List, len(sources))
		for i, s := range sources {
			lists[i] = s.List
		}
		r.hits = Fuse(lists...)
	}
	if r.hits, err = e.drop(ctx, r.hits, q); err != nil {
		return ranking{}, err
	}
	if q.Sort == SortDate {
		r.hits, err = e.newestFirst(ctx, r.hits[:min(DateDepth, len(r.hits))])
	}
	return r, err
}

func raw(hits []clipsearch.Hit) []Scored {
	s := make([]Scored, len(hits))
	for i, h := range hits {
		s[i] = Scored{ID: h.ID, Score: float64(h.Score)}
	}
	return s
}

// everything returns all that a filter alone admits, newest first. There is
// nothing to rank by, so each has the same score.
func (e *Engine) everything(ctx context.Context, q Query) (ranking, error) {
	v, err := e.encode(ctx, []string{"a photo"}) // any direction lists the whole index
	if err != nil {
		return ranking{}, err
	}
	hits, err := e.Index.Nearest(ctx, v[0], nearestDepth, q.Filter)
	if err != nil {
		return ranking{}, fmt.Errorf("nearest: %w", err)
	}
	all := raw(inOrder(hits))
	for i := range all {
		all[i].Score = 0
	}
	all, err = e.newestFirst(ctx, all)
	return ranking{hits: all}, err
}

// newestFirst sorts hits by the day they were taken, those without one last.
// Where that says nothing, their order stays.
func (e *Engine) newestFirst(ctx context.Context, hits []Scored) ([]Scored, error) {
	type dated struct {
		Scored
		at time.Time
	}
	var known []dated
	for _, h := range hits {
		m, err := e.Index.Image(ctx, h.ID)
		if errors.Is(err, clipsearch.ErrNotFound) {
			continue // deleted since it was found
		}
		if err != nil {
			return nil, fmt.Errorf("load picture %s: %w", h.ID, err)
		}
		known = append(known, dated{h, m.TakenAt})
	}
	slices.SortStableFunc(known, func(a, b dated) int { return b.at.Compare(a.at) })
	sorted := make([]Scored, len(known))
	for i, d := range known {
		sorted[i] = d.Scored
	}
	return sorted, nil
}

// page loads the pictures of q's page, and no others.
func (e *Engine) page(ctx context.Context, q Query, r ranking) ([]Result, error) {
	results := []Result{}
	if q.Offset >= len(r.hits) {
		return results, nil
	}
	hits := r.hits[q.Offset:]
	for _, h := range hits[:min(q.Limit, len(hits))] {
		m, err := e.Index.Image(ctx, h.ID)
		if errors.Is(err, clipsearch.ErrNotFound) {
			continue // deleted since it was found
		}
		if err != nil {
			return nil, fmt.Errorf("load picture %s: %w", h.ID, err)
		}
		results = append(results, Result{Image: m, Score: h.Score, Why: why(h.ID, r.sources, q), path: e.shown(m)})
	}
	return results, nil
}

func (e *Engine) shown(m clipsearch.Image) string {
	for _, f := range m.Files {
		if e.Exists == nil || e.Exists(f.Path) {
			return f.Path
		}
	}
	return ""
}

// why says which lookups found the picture, and what it must have.
func why(id clipsearch.ID, sources []source, q Query) []string {
	reasons := []string{}
	for _, s := range sources {
		i := slices.IndexFunc(s.Hits, func(h clipsearch.Hit) bool { return h.ID == id })
		if i >= 0 {
			reasons = append(reasons, fmt.Sprintf("%s (rank %d)", s.why, i+1))
		}
	}
	for _, p := range q.Phrases {
		reasons = append(reasons, fmt.Sprintf("has %q", p))
	}
	return reasons
}
