package web

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/query"
)

// changer is a library whose first call is the last that the old space answers.
type changer struct {
	*fake
	now  clipsearch.Space
	done []clipsearch.Space // of every call
}

func (c *changer) see(ctx context.Context) error {
	s := clipsearch.SpaceOf(ctx)
	c.done = append(c.done, s)
	if s != c.now {
		return fmt.Errorf("not in %.2s: %w", s, clipsearch.ErrSpace)
	}
	c.now = clipsearch.Space{2}
	return nil
}

func (c *changer) Search(ctx context.Context, q query.Query) (query.Answer, error) {
	if err := c.see(ctx); err != nil {
		return query.Answer{}, err
	}
	return c.fake.Search(ctx, q)
}

func (c *changer) Vector(ctx context.Context, id clipsearch.ID) (clipsearch.Vector, error) {
	if err := c.see(ctx); err != nil {
		return nil, err
	}
	return c.fake.Vector(ctx, id)
}

func (c *changer) EncodeImage(ctx context.Context, file []byte) (clipsearch.Vector, error) {
	if err := c.see(ctx); err != nil {
		return nil, err
	}
	return c.fake.EncodeImage(ctx, file)
}

func (c *changer) EncodeTexts(ctx context.Context, texts []string) ([]clipsearch.Vector, error) {
	if err := c.see(ctx); err != nil {
		return nil, err
	}
	return c.fake.EncodeTexts(ctx, texts)
}

func (c *changer) NearestCaptions(ctx context.Context, v clipsearch.Vector, k int) ([]clipsearch.TextHit, error) {
	if err := c.see(ctx); err != nil {
		return nil, err
	}
	return c.fake.NearestCaptions(ctx, v, k)
}

func (c *changer) pin(ctx context.Context, fn func(context.Context) error) error {
	if clipsearch.SpaceOf(ctx) != (clipsearch.Space{}) {
		return fn(ctx)
	}
	for {
		if err := fn(clipsearch.InSpace(ctx, c.now)); !errors.Is(err, clipsearch.ErrSpace) {
			return err
		}
	}
}

// Whatever a request asks for, it gets it whole from one space, also where another
// one answers in the middle of it.
func TestPin(t *testing.T) {
	var c *changer
	s := newSite(t, func(s *Server) {
		c = &changer{fake: s.Library.(*fake)}
		s.Search, s.Library, s.Images, s.Texts, s.Captions, s.Pin = c, c, c, c, c, c.pin
		s.Model = func(ctx context.Context) Model { return Model{Name: clipsearch.SpaceOf(ctx).String()[:2]} }
	})
	id := s.images[1].ID.String()
	for name, ask := range map[string]func() *httptest.ResponseRecorder{
		"search":       func() *httptest.ResponseRecorder { return s.get("/search?q=dog&format=json") },
		"page":         func() *httptest.ResponseRecorder { return s.get("/search?q=dog", "Accept", "text/html") },
		"by a picture": func() *httptest.ResponseRecorder { return s.postForm("/search", []part{image1(3), {"q", "", "dog"}}) },
		"similar":      func() *httptest.ResponseRecorder { return s.get("/images/" + id + "/similar") },
		"captions":     func() *httptest.ResponseRecorder { return s.get("/images/" + id + "/captions") },
		"describe": func() *httptest.ResponseRecorder {
			return s.postForm("/describe", []part{image1(3), {"labels", "", "a\nb"}})
		},
		"embeddings": func() *httptest.ResponseRecorder { return s.postJSON("/v1/embeddings", `{"input": ["a", "b"]}`) },
		"predict": func() *httptest.ResponseRecorder {
			return s.postForm("/predict", []part{{"entries", "", `{"clip": {"textual": {}}}`}, {"text", "", "dog"}})
		},
	} {
		c.now, c.done = clipsearch.Space{1}, nil
		if w := ask(); w.Code != 200 {
			t.Errorf("%s: %d %.200s", name, w.Code, w.Body)
		}
		// Its second call is refused: then all of them are made again in the other space.
		if len(c.done) > 1 && !slices.Equal(c.done, []clipsearch.Space{{1}, {1}, {2}, {2}}) {
			t.Errorf("%s: calls in the spaces %.2s", name, c.done)
		}
	}
}
