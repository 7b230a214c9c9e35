package web

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/clipsearch/clipsearch"
)

// ping answers GET /ping, by which Immich finds out whether we live.
func ping(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	send(w, http.StatusOK, "text/plain; charset=utf-8", []byte("pong"))
	return nil
}

// predict answers POST /predict, Immich's machine learning, for its task clip:
// the field entries says {"clip": {"textual" or "visual": {…}}}, and text or
// image is what to encode. Whatever model is named there, the loaded one
// answers.
func (s *Server) predict(w http.ResponseWriter, r *http.Request) error {
	f, err := s.readForm(w, r)
	if err != nil {
		return err
	}
	v, err := pinned(r.Context(), s, func(ctx context.Context) (clipsearch.Vector, error) { return s.predictClip(ctx, f) })
	if err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, map[string]string{"clip": string(text)})
}

func (s *Server) predictClip(ctx context.Context, f form) (clipsearch.Vector, error) {
	var entries map[string]map[string]struct{}
	if err := json.Unmarshal([]byte(f.first("entries")), &entries); err != nil {
		return nil, invalid("read the field entries: %v", err)
	}
	clip := entries["clip"]
	if len(entries) != 1 || len(clip) != 1 {
		return nil, invalid(`entries must be {"clip": {"textual": {…}}} or {"clip": {"visual": {…}}}: there is no other task here`)
	}
	if _, visual := clip["visual"]; visual {
		if err := f.needsPicture(); err != nil {
			return nil, err
		}
		return s.encodeImage(ctx, f.image)
	}
	if _, textual := clip["textual"]; !textual {
		return nil, invalid("clip is neither textual nor visual")
	}
	texts := []string{f.first("text")}
	if err := checkTexts(texts); err != nil {
		return nil, err
	}
	v, err := s.encodeTexts(ctx, texts)
	if err != nil {
		return nil, err
	}
	return v[0], nil
}
