package owner

import (
	"context"
	"errors"
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
	works   bool // it makes the vectors that the index lacks
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
	Exact  bool
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

type exportQuery struct {
	After clipsearch.ID
	Limit int
}

type importQuery struct {
	Spaces []clipsearch.SpaceModel
	Batch  []clipsearch.Record
}

type textsQuery struct {
	Texts []string
	Space clipsearch.Space // of the vectors wanted; zero takes any
}

type lackingQuery struct {
	Space   clipsearch.Space
	After   clipsearch.ID
	N       int
	Improve bool
}

type reencodeQuery struct {
	Space clipsearch.Space
	Batch []clipsearch.Reencoded
}

type dropped struct {
	Spaces int
	Bytes  int64
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
	exports  = method[exportQuery, []clipsearch.Record]{"export", false, callExport}
	salvage  = method[exportQuery, clipsearch.Salvaged]{"salvage", false, callSalvage}
	damage   = method[none, string]{"damage", false, bare(source.Damage)}
	imports  = method[importQuery, clipsearch.Imported]{"import", true, callImport}
	check    = method[none, []clipsearch.Problem]{"check", false, callCheck}
	repair   = method[none, []clipsearch.Problem]{"repair", true, callRepair}
	compact  = method[none, none]{"compact", true, callCompact}
	settle   = method[none, none]{"settle", false, callSettle}
	writable = method[none, none]{"writable", false, callWritable}
	answers  = method[none, clipsearch.Space]{"answering", false, bare(source.Answering)}
	spaces   = method[none, clipsearch.Spaces]{"spaces", false, callSpaces}
	switchTo = method[clipsearch.SpaceStats, none]{"switch", true, silent(source.SwitchTo)}
	lacking  = method[lackingQuery, []clipsearch.Lack]{"lacking", false, callLacking}
	reencode = method[reencodeQuery, none]{"reencode", false, callReencode} // done twice is done once
	change   = method[none, bool]{"change", false, bare(source.Change)}     // so is this
	rollback = method[none, none]{"rollback", true, callRollback}
	drop     = method[none, dropped]{"dropspaces", true, callDrop}
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
		files, stats, exports, salvage, damage, imports, check, repair, compact, settle, language, writable, texts,
		answers, spaces, switchTo, lacking, reencode, change, rollback, drop,
	}
}

func callNearest(s source, ctx context.Context, q nearestQuery) ([]clipsearch.Hit, error) {
	if q.Exact {
		ctx = clipsearch.Exactly(ctx)
	}
	return s.Nearest(ctx, q.Vector, q.K, q.Filter)
}

func callMatch(s source, ctx context.Context, q matchQuery) ([]clipsearch.Hit, error) {
	return s.Match(ctx, q.Words, q.K, q.Filter)
}

func callCaptions(s source, ctx context.Context, q captionsQuery) ([]clipsearch.TextHit, error) {
	return s.NearestCaptions(ctx, q.Vector, q.K)
}

func callExport(s source, ctx context.Context, q exportQuery) ([]clipsearch.Record, error) {
	return s.Export(ctx, q.After, q.Limit)
}

func callSalvage(s source, ctx context.Context, q exportQuery) (clipsearch.Salvaged, error) {
	return s.Salvage(ctx, q.After, q.Limit)
}

func callImport(s source, ctx context.Context, q importQuery) (clipsearch.Imported, error) {
	return s.Import(ctx, q.Spaces, q.Batch)
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

func callSettle(s source, ctx context.Context, _ none) (none, error) {
	return none{}, s.Settle(ctx)
}

func callWritable(s source, ctx context.Context, _ none) (none, error) {
	return none{}, s.Writable(ctx)
}

func callSpaces(s source, ctx context.Context, _ none) (clipsearch.Spaces, error) {
	a, err := s.Spaces(ctx)
	a.Carried = s.works
	return a, err
}

func callLacking(s source, ctx context.Context, q lackingQuery) ([]clipsearch.Lack, error) {
	return s.Lacking(ctx, q.Space, q.After, q.N, q.Improve)
}

func callReencode(s source, ctx context.Context, q reencodeQuery) (none, error) {
	return none{}, s.Reencode(ctx, q.Space, q.Batch)
}

func callRollback(s source, ctx context.Context, _ none) (none, error) {
	return none{}, s.Rollback(ctx)
}

func callDrop(s source, ctx context.Context, _ none) (d dropped, err error) {
	d.Spaces, d.Bytes, err = s.DropSpaces(ctx)
	return d, err
}

func callTexts(s source, ctx context.Context, q textsQuery) ([]clipsearch.Vector, error) {
	other := q.Space != s.space && q.Space != (clipsearch.Space{}) && s.space != (clipsearch.Space{})
	if s.encoder == nil || other {
		return nil, errNoTexts
	}
	if q.Space != (clipsearch.Space{}) {
		ctx = clipsearch.InSpace(ctx, q.Space)
	}
	vectors, err := s.encoder.EncodeTexts(ctx, q.Texts)
	if errors.Is(err, clipsearch.ErrSpace) {
		return nil, errNoTexts
	}
	return vectors, err
}

// silent makes a method of one that answers nothing.
func silent[Q any](f func(source, context.Context, Q) error) func(source, context.Context, Q) (none, error) {
	return func(s source, ctx context.Context, q Q) (none, error) { return none{}, f(s, ctx, q) }
}

// bare makes a method of one that is asked nothing.
func bare[A any](f func(source, context.Context) (A, error)) func(source, context.Context, none) (A, error) {
	return func(s source, ctx context.Context, _ none) (A, error) { return f(s, ctx) }
}
