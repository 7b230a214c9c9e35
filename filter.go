package clipsearch

import (
	"path/filepath"
	"strings"
	"time"
)

// Filter admits the pictures for which every predicate holds; nil admits all.
type Filter []Predicate

// Predicate compares one field of an [Image]. Which of Text, Number and Time is
// meant follows from Field:
//
//	path, name, tag, caption, type, camera    Op "has": Text occurs, case aside (type: equals)
//	width, height, bytes                      Op "<", "<=", "=", ">=", ">": Number
//	taken                                     Op "<" or ">=": Time; a picture without a date is never admitted
//
// Not inverts it.
type Predicate struct {
	Field  string
	Op     string
	Text   string
	Number float64
	Time   time.Time
	Not    bool
}

// Admits reports whether every predicate holds for m.
func (f Filter) Admits(m Image) bool {
	for _, p := range f {
		if p.holds(m) == p.Not {
			return false
		}
	}
	return true
}

func (p Predicate) holds(m Image) bool {
	switch p.Field {
	case "path":
		return p.within(m.Paths()...)
	case "name":
		names := m.Paths()
		for i := range names {
			names[i] = filepath.Base(names[i])
		}
		return p.within(names...)
	case "tag":
		return p.within(m.Tags...)
	case "caption":
		return p.within(m.Captions...)
	case "camera":
		return p.within(m.Camera)
	case "type":
		return strings.EqualFold(m.Format, p.Text) || m.Format == "jpeg" && strings.EqualFold(p.Text, "jpg")
	case "width":
		return p.compares(float64(m.Width))
	case "height":
		return p.compares(float64(m.Height))
	case "bytes":
		return p.compares(float64(m.Bytes))
	case "taken":
		return !m.TakenAt.IsZero() && m.TakenAt.Before(p.Time) == (p.Op == "<")
	}
	return false
}

func (p Predicate) within(texts ...string) bool {
	want := strings.ToLower(p.Text)
	for _, t := range texts {
		if strings.Contains(strings.ToLower(t), want) {
			return true
		}
	}
	return false
}

func (p Predicate) compares(x float64) bool {
	switch p.Op {
	case "<":
		return x < p.Number
	case "<=":
		return x <= p.Number
	case ">":
		return x > p.Number
	case ">=":
		return x >= p.Number
	}
	return x == p.Number
}
