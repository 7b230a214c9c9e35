package query

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// What [Query.Mode] and [Query.Sort] may be; the empty string is the first.
const (
	ModeHybrid   = "hybrid"   // meaning and text, their ranks fused
	ModeSemantic = "semantic" // meaning alone
	ModeText     = "text"     // captions and names alone

	SortRelevance = "relevance"
	SortDate      = "date" // newest first, within the best [DateDepth] hits
)

// Query says what to look for and which part of the answer to return.
type Query struct {
	Text    string   // words of plain meaning
	Terms   []Term   // arithmetic on top of Text, whose own weight is one
	Phrases []string // each must occur in caption, file name or tag
	Not     []string // pushed away, and dropped where a picture is called so

	Vector  clipsearch.Vector // of a picture that the results should look like; nil if there is none
	Similar []clipsearch.ID   // pictures of the index that the results should look like
	Unlike  []clipsearch.ID   // and those they should not

	Filter clipsearch.Filter

	Mode         string
	Sort         string
	Exact        bool // compare with every picture, without the approximate index
	Limit        int  // at least one; [Parse] says 20
	Offset       int
	MinRelevance float64 // 0..1
}

// Term is a text with a weight: below zero it is subtracted.
type Term struct {
	Weight float64
	Text   string
}

// HasText reports whether q has words to encode.
func (q Query) HasText() bool {
	return q.Text != "" || len(q.Terms) > 0 || len(q.Not) > 0
}

// HasPicture reports whether q looks for what looks like a picture.
func (q Query) HasPicture() bool {
	return q.Vector != nil || len(q.Similar) > 0 || len(q.Unlike) > 0
}

// Empty reports whether q asks for nothing at all.
func (q Query) Empty() bool {
	return !q.HasText() && !q.HasPicture() && len(q.Phrases) == 0 && len(q.Filter) == 0
}

// Valid returns an error wrapping [clipsearch.ErrInvalid] if a setting of q is
// out of range. An empty query is valid: only [Engine.Search] knows whether a
// picture came with it.
func (q Query) Valid() error {
	switch {
	case q.Limit <= 0:
		return invalid("limit %d: it must be at least 1", q.Limit)
	case q.Offset < 0:
		return invalid("offset %d: it must not be negative", q.Offset)
	case !(q.MinRelevance >= 0 && q.MinRelevance <= 1):
		return invalid("min-relevance %v: it must be between 0 and 1", q.MinRelevance)
	case !slices.Contains([]string{"", ModeHybrid, ModeSemantic, ModeText}, q.Mode):
		return invalid("mode %q is none of hybrid, semantic, text", q.Mode)
	case !slices.Contains([]string{"", SortRelevance, SortDate}, q.Sort):
		return invalid("sort %q is neither relevance nor date", q.Sort)
	}
	for _, t := range q.Terms {
		if math.IsNaN(t.Weight) || math.IsInf(t.Weight, 0) {
			return invalid("weight %v of %q is no number to add with", t.Weight, t.Text)
		}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, clipsearch.ErrInvalid)...)
}

// words are what the text index is asked: all that is not subtracted.
func (q Query) words() string {
	texts := []string{q.Text}
	for _, t := range q.Terms {
		if t.Weight > 0 {
			texts = append(texts, t.Text)
		}
	}
	return strings.TrimSpace(strings.Join(texts, " "))
}
