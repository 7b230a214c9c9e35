package query

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/clipsearch/clipsearch"
)

// Answer is one page of what a query found.
type Answer struct {
	Query   string   `json:"query"`
	Total   int      `json:"total"` // how many hits paging to the end gives
	TookMS  float64  `json:"took_ms"`
	Notes   []Note   `json:"notes"`   // never nil
	Results []Result `json:"results"` // best first; never nil
}

// Result is a picture of an answer.
type Result struct {
	clipsearch.Image
	Score     float64  // cosine, fused ranks or text score, as the mode has it
	Relevance *float64 // nil until it can be calibrated
	Why       []string // what made it a hit, for a person to read

	path string
}

// Path returns where the picture is: the first of its paths that exists, as far
// as the engine could tell.
func (r Result) Path() string {
	if r.path == "" && len(r.Files) > 0 {
		return r.Files[0].Path
	}
	return r.path
}

// MarshalJSON writes a hit as the command line and the server print it. Paths
// that are not UTF-8 have U+FFFD in place of what cannot be written.
func (r Result) MarshalJSON() ([]byte, error) {
	hit := struct {
		ID        clipsearch.ID `json:"id"`
		Path      string        `json:"path"`
		Paths     []string      `json:"paths"`
		Score     float64       `json:"score"`
		Relevance *float64      `json:"relevance"`
		Caption   string        `json:"caption"`
		Width     int           `json:"width"`
		Height    int           `json:"height"`
		TakenAt   *time.Time    `json:"taken_at"`
		Why       []string      `json:"why"`
	}{
		r.ID, r.Path(), r.Paths(), r.Score, r.Relevance, r.Caption(), r.Width, r.Height, nil,
		append([]string{}, r.Why...),
	}
	if !r.TakenAt.IsZero() && r.TakenAt.Year() <= 9999 { // JSON has no later ones
		hit.TakenAt = &r.TakenAt
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // whoever prints r decides
	err := enc.Encode(hit)
	return b.Bytes(), err
}
