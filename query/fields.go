package query

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/clipsearch/clipsearch"
)

// fieldNames are the fields of the language, in the order in which they are
// suggested.
var fieldNames = [...]string{"path", "name", "tag", "caption", "camera", "type", "after", "before", "width", "height", "bytes", "similar"}

// types are the formats that pictures may have.
var types = [...]string{"jpeg", "png", "gif", "webp", "bmp", "tiff"}

func known(name string) bool { return slices.Contains(fieldNames[:], name) }

// nearestField returns the field that someone who typed name may have meant: the
// one fewest edits away, of several one with the same first letter.
func nearestField(name string) string {
	return slices.MinFunc(fieldNames[:], func(a, b string) int { return cost(name, a) - cost(name, b) })
}

func cost(typed, field string) int {
	c := 2 * edits(typed, field)
	if typed[0] != field[0] {
		c++
	}
	return c
}

// edits is the Levenshtein distance of a and b in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// predicate reads the value of a field other than similar. The error is one
// line without the place.
func predicate(name, value string) (clipsearch.Predicate, error) {
	p := clipsearch.Predicate{Field: name, Op: "has", Text: value}
	var err error
	switch name {
	case "type":
		p.Text = strings.ToLower(value)
		if long := map[string]string{"jpg": "jpeg", "tif": "tiff"}[p.Text]; long != "" {
			p.Text = long
		}
	case "after", "before":
		p = clipsearch.Predicate{Field: "taken", Op: ">="}
		if name == "before" {
			p.Op = "<"
		}
		p.Time, err = date(value)
	case "width", "height", "bytes":
		p = clipsearch.Predicate{Field: name}
		p.Op, p.Number, err = comparison(value)
	}
	return p, err
}

// date reads the beginning of a year, a month or a day (in UTC, as dates without
// a zone are), or a moment.
func date(s string) (time.Time, error) {
	for _, layout := range []string{"2006", "2006-01", "2006-01-02", time.RFC3339} {
		t, err := time.Parse(layout, s)
		if year := t.UTC().Year(); err == nil && year >= 1 && year <= 9999 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no date: write 2024, 2024-05 or 2024-05-31", s)
}

func comparison(s string) (op string, x float64, err error) {
	number := strings.TrimLeft(s, "<=>")
	op = s[:len(s)-len(number)]
	x, err = strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) || !slices.Contains([]string{"", "<", "<=", "=", ">=", ">"}, op) {
		return "", 0, fmt.Errorf("%q is no comparison: write 2000, >2000 or <=2000", s)
	}
	if op == "" {
		op = "="
	}
	return op, x, nil
}

// written is the inverse of predicate: what to type for p.
func written(p clipsearch.Predicate) string {
	name, value := p.Field, p.Text
	switch p.Field {
	case "taken":
		name, value = "after", p.Time.UTC().Format(time.RFC3339Nano)
		if p.Op == "<" {
			name = "before"
		}
		if day := p.Time.UTC().Truncate(24 * time.Hour); day.Equal(p.Time) {
			value = day.Format(time.DateOnly)
		}
	case "width", "height", "bytes":
		value = p.Op + strconv.FormatFloat(p.Number, 'g', -1, 64)
	}
	if strings.ContainsFunc(value, unicode.IsSpace) {
		value = `"` + value + `"`
	}
	if p.Not {
		name = "-" + name
	}
	return name + ":" + value
}
