package web

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/query"
)

// Searcher answers queries.
type Searcher interface {
	Search(ctx context.Context, q query.Query) (query.Answer, error)
}

// Library holds the pictures.
type Library interface {
	Image(ctx context.Context, id clipsearch.ID) (clipsearch.Image, error)
	Vector(ctx context.Context, id clipsearch.ID) (clipsearch.Vector, error)
	Thumb(ctx context.Context, id clipsearch.ID) ([]byte, error) // a JPEG
	Stats(ctx context.Context) (clipsearch.Stats, error)
}

// ImageEncoder puts an uploaded picture where the texts are that describe it.
// file is what was uploaded; an error wrapping [clipsearch.ErrInvalid] says that
// it cannot be decoded.
type ImageEncoder interface {
	EncodeImage(ctx context.Context, file []byte) (clipsearch.Vector, error)
}

// TextEncoder puts texts where the pictures are that they describe.
type TextEncoder interface {
	EncodeTexts(ctx context.Context, texts []string) ([]clipsearch.Vector, error)
}

// Captions finds the texts of the index that are nearest to a picture, best first.
type Captions interface {
	NearestCaptions(ctx context.Context, v clipsearch.Vector, k int) ([]clipsearch.TextHit, error)
}

// Keeper changes what the library holds.
type Keeper interface {
	Add(ctx context.Context, name string, file []byte) (clipsearch.ID, error)
	Delete(ctx context.Context, ids []clipsearch.ID) error
}

// Server is the service. Search and Library are required; without the others
// the routes that need them answer 501. Its fields must not change once it serves.
type Server struct {
	Search   Searcher
	Library  Library
	Images   ImageEncoder
	Texts    TextEncoder
	Captions Captions
	Keeper   Keeper // nil: the server is read-only

	Model   func(ctx context.Context) Model   // what answers in the space that ctx names; nothing is known of it if nil
	Preview func(file []byte) ([]byte, error) // a small JPEG of an upload, for its page; none if nil

	Roots     func() []string // originals are served from below these, asked each time; from nowhere if nil
	Keys      Keys            // who may change the library
	KeyToRead bool            // reading needs a key too: the address can be reached from outside
	Hosts     []string        // names, besides the loopback ones, that a server on loopback is asked for

	MaxUpload int64                           // bytes; 32 MB if zero
	InFlight  int                             // requests at work on a model before one is answered 429; 64 if zero
	Decoding  int                             // pictures decoded at once, the others wait; GOMAXPROCS if zero
	Ready     func() error                    // why requests cannot be answered yet; they can if nil
	Writable  func(ctx context.Context) error // why the library cannot be changed now; it can if nil
	TLS       *tls.Config                     // nil: plain HTTP
	Log       *slog.Logger                    // nil: no log

	// Pin has a request meet one space, as that of [query.Engine] does; nil: there is
	// but one.
	Pin func(ctx context.Context, fn func(context.Context) error) error

	uploads  recent // pictures searched with lately
	decoding turnstile
	busy     gate
}

// Model is what a server tells of the model that answers.
type Model struct {
	Name       string
	LogitScale float64               // 100 if zero
	Tokens     func(text string) int // counts for usage in /v1/embeddings; 0 each if nil
}

func (s *Server) model(ctx context.Context) (m Model) {
	if s.Model != nil {
		m = s.Model(ctx)
	}
	m.LogitScale = cmp.Or(m.LogitScale, 100)
	return m
}

// pinned returns what fn does, all of it in one space.
func pinned[A any](ctx context.Context, s *Server, fn func(context.Context) (A, error)) (a A, err error) {
	if s.Pin == nil {
		return fn(ctx)
	}
	err = s.Pin(ctx, func(ctx context.Context) (err error) {
		a, err = fn(ctx)
		return err
	})
	return a, err
}

// Handler returns the routes of s.
func (s *Server) Handler() http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, s.log, s.recoverer, headers, middleware.GetHead, compress(), s.sameOrigin)
	r.NotFound(s.serve(noRoute))
	r.MethodNotAllowed(s.serve(wrongMethod(r)))

	r.Get("/healthz", s.serve(healthz))
	r.Get("/readyz", s.serve(s.readyz))
	r.Get("/static/{name}", s.serve(static))

	r.Group(func(r chi.Router) {
		r.Use(s.whenReady, s.reader)
		r.Get("/ping", s.serve(ping)) // and POST /predict: Immich's API
		r.Get("/images/{id}", s.serve(s.image))
		r.Get("/images/{id}/thumb", s.serve(s.thumb))
		r.Get("/images/{id}/original", s.serve(s.original))
		r.Get("/images/{id}/captions", s.serve(s.captions))
		r.Get("/uploads/{id}", s.serve(s.upload))
		r.With(s.writer).Delete("/images/{id}", s.serve(s.deleteImage))
	})
	r.Group(func(r chi.Router) { // what keeps a model at work
		r.Use(s.whenReady, s.reader, s.limit)
		r.Get("/", s.serve(s.home))
		r.Get("/search", s.serve(s.search)) // page or JSON, as Accept says
		r.Post("/search", s.serve(s.postSearch))
		r.Get("/images/{id}/similar", s.serve(s.similar))
		r.Post("/describe", s.serve(s.describe))
		r.Post("/v1/embeddings", s.serve(s.embeddings))
		r.Post("/predict", s.serve(s.predict))
		r.With(s.writer).Post("/images", s.serve(s.postImage))
	})
	return r
}

func (s *Server) maxUpload() int64 { return cmp.Or(s.MaxUpload, 32<<20) }

func (s *Server) logger() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}
