package owner

import (
	"context"
	"net/http"

	"github.com/clipsearch/clipsearch"
)

// protocol is the version of what follows. Fields may be added to what goes over
// the wire, and calls to the table; any other change needs a new number.
const protocol = 1

// source is what an owner serves.
type source struct {
	Index
	encoder Texts // nil if it has none
	space   clipsearch.Space
}

// method is one call as both ends know it: how it is named on the wire, what it
// sends and answers, and what the owner does. A method with nothing to send or
// answer has none for it.
type method[Q, A any] struct {
	name   string
	writes bool // must not be repeated after a crash
	call   func(source, context.Context, Q) (A, error)
}

type none struct{}

type nearestQuery struct {
	Vector clipsearch.Vector
	K      int
	Filter clipsearch.Filter
}

type matchQuery struct {
	Words  string
	K      int
	Filter clipsearch.Filter
}

type captionsQuery struct {
	Vector clipsearch.Vector
	K      int
}

type textsQuery struct {
	Texts []string
	Space clipsearch.Space // of the vectors wanted; zero takes any
}

// The calls. To add one: a line here, its name in routes, a method of Handle.
var (
	seen     = method[[]clipsearch.File, []clipsearch.ID]{"seen", false, source.Seen}
	has      = method[[]clipsearch.ID, []bool]{"has", false, source.Has}
	put      = method[[]clipsearch.Entry, none]{"put", true, silent(source.Put)}
	forget   = method[[]string, int]{"forget", true, source.Forget}
	remove   = method[[]clipsearch.ID, none]{"delete", true, silent(source.Delete)}
	image    = method[clipsearch.ID, clipsearch.Image]{"image", false, source.Image}
	vector   = method[clipsearch.ID, clipsearch.Vector]{"vector", false, source.Vector}
	thumb    = method[clipsearch.ID, []byte]{"thumb", false, source.Thumb}
	nearest  = method[nearestQuery, []clipsearch.Hit]{"nearest", false, callNearest}
	match    = method[matchQuery, []clipsearch.Hit]{"match", false, callMatch}
	captions = method[captionsQuery, []clipsearch.TextHit]{"captions", false, callCaptions}
	files    = method[none, []clipsearch.File]{"files", false, bare(source.Files)}
	stats    = method[none, clipsearch.Stats]{"stats", false, bare(source.Stats)}
	check    = method[none, []clipsearch.Problem]{"check", false, callCheck}
	repair   = method[none, []clipsearch.Problem]{"repair", true, callRepair}
	compact  = method[none, none]{"compact", true, callCompact}
	language = method[string, none]{"language", true, silent(source.SetLanguage)}
	texts    = method[textsQuery, []clipsearch.Vector]{"texts", false, callTexts}
)

// route is a method of any types, as the server registers it.
type route interface {
	handler(*service) (string, http.HandlerFunc)
}

// routes are all calls.
func routes() []route {
	return []route{
		seen, has, put, forget, remove, image, vector, thumb, nearest, match, captions,
		files, stats, check, repair, compact, language, texts,
	}
}

func callNearest(s source, ctx context.Context, q nearestQuery) ([]clipsearch.Hit, error) {
	return s.Nearest(ctx, q.Vector, q.K, q.Filter)
}

func callMatch(s source, ctx context.Context, q matchQuery) ([]clipsearch.Hit, error) {
	return s.Match(ctx, q.Words, q.K, q.Filter)
}

func callCaptions(s source, ctx context.Context, q captionsQuery) ([]clipsearch.TextHit, error) {
	return s.NearestCaptions(ctx, q.Vector, q.K)
}

func callCheck(s source, ctx context.Context, _ none) ([]clipsearch.Problem, error) {
	return s.Check(ctx, false)
}

func callRepair(s source, ctx context.Context, _ none) ([]clipsearch.Problem, error) {
	return s.Check(ctx, true)
}

func callCompact(s source, ctx context.Context, _ none) (none, error) {
	return none{}, s.Compact(ctx)
}

func callTexts(s source, ctx context.Context, q textsQuery) ([]clipsearch.Vector, error) {
	other := q.Space != s.space && q.Space != (clipsearch.Space{}) && s.space != (clipsearch.Space{})
	if s.encoder == nil || other {
		return nil, errNoTexts
	}
	return s.encoder.EncodeTexts(ctx, q.Texts)
}

// silent makes a method of one that answers nothing.
func silent[Q any](f func(source, context.Context, Q) error) func(source, context.Context, Q) (none, error) {
	return func(s source, ctx context.Context, q Q) (none, error) { return none{}, f(s, ctx, q) }
}

// bare makes a method of one that is asked nothing.
func bare[A any](f func(source, context.Context) (A, error)) func(source, context.Context, none) (A, error) {
	return func(s source, ctx context.Context, _ none) (A, error) { return f(s, ctx) }
}
