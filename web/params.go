package web

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"encoding/json"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/query"
)

const (
	jsonLimit = 20   // results of an answer, as the command line has it
	pageLimit = 48   // and on a page
	maxLimit  = 1000 // that may be asked for at once
	maxWords  = 4096 // bytes of a query
)

// params are what a search may be asked with, in its URL or in a form. picture
// is the ID of one that the results should look like.
var params = [...]string{"q", "picture", "limit", "offset", "sort", "mode", "min_relevance",
	"after", "before", "path", "type", "strict", "exact", "format"}

// known returns the first value of each of params that v has. What is empty, as
// a form sends it, is left out.
func known(v url.Values) (url.Values, error) {
	kept := url.Values{}
	for _, name := range params {
		value := v.Get(name)
		if !utf8.ValidString(value) {
			return nil, invalid("%s is not UTF-8", name)
		}
		if value != "" {
			kept.Set(name, value)
		}
	}
	return kept, nil
}

// urlParams reads r's URL strictly: what is escaped wrongly is an error.
func urlParams(r *http.Request) (url.Values, error) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("read the URL: %v", err)
	}
	return known(v)
}

// asksNothing reports whether v, of [known], would find nothing because it says
// nothing to look for.
func asksNothing(v url.Values) bool {
	for _, name := range []string{"picture", "after", "before", "path", "type"} {
		if v.Has(name) {
			return false
		}
	}
	return strings.TrimSpace(v.Get("q")) == ""
}

// readQuery makes a query of v, its picture aside.
func readQuery(v url.Values, limit int) (query.Query, []query.Note, error) {
	if n := len(v.Get("q")); n > maxWords {
		return query.Query{}, nil, invalid("the query has %d bytes: it may have %d", n, maxWords)
	}
	if f := v.Get("format"); f != "" && f != "json" && f != "html" {
		return query.Query{}, nil, invalid("format %q is neither json nor html", f)
	}
	strict, err := param(v, "strict", false, strconv.ParseBool)
	if err != nil {
		return query.Query{}, nil, err
	}
	q, notes, err := query.Parse(v.Get("q"), query.ParseOptions{Strict: strict})
	if err != nil {
		return q, nil, err
	}
	filter, more, err := readFilter(v, strict)
	if err != nil {
		return q, nil, err
	}
	q.Filter, q.Sort, q.Mode = append(q.Filter, filter...), v.Get("sort"), v.Get("mode")
	var errs [4]error
	q.Limit, errs[0] = param(v, "limit", limit, strconv.Atoi)
	q.Offset, errs[1] = param(v, "offset", 0, strconv.Atoi)
	q.Exact, errs[2] = param(v, "exact", false, strconv.ParseBool)
	q.MinRelevance, errs[3] = param(v, "min_relevance", 0, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
	if q.Limit > maxLimit {
		errs[0] = invalid("limit %d: at most %d, and next leads on", q.Limit, maxLimit)
	}
	for _, err := range append(errs[:], q.Valid()) {
		if err != nil {
			return q, nil, err
		}
	}
	return q, append(notes, more...), nil
}

// param reads one parameter with a function of strconv.
func param[T any](v url.Values, name string, absent T, read func(string) (T, error)) (T, error) {
	if !v.Has(name) {
		return absent, nil
	}
	x, err := read(v.Get(name))
	if err != nil {
		return absent, invalid("%s %q cannot be read: %v", name, v.Get(name), errors.Unwrap(err))
	}
	return x, nil
}

// plainValue is what may stand behind a field of the query language and be
// nothing but its value.
var plainValue = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z:.+-]*$`)

// readFilter reads the parameters that are fields of the query language too.
func readFilter(v url.Values, strict bool) (clipsearch.Filter, []query.Note, error) {
	var filter clipsearch.Filter
	var notes []query.Note
	for _, name := range []string{"after", "before", "type"} {
		if !v.Has(name) {
			continue
		}
		if !plainValue.MatchString(v.Get(name)) {
			return nil, nil, invalid("%s %q cannot be read", name, v.Get(name))
		}
		q, more, err := query.Parse(name+":"+v.Get(name), query.ParseOptions{Strict: strict})
		if syntax, ok := errors.AsType[*query.SyntaxError](err); ok {
			return nil, nil, invalid("%s: %s", name, syntax.Msg) // its offset is of no text that anyone wrote
		}
		for _, n := range more {
			notes = append(notes, query.Note{Text: name + ": " + n.Text})
		}
		filter = append(filter, q.Filter...)
	}
	if v.Has("path") {
		filter = append(filter, clipsearch.Predicate{Field: "path", Op: "has", Text: v.Get("path")})
	}
	return filter, notes, nil
}

// searchBody is a search as JSON asks for it.
type searchBody struct {
	Q            string      `json:"q"`
	ImageURL     string      `json:"image_url"`
	ImageBase64  string      `json:"image_base64"`
	Limit        json.Number `json:"limit"`
	Offset       json.Number `json:"offset"`
	Sort         string      `json:"sort"`
	Mode         string      `json:"mode"`
	MinRelevance json.Number `json:"min_relevance"`
	Strict       bool        `json:"strict"`
	Exact        bool        `json:"exact"`
	Filter       struct {
		After  string `json:"after"`
		Before string `json:"before"`
		Path   string `json:"path"`
		Type   string `json:"type"`
	} `json:"filter"`
}

// values says b as a URL would.
func (b searchBody) values() (url.Values, error) {
	v := url.Values{
		"q": {b.Q}, "limit": {b.Limit.String()}, "offset": {b.Offset.String()}, "sort": {b.Sort}, "mode": {b.Mode},
		"min_relevance": {b.MinRelevance.String()},
		"after":         {b.Filter.After}, "before": {b.Filter.Before}, "path": {b.Filter.Path}, "type": {b.Filter.Type},
	}
	if b.Strict {
		v.Set("strict", "true")
	}
	if b.Exact {
		v.Set("exact", "true")
	}
	return known(v)
}

// readJSON reads r's body into v. It takes a picture in base64 and what stands
// around it. strict refuses keys that v does not have.
func (s *Server) readJSON(w http.ResponseWriter, r *http.Request, v any, strict bool) error {
	if contentType(r) != "application/json" {
		return fail(http.StatusUnsupportedMediaType, "send application/json, not %q", r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.maxUpload()/3*4+1<<20))
	if err != nil {
		return badBody("body", err)
	}
	if !utf8.Valid(body) {
		return invalid("the body is not UTF-8")
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	if strict {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(v); err != nil {
		return invalid("read the JSON: %v", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return invalid("there is more behind the JSON value")
	}
	return nil
}
