package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// How long a client may take. Originals have longer; see original.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = time.Minute
	answerTimeout = 2 * time.Minute
	idleTimeout   = 2 * time.Minute
	lastCall      = 10 * time.Second // for what is in flight at the end
)

// Serve answers requests at l until ctx ends, then finishes what is in flight.
// It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := s.httpServer(l.Addr())
	failed := make(chan error, 1)
	go func() {
		if s.TLS != nil {
			failed <- srv.ServeTLS(l, "", "")
			return
		}
		failed <- srv.Serve(l)
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve at %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCall)
	defer cancel()
	err := srv.Shutdown(end)
	if err != nil {
		_ = srv.Close() // what is still in flight is broken off
		err = fmt.Errorf("end the server: requests still in flight after %v: %w", lastCall, err)
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func (s *Server) httpServer(addr net.Addr) *http.Server {
	h := s.Handler()
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		h = s.localNames(h)
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		TLSConfig:         s.TLS,
		ErrorLog:          slog.NewLogLogger(s.logger().Handler(), slog.LevelWarn),
	}
}

func healthz(w http.ResponseWriter, _ *http.Request) error {
	return sendJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz answers 200 as long as searches are answered. Its status is "read-only"
// while nothing can be written, with the reason.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	if err := s.ready(); err != nil {
		return err
	}
	if err := s.writable(r.Context()); err != nil {
		return sendJSON(w, http.StatusOK, map[string]string{"status": "read-only", "detail": detail(err)})
	}
	return sendJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}
