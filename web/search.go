package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/query"
)

// found is a page of an answer and where the pages beside it are.
type found struct {
	query.Answer
	Next string `json:"next,omitempty"`

	asked    query.Query
	previous string
}

// find answers the search that v says. path is where its pages are; like, if not
// nil, is the vector of the picture that v names, in the space that ctx names.
func (s *Server) find(ctx context.Context, path string, v url.Values, like clipsearch.Vector, limit int) (found, error) {
	return pinned(ctx, s, func(ctx context.Context) (found, error) { return s.findIn(ctx, path, v, like, limit) })
}

func (s *Server) findIn(ctx context.Context, path string, v url.Values, like clipsearch.Vector, limit int) (found, error) {
	start := time.Now()
	q, notes, err := readQuery(v, limit)
	if err != nil {
		return found{}, err
	}
	if q.Vector = like; v.Has("picture") && like == nil {
		if err := s.addPicture(ctx, &q, v.Get("picture")); err != nil {
			return found{}, err
		}
	}
	a, err := s.Search.Search(ctx, q)
	if errors.Is(err, clipsearch.ErrNotFound) && v.Has("picture") {
		return found{}, fail(http.StatusNotFound, "picture %s is not in the index, nor remembered as an upload: upload it again", v.Get("picture"))
	}
	if err != nil {
		return found{}, err
	}
	a.Query, a.Notes = v.Get("q"), append(notes, a.Notes...)
	a.TookMS = float64(time.Since(start).Microseconds()) / 1000
	f := found{Answer: a, asked: q}
	if q.Offset < a.Total-q.Limit {
		f.Next = pageURL(path, v, q.Offset+q.Limit)
	}
	if q.Offset > 0 {
		f.previous = pageURL(path, v, max(0, q.Offset-q.Limit))
	}
	return f, nil
}

// addPicture has q look for what is like a picture, uploaded lately or indexed. Of an
// upload that was encoded in another space the preview is encoded anew.
func (s *Server) addPicture(ctx context.Context, q *query.Query, name string) error {
	id, err := clipsearch.ParseID(name)
	if err != nil {
		return err
	}
	space := clipsearch.SpaceOf(ctx)
	u, ok := s.uploads.get(id)
	if ok && u.space != space && u.preview != nil {
		u.space = space
		if u.vector, err = s.encodeImage(ctx, u.preview); err != nil {
			return err
		}
		s.uploads.put(id, u)
	}
	if ok && u.space == space {
		q.Vector = u.vector
	} else {
		q.Similar = append(q.Similar, id)
	}
	return nil
}

func pageURL(path string, v url.Values, offset int) string {
	page := url.Values{}
	for name := range v {
		page.Set(name, v.Get(name))
	}
	page.Del("offset")
	if offset > 0 {
		page.Set("offset", strconv.Itoa(offset))
	}
	if len(page) == 0 {
		return path
	}
	return path + "?" + page.Encode()
}

// home answers GET /: the search page, unless JSON is asked for by name.
func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Query().Get("format") == "json" || quality(r, "application/json") > quality(r, "text/html") {
		return s.search(w, r)
	}
	v, err := urlParams(r)
	if err != nil {
		return err
	}
	return s.searchPage(w, r, "/search", v)
}

// search answers GET /search.
func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	v, err := urlParams(r)
	if err != nil {
		return err
	}
	return s.answer(w, r, "/search", v)
}

// similar answers GET /images/{id}/similar, as a search by that picture alone.
func (s *Server) similar(w http.ResponseWriter, r *http.Request) error {
	m, err := s.named(r)
	if err != nil {
		return err
	}
	v, err := urlParams(r)
	if err != nil {
		return err
	}
	v.Set("picture", m.ID.String())
	if wantsHTML(r) {
		return s.searchPage(w, r, "/search", v)
	}
	v.Del("picture") // the path says it
	f, err := s.similarTo(r.Context(), m.ID, v, jsonLimit)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, f)
}

func (s *Server) similarTo(ctx context.Context, id clipsearch.ID, v url.Values, limit int) (found, error) {
	return pinned(ctx, s, func(ctx context.Context) (found, error) {
		vector, err := s.Library.Vector(ctx, id)
		if err != nil {
			return found{}, err
		}
		return s.findIn(ctx, "/images/"+id.String()+"/similar", v, vector, limit)
	})
}

// answer writes a page or JSON.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, path string, v url.Values) error {
	if wantsHTML(r) {
		return s.searchPage(w, r, path, v)
	}
	f, err := s.find(r.Context(), path, v, nil, jsonLimit)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, f)
}

// postSearch answers POST /search: a search by an uploaded picture, by words or
// by both. A browser is sent on to the page of the answer, which has a URL.
func (s *Server) postSearch(w http.ResponseWriter, r *http.Request) error {
	v, file, err := s.readSearch(w, r)
	if err != nil {
		return err
	}
	f, err := pinned(r.Context(), s, func(ctx context.Context) (f found, err error) {
		var like clipsearch.Vector
		if file != nil {
			if like, err = s.encodeUpload(ctx, file, wantsHTML(r)); err != nil {
				return f, err
			}
			v.Set("picture", clipsearch.NewID(file).String())
		}
		if wantsHTML(r) {
			_, _, err := readQuery(v, pageLimit)
			return f, err
		}
		return s.findIn(ctx, "/search", v, like, jsonLimit)
	})
	if err != nil {
		return err
	}
	if wantsHTML(r) {
		http.Redirect(w, r, pageURL("/search", v, 0), http.StatusSeeOther)
		return nil
	}
	return sendJSON(w, http.StatusOK, f)
}

// encodeUpload returns the vector of a picture to search with, and remembers it for
// the pages of the answer.
func (s *Server) encodeUpload(ctx context.Context, file []byte, page bool) (clipsearch.Vector, error) {
	v, err := s.encodeImage(ctx, file)
	if err != nil {
		return nil, err
	}
	u := upload{space: clipsearch.SpaceOf(ctx), vector: v}
	if page && s.Preview != nil {
		u.preview, _ = s.Preview(file) // its page does without
	}
	s.uploads.put(clipsearch.NewID(file), u)
	return v, nil
}

// readSearch reads what POST /search takes; the file is nil if there is none.
func (s *Server) readSearch(w http.ResponseWriter, r *http.Request) (url.Values, []byte, error) {
	switch contentType(r) {
	case "multipart/form-data":
		f, err := s.readForm(w, r)
		if err != nil {
			return nil, nil, err
		}
		v, err := known(f.fields)
		return v, f.image, err
	case "application/json":
		var b searchBody
		if err := s.readJSON(w, r, &b, true); err != nil {
			return nil, nil, err
		}
		if b.ImageURL != "" {
			return nil, nil, invalid("image_url: this server fetches nothing: send the picture as image_base64")
		}
		v, err := b.values()
		if err != nil || b.ImageBase64 == "" {
			return v, nil, err
		}
		file, err := s.fromBase64(b.ImageBase64)
		return v, file, err
	}
	return nil, nil, fail(http.StatusUnsupportedMediaType, "send multipart/form-data or application/json, not %q", r.Header.Get("Content-Type"))
}

// upload answers GET /uploads/{id}: the preview of a picture searched with.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) error {
	id, err := clipsearch.ParseID(chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	u, ok := s.uploads.get(id)
	if !ok || u.preview == nil {
		return fail(http.StatusNotFound, "no preview of upload %s is remembered", id)
	}
	return sendJPEG(w, r, id.String()+"-preview", u.preview)
}
