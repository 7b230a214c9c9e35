package web

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/clipsearch/clipsearch"
)

// named returns the picture that r's path names.
func (s *Server) named(r *http.Request) (clipsearch.Image, error) {
	id, err := clipsearch.ParseID(chi.URLParam(r, "id"))
	if err != nil {
		return clipsearch.Image{}, err
	}
	m, err := s.Library.Image(r.Context(), id)
	if err != nil {
		return m, fmt.Errorf("picture %s: %w", id, err)
	}
	return m, nil
}

// imageJSON is what GET /images/{id} tells.
type imageJSON struct {
	ID       clipsearch.ID `json:"id"`
	Path     string        `json:"path"`
	Paths    []string      `json:"paths"`
	Format   string        `json:"format"`
	Width    int           `json:"width"`
	Height   int           `json:"height"`
	Bytes    int64         `json:"bytes"`
	TakenAt  *time.Time    `json:"taken_at"`
	Camera   string        `json:"camera"`
	Caption  string        `json:"caption"`
	Captions []string      `json:"captions"`
	Tags     []string      `json:"tags"`
}

func describeImage(m clipsearch.Image) imageJSON {
	j := imageJSON{
		ID: m.ID, Paths: m.Paths(), Format: m.Format, Width: m.Width, Height: m.Height, Bytes: m.Bytes, Camera: m.Camera,
		Caption: m.Caption(), Captions: append([]string{}, m.Captions...), Tags: append([]string{}, m.Tags...),
	}
	if len(j.Paths) > 0 {
		j.Path = j.Paths[0]
	}
	if !m.TakenAt.IsZero() && m.TakenAt.Year() <= 9999 { // JSON has no later ones
		j.TakenAt = &m.TakenAt
	}
	return j
}

// image answers GET /images/{id}.
func (s *Server) image(w http.ResponseWriter, r *http.Request) error {
	m, err := s.named(r)
	if err != nil {
		return err
	}
	if wantsHTML(r) {
		return s.imagePage(w, r, m)
	}
	body, err := marshal(describeImage(m))
	if err != nil {
		return err
	}
	sendTagged(w, r, "application/json", body)
	return nil
}

// thumb answers GET /images/{id}/thumb. Only one size is stored, and it is sent
// whichever is asked for.
func (s *Server) thumb(w http.ResponseWriter, r *http.Request) error {
	id, err := clipsearch.ParseID(chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	v := r.URL.Query()
	size, err := param(v, "size", 256, strconv.Atoi)
	if err != nil {
		return err
	}
	if size < 16 || size > 2048 {
		return invalid("size %d: it must be between 16 and 2048", size)
	}
	jpeg, err := s.Library.Thumb(r.Context(), id)
	if err != nil {
		return fmt.Errorf("thumbnail of %s: %w", id, err)
	}
	return sendJPEG(w, r, id.String()+"-thumb", jpeg)
}

// sendJPEG writes what tag names for all time.
func sendJPEG(w http.ResponseWriter, r *http.Request, tag string, jpeg []byte) error {
	forever(w, tag)
	w.Header().Set("Content-Type", "image/jpeg")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(jpeg))
	return nil
}

// captions answers GET /images/{id}/captions: the texts of the index that
// describe a picture best.
func (s *Server) captions(w http.ResponseWriter, r *http.Request) error {
	m, err := s.named(r)
	if err != nil {
		return err
	}
	limit, err := readTextLimit(r.URL.Query().Get("limit"))
	if err != nil {
		return err
	}
	results, err := s.captionsOf(r.Context(), m.ID, limit)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, described{Image: m.ID.String(), Results: results})
}
