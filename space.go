package clipsearch

import (
	"context"
	"errors"
)

// ErrSpace says that a call was meant for a space which does not answer, or does
// not answer any more: whoever has begun with that space begins again with the
// one that does.
var ErrSpace = errors.New("another space answers now")

type spaceKey struct{}

// InSpace returns a context for the calls of one query, which must all meet the
// same space. An index and an encoder that are asked under it answer in s or
// with an error that wraps [ErrSpace]; they never mix.
func InSpace(ctx context.Context, s Space) context.Context {
	return context.WithValue(ctx, spaceKey{}, s)
}

// SpaceOf returns the space that ctx names, or the zero Space where any will do.
func SpaceOf(ctx context.Context) Space {
	s, _ := ctx.Value(spaceKey{}).(Space)
	return s
}

type exactKey struct{}

// Exactly returns a context in which an index compares with every vector, where it
// would else leave out those that are hardly near.
func Exactly(ctx context.Context) context.Context { return context.WithValue(ctx, exactKey{}, true) }

// IsExact reports whether ctx is one of [Exactly].
func IsExact(ctx context.Context) bool { return ctx.Value(exactKey{}) != nil }

// Spaces says how the spaces of an index stand to each other.
type Spaces struct {
	Answering SpaceStats
	Previous  SpaceStats // what a rollback goes back to; zero if there is nothing
	Next      SpaceStats // what the index is being changed to; zero if to nothing
	Images    int        // pictures of the index, all spaces together
	Owed      bool       // pictures may lack vectors of the space that answers
	Carried   bool       // the process that holds the index makes what is lacking
	Trouble   string     // why it cannot; empty if it can
}

// Reencoded is a picture's vectors of another space than it was stored with.
type Reencoded struct {
	ID             ID
	Vectors        []Vector // nil: as they are
	Thumb          bool     // Vectors were made of the thumbnail, the original was not there
	Captions       []string // which CaptionVectors are of; they are dropped where the picture has others by now
	CaptionVectors []Vector // nil: as they are
}

// Lack is a picture that has no vectors of a space, or poorer ones than it could.
type Lack struct {
	Image    Image
	Vectors  bool // of the picture
	Thumb    bool // it has vectors, of its thumbnail; better ones are wanted
	Captions bool // of its captions
}
