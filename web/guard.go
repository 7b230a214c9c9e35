package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5/middleware"
)

// policy keeps whatever a page holds from loading anything but our own files,
// and pages elsewhere from framing it.
const policy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("X-Request-Id", middleware.GetReqID(r.Context()))
		next.ServeHTTP(w, r)
	})
}

func compress() func(http.Handler) http.Handler {
	return middleware.Compress(5, "text/html", "text/css", "text/javascript", "image/svg+xml", "application/json", "application/problem+json")
}

// log tells of every request once it is answered. The query is left out: what
// people look for is theirs.
func (s *Server) log(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, ww := time.Now(), middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() {
			s.logger().InfoContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path,
				"status", ww.Status(), "bytes", ww.BytesWritten(), "ms", time.Since(start).Milliseconds(),
				"remote", r.RemoteAddr, "request", middleware.GetReqID(r.Context()))
		}()
		next.ServeHTTP(ww, r)
	})
}

// recoverer makes an answer of a panic, and keeps the server alive.
func (s *Server) recoverer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serve(func(w http.ResponseWriter, r *http.Request) (err error) {
			defer func() {
				v := recover()
				if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
					panic(v)
				}
				if v != nil {
					err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
				}
			}()
			next.ServeHTTP(w, r)
			return nil
		})(w, r)
	})
}

// sameOrigin refuses what another site makes a browser send here.
func (s *Server) sameOrigin(next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(s.serve(func(http.ResponseWriter, *http.Request) error {
		return fail(http.StatusForbidden, "a page of another site sent this request: open this server's own page")
	}))
	return guard.Handler(next)
}

// localNames refuses requests for names that are none of ours. A page elsewhere
// can let its own name lead to this machine, and would then be of our origin
// (DNS rebinding). Only a server on loopback is open to that.
func (s *Server) localNames(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host = strings.ToLower(strings.Trim(host, "[]"))
		ip := net.ParseIP(host)
		if host != "localhost" && (ip == nil || !ip.IsLoopback()) && !slices.Contains(s.Hosts, host) {
			s.serve(func(http.ResponseWriter, *http.Request) error {
				return fail(http.StatusForbidden, "this server is not called %q: ask for localhost", host)
			})(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) whenReady(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.ready(); err != nil {
			s.serve(func(http.ResponseWriter, *http.Request) error { return err })(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// writable returns why the library cannot be changed now.
func (s *Server) writable(ctx context.Context) error {
	if s.Keeper == nil {
		return fail(http.StatusForbidden, "this server is read-only")
	}
	if s.Writable == nil {
		return nil
	}
	return s.Writable(ctx)
}

func (s *Server) ready() error {
	if s.Ready != nil {
		if err := s.Ready(); err != nil {
			return &failure{http.StatusServiceUnavailable, err}
		}
	}
	return nil
}

// limit answers 429 where too many requests are at work already.
func (s *Server) limit(next http.Handler) http.Handler {
	most := s.InFlight
	if most <= 0 {
		most = 64
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.busy.enter(most) {
			s.serve(func(http.ResponseWriter, *http.Request) error {
				return fail(http.StatusTooManyRequests, "%d requests are at work already: try again in a second", most)
			})(w, r)
			return
		}
		defer s.busy.leave()
		next.ServeHTTP(w, r)
	})
}

// gate counts who is inside. Its zero value is open.
type gate struct{ inside atomic.Int64 }

func (g *gate) enter(most int) bool {
	if g.inside.Add(1) > int64(most) {
		g.inside.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave() { g.inside.Add(-1) }

// turnstile lets a few in at once and the others wait.
type turnstile struct {
	once  sync.Once
	slots chan struct{}
}

// enter waits for one of n places, or for done; n counts at the first call.
func (t *turnstile) enter(done <-chan struct{}, n int) bool {
	t.once.Do(func() {
		if n <= 0 {
			n = runtime.GOMAXPROCS(0)
		}
		t.slots = make(chan struct{}, n)
	})
	select {
	case t.slots <- struct{}{}:
		return true
	case <-done:
		return false
	}
}

func (t *turnstile) leave() { <-t.slots }
