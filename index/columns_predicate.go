package index

import (
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/clipsearch/clipsearch"
)

// predicate is a [clipsearch.Predicate], its Not aside: what it asks, in one form
// for all that ask the same, so that it can be a key.
type predicate struct {
	field  string // "" holds of nothing
	op     string
	text   string // in lower case, but of a type
	number float64
	at     time.Time // in UTC
}

func newPredicate(q clipsearch.Predicate) predicate {
	switch p := (predicate{field: q.Field}); q.Field {
	case "path", "name", "tag", "caption", "camera":
		p.text = strings.ToLower(q.Text)
		return p
	case "type":
		p.text = q.Text
		return p
	case "width", "height", "bytes":
		p.op, p.number = "=", q.Number
		switch q.Op {
		case "<", "<=", ">", ">=":
			p.op = q.Op
		}
		if math.IsNaN(q.Number) { // nothing compares with it, and as a key it is never found
			return predicate{}
		}
		return p
	case "taken":
		p.op, p.at = ">=", time.Unix(q.Time.Unix(), int64(q.Time.Nanosecond())).UTC()
		if q.Op == "<" {
			p.op = "<"
		}
		return p
	}
	return predicate{}
}

// holds is what [clipsearch.Filter.Admits] says of r's picture.
func (p predicate) holds(r *row) bool {
	switch p.field {
	case "path":
		return anyHas(r.paths, p.text)
	case "name":
		for _, path := range r.paths {
			if strings.Contains(filepath.Base(path), p.text) {
				return true
			}
		}
	case "tag":
		return anyHas(r.tags, p.text)
	case "caption":
		return anyHas(r.captions, p.text)
	case "camera":
		return strings.Contains(r.camera, p.text)
	case "type":
		return p.isType(r.format)
	case "width":
		return p.compares(r.width)
	case "height":
		return p.compares(r.height)
	case "bytes":
		return p.compares(r.bytes)
	case "taken":
		return !r.taken.IsZero() && r.taken.Before(p.at) == (p.op == "<")
	}
	return false
}

func anyHas(list []string, text string) bool {
	for _, s := range list {
		if strings.Contains(s, text) {
			return true
		}
	}
	return false
}

func (p predicate) isType(format string) bool {
	return strings.EqualFold(format, p.text) || format == "jpeg" && strings.EqualFold(p.text, "jpg")
}

func (p predicate) compares(x float64) bool {
	switch p.op {
	case "<":
		return x < p.number
	case "<=":
		return x <= p.number
	case ">":
		return x > p.number
	case ">=":
		return x >= p.number
	}
	return x == p.number
}

// interval returns the numbers of 32 bits for which p holds, if any: first up to
// first+span.
func (p predicate) interval() (first, span uint32, some bool) {
	low, high := 0.0, float64(math.MaxUint32)
	switch p.op {
	case "<":
		high = min(high, math.Ceil(p.number)-1)
	case "<=":
		high = min(high, math.Floor(p.number))
	case ">":
		low = max(low, math.Floor(p.number)+1)
	case ">=":
		low = max(low, math.Ceil(p.number))
	default:
		low, high = max(low, math.Ceil(p.number)), min(high, math.Floor(p.number))
	}
	if low > high {
		return 0, 0, false
	}
	return uint32(low), uint32(high) - uint32(low), true
}

// dates returns the microseconds since 1970 for which p holds: first up to last.
func (p predicate) dates() (first, last int64) {
	const far = 1e6 * farSeconds
	at := int64(far)
	switch s := p.at.Unix(); {
	case s < -farSeconds:
		at = -far
	case s < farSeconds:
		at = p.at.Add(time.Microsecond - 1).UnixMicro() // the first that is not before
	}
	if p.op == "<" {
		return noDate + 1, at - 1
	}
	return at, far
}
