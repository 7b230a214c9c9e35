package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/query"
)

// defaultRelevance is the calibrated cutoff: below it, a picture is shown but is
// hardly an answer.
const defaultRelevance = 0.5

// pages are the templates, each within the layout.
var pages = readPages("start.html", "search.html", "image.html", "error.html")

func readPages(names ...string) map[string]*template.Template {
	base := template.New("").Funcs(template.FuncMap{
		"asset": func(name string) string { return assetURLs[name] },
		"count": count,
	})
	base = template.Must(base.ParseFS(templateFiles, "templates/layout.html", "templates/grid.html"))
	all := map[string]*template.Template{}
	for _, name := range names {
		all[name] = template.Must(template.Must(base.Clone()).ParseFS(templateFiles, "templates/"+name))
	}
	return all
}

// render runs a page's template to its end before anything is sent.
func render(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := pages[name].ExecuteTemplate(&b, "layout", data); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// frame is what the layout needs of every page: the state of the search form.
type frame struct {
	Words   string
	Picture string // the ID of the one that is searched with
	Preview string // its URL
	Sort    string
	Mode    string
}

func (s *Server) frameOf(v url.Values) frame {
	f := frame{Words: v.Get("q"), Picture: v.Get("picture"), Sort: v.Get("sort"), Mode: v.Get("mode")}
	if id, err := clipsearch.ParseID(f.Picture); err == nil {
		f.Preview = "/images/" + id.String() + "/thumb"
		if u, ok := s.uploads.get(id); ok && u.preview != nil {
			f.Preview = "/uploads/" + id.String()
		}
	}
	return f
}

type startPage struct {
	frame
	Images int // in the index
}

type searchPage struct {
	frame
	Images   int // in the index; read only where nothing is found
	Total    int
	TookMS   float64
	Notes    []query.Note
	Weak     bool // nothing reaches the default relevance
	Cards    []card
	Next     string
	Previous string
	ByDate   string // the same search, newest first
	ByMatch  string // and best first
}

type imagePage struct {
	frame
	imageJSON
	Source   string // URL of the picture to show
	Original string // URL of the original; empty if it cannot be served
	ThumbW   int    // width of the thumbnail in pixels, about
	Size     string // of the file, for a person
	Taken    string
	Texts    []textScore
	Cards    []card // similar ones
}

// Name is the name of the picture's file.
func (p imagePage) Name() string { return filepath.Base(p.Path) }

type errorPage struct {
	frame
	problem
}

// card is a picture in a grid.
type card struct {
	ID            clipsearch.ID
	Width, Height int
	Grow          int    // in quarters of its height: what it may take of a row's spare room
	Alt           string // caption or file name
	Caption       string
	Lazy          bool // it is far down
	Weak          bool // it is the first below the default relevance
}

const eager = 12 // pictures that load at once

func cards(results []query.Result, after bool) []card {
	list := make([]card, len(results))
	weak := after
	for i, r := range results {
		c := card{ID: r.ID, Width: r.Width, Height: r.Height, Caption: r.Caption(), Lazy: i >= eager, Grow: 4}
		if c.Alt = c.Caption; c.Alt == "" {
			c.Alt = filepath.Base(r.Path())
		}
		if r.Width > 0 && r.Height > 0 {
			c.Grow = min(12, max(1, int(math.Round(4*float64(r.Width)/float64(r.Height)))))
		}
		below := r.Relevance != nil && *r.Relevance < defaultRelevance
		c.Weak, weak = below && !weak, weak || below
		list[i] = c
	}
	return list
}

// searchPage shows what v finds, or where it asks nothing how to begin.
func (s *Server) searchPage(w http.ResponseWriter, r *http.Request, path string, v url.Values) error {
	v.Del("format")
	if asksNothing(v) {
		st, err := s.Library.Stats(r.Context())
		if err != nil {
			return err
		}
		return sendPage(w, r, "start.html", startPage{s.frameOf(v), st.Images})
	}
	f, err := s.find(r.Context(), path, v, nil, pageLimit)
	if err != nil {
		return err
	}
	p := searchPage{
		frame: s.frameOf(v), Total: f.Total, TookMS: f.TookMS, Notes: f.Notes,
		Next: f.Next, Previous: f.previous, ByDate: sorted(path, v, query.SortDate), ByMatch: sorted(path, v, ""),
	}
	best := len(f.Results) > 0 && f.Results[0].Relevance != nil && *f.Results[0].Relevance < defaultRelevance
	p.Weak = best && f.asked.Offset == 0 && f.asked.Sort != query.SortDate
	p.Cards = cards(f.Results, f.asked.Offset > 0 || p.Weak || f.asked.Sort == query.SortDate)
	if f.Total == 0 {
		st, err := s.Library.Stats(r.Context())
		if err != nil {
			return err
		}
		p.Images = st.Images
	}
	return sendPage(w, r, "search.html", p)
}

func sorted(path string, v url.Values, by string) string {
	again := url.Values{}
	for name := range v {
		again.Set(name, v.Get(name))
	}
	if again.Del("sort"); by != "" {
		again.Set("sort", by)
	}
	return pageURL(path, again, 0)
}

func sendPage(w http.ResponseWriter, r *http.Request, name string, data any) error {
	body, err := render(name, data)
	if err != nil {
		return err
	}
	fresh(w)
	send(w, http.StatusOK, "text/html; charset=utf-8", body)
	return nil
}

// imagePage shows one picture, what is known of it, and what is like it.
func (s *Server) imagePage(w http.ResponseWriter, r *http.Request, m clipsearch.Image) error {
	const similar, texts, thumbSide = 12, 5, 384
	p := imagePage{imageJSON: describeImage(m), Size: size(m.Bytes)}
	thumb := "/images/" + m.ID.String() + "/thumb"
	p.Source, p.ThumbW = thumb, int(float64(m.Width)*min(1, thumbSide/float64(max(m.Width, m.Height, 1))))
	if file, _, err := s.open(m); err == nil {
		_ = file.Close()
		p.Original = "/images/" + m.ID.String() + "/original"
		if m.Format != "tiff" { // which browsers do not show
			p.Source = p.Original
		}
	}
	if p.TakenAt != nil {
		p.Taken = p.TakenAt.Format("2 January 2006, 15:04")
	}
	var err error
	if p.Texts, err = s.textsOf(r.Context(), m.ID, texts); err != nil {
		return err
	}
	f, err := s.similarTo(r.Context(), m.ID, url.Values{}, similar+1)
	if err != nil {
		return err
	}
	for _, c := range cards(f.Results, true) {
		if c.ID != m.ID && len(p.Cards) < similar {
			p.Cards = append(p.Cards, c)
		}
	}
	return sendPage(w, r, "image.html", p)
}

// textsOf is captionsOf for a page, which does without where there are none.
func (s *Server) textsOf(ctx context.Context, id clipsearch.ID, limit int) ([]textScore, error) {
	texts, err := s.captionsOf(ctx, id, limit)
	if f, ok := errors.AsType[*failure](err); ok && f.status == http.StatusNotImplemented {
		return nil, nil
	}
	return texts, err
}

// size writes a number of bytes for a person.
func size(n int64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.0f KB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}

// count writes a number with its thousands apart.
func count(n int) string {
	digits := strconv.Itoa(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
