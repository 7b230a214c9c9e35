package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/query"
)

// failure is an error of which the handler knows more than its kind.
type failure struct {
	status int
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(status int, format string, args ...any) error {
	return &failure{status, fmt.Errorf(format, args...)}
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, clipsearch.ErrInvalid)...)
}

// serve adapts a handler that returns an error. It is the only place where an
// error becomes a status code, and the only place where one is logged.
func (s *Server) serve(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil || errors.Is(r.Context().Err(), context.Canceled) {
			return // answered, or nobody is there to read it
		}
		status := statusOf(err)
		p := problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail(err)}
		if syntax, ok := errors.AsType[*query.SyntaxError](err); ok {
			p.Offset = &syntax.Offset
		}
		if status == http.StatusInternalServerError {
			id := middleware.GetReqID(r.Context())
			s.logger().ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "request", id, "err", err)
			p.Detail = "something went wrong here; the server's log has it as request " + id
		}
		s.refuse(w, r, p)
	}
}

// statusOf is the table of kinds of errors.
func statusOf(err error) int {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.status
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	switch {
	case errors.Is(err, clipsearch.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, clipsearch.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, clipsearch.ErrReadOnly):
		return http.StatusForbidden
	case errors.Is(err, clipsearch.ErrNoSpace), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// detail is err for a person who need not know the name of its kind.
func detail(err error) string {
	if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fmt.Sprintf("the request is larger than %d bytes, which is as much as this server takes", big.Limit)
	}
	text := err.Error()
	for _, kind := range []error{clipsearch.ErrInvalid, clipsearch.ErrNotFound, clipsearch.ErrNoSpace, clipsearch.ErrReadOnly} {
		text = strings.TrimSuffix(text, ": "+kind.Error())
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// problem is an error as RFC 9457 writes it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Offset *int   `json:"offset,omitempty"` // in bytes, of what is wrong with a query
}

// refuse writes p, as a page where the client asks for one.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, p problem) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="clipsearch"`)
		if wantsHTML(r) {
			h.Set("WWW-Authenticate", `Basic realm="clipsearch: any name, the key as password"`)
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	if wantsHTML(r) {
		if page, err := render("error.html", errorPage{frame: frame{Words: r.URL.Query().Get("q")}, problem: p}); err == nil {
			send(w, p.Status, "text/html; charset=utf-8", page)
			return
		}
	}
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // of strings and numbers
	}
	send(w, p.Status, "application/problem+json", body)
}

func noRoute(_ http.ResponseWriter, r *http.Request) error {
	return fail(http.StatusNotFound, "there is nothing at %s", r.URL.Path)
}

// wrongMethod tells which methods a path has.
func wrongMethod(routes chi.Routes) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		var allowed []string
		for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			if routes.Match(chi.NewRouteContext(), m, r.URL.EscapedPath()) {
				allowed = append(allowed, m)
				if m == http.MethodGet {
					allowed = append(allowed, http.MethodHead)
				}
			}
		}
		if len(allowed) == 0 { // a method that nothing has
			return noRoute(w, r)
		}
		list := strings.Join(allowed, ", ")
		w.Header().Set("Allow", list)
		return fail(http.StatusMethodNotAllowed, "%s is not among the methods of %s: %s", r.Method, r.URL.Path, list)
	}
}
