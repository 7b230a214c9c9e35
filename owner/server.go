package owner

import (
	"context"
	"crypto/hmac"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/clipsearch/clipsearch"
)

// service serves an index to the clients of its owner.
type service struct {
	source  source
	token   string
	version string
	gate    gate
	left    chan struct{}           // closed when every call begun has been answered
	cut     context.CancelCauseFunc // ends the calls that do not end by themselves
	http    *http.Server
	served  chan struct{} // closed when http has returned
}

// serve begins to answer on l, until stop.
func serve(l net.Listener, src source, token, version string) *service {
	base, cut := context.WithCancelCause(context.Background())
	s := &service{source: src, token: token, version: version, left: make(chan struct{}), cut: cut, served: make(chan struct{})}
	s.gate.idle = make(chan struct{})
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          log.New(io.Discard, "", 0), // broken connections: the other end knows
	}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(l) // always an error: stop closes l
	}()
	return s
}

func (s *service) routes() http.Handler {
	calls := http.NewServeMux()
	for _, m := range routes() {
		calls.HandleFunc(m.handler(s))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+lifePath, s.life)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+s.token)) != 1 {
			http.Error(w, "the token of owner.json is missing or another", http.StatusForbidden)
			return
		}
		calls.ServeHTTP(w, r)
	})
	return mux
}

// life answers who this is and holds the connection until this owner has left.
func (s *service) life(w http.ResponseWriter, r *http.Request) {
	nonce := r.Header.Get(nonceHeader)
	if !hmac.Equal([]byte(r.Header.Get(proofHeader)), []byte(proof(s.token, "client", nonce))) {
		http.Error(w, "the token of owner.json is missing or another", http.StatusForbidden)
		return
	}
	if s.gate.isClosed() {
		answer(w, nil, errLeft)
		return
	}
	line, _ := json.Marshal(hello{Protocol: protocol, Version: s.version, Proof: proof(s.token, "owner", nonce)})
	_, _ = w.Write(append(line, '\n'))
	_ = http.NewResponseController(w).Flush()
	select {
	case <-s.left:
		_, _ = io.WriteString(w, leftLine)
	case <-r.Context().Done():
	}
}

// handler answers the calls of m. A call counts as begun when it has been read.
func (m method[Q, A]) handler(s *service) (string, http.HandlerFunc) {
	return "POST /" + m.name, func(w http.ResponseWriter, r *http.Request) {
		q, err := m.read(w, r)
		if err != nil {
			answer(w, nil, err)
			return
		}
		if !s.gate.enter() {
			answer(w, nil, errLeft)
			return
		}
		defer s.gate.exit()
		ctx := r.Context()
		if space, err := clipsearch.ParseSpace(r.Header.Get(spaceHeader)); err == nil {
			ctx = clipsearch.InSpace(ctx, space)
		}
		a, err := m.guarded(ctx, s.source, q)
		if err != nil && errors.Is(context.Cause(r.Context()), errLeft) {
			err = errLeft // cut short by stop, not by the client
		}
		var body []byte
		if err == nil {
			if body, err = encode(a); err != nil {
				err = fmt.Errorf("send the answer of %s: %w", m.name, err)
			}
		}
		answer(w, body, err)
	}
}

func (m method[Q, A]) read(w http.ResponseWriter, r *http.Request) (Q, error) {
	var q Q
	if err := fits(m.name, int(r.ContentLength)); err != nil {
		return q, err
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return q, fmt.Errorf("read a call of %s: %w: %w", m.name, err, clipsearch.ErrInvalid)
	}
	if err := decode(data, &q); err != nil {
		return q, fmt.Errorf("read a call of %s: %w", m.name, err)
	}
	return q, nil
}

// guarded turns a panic into an error: a bug that one client meets should not
// take the index from all the others.
func (m method[Q, A]) guarded(ctx context.Context, src source, q Q) (a A, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: the owner of the index met a bug: %v", m.name, r)
		}
	}()
	return m.call(src, ctx, q)
}

// answer sends body, or err. When it returns, the system has all of it.
func answer(w http.ResponseWriter, body []byte, err error) {
	status := http.StatusOK
	if err != nil {
		body = []byte(err.Error())
		w.Header().Set(kindHeader, kindsOf(err))
		status = http.StatusInternalServerError
		if errors.Is(err, errLeft) {
			status = http.StatusServiceUnavailable
		}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone needs no answer
	_ = http.NewResponseController(w).Flush()
}

// stop refuses new calls, waits for those begun and tells every client that this
// owner leaves. What has not ended after grace is cancelled, and after another
// its connections are closed, which ends the writing to a client that does not
// read. An error says that a call did not end even then: the index must stay open.
func (s *service) stop(grace time.Duration) error {
	idle := s.gate.close()
	defer func() {
		s.cut(errLeft)
		_ = s.http.Close()
		<-s.served
	}()
	if !within(idle, grace) {
		s.cut(errLeft)
		if !within(idle, grace) {
			_ = s.http.Close() // to the clients a crash: what they asked may have been done
			if !within(idle, grace) {
				return fmt.Errorf("calls did not end in %s", 3*grace)
			}
			return nil
		}
	}
	close(s.left)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.http.Shutdown(ctx) // whoever is slow to read that we left finds out by our absence
	return nil
}

func within(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// gate counts the calls that are inside, and lets none in once it is closed.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	idle   chan struct{} // closed when the gate is closed and nobody inside
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) exit() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.idle)
	}
}

// close is called once.
func (g *gate) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if g.inside == 0 {
		close(g.idle)
	}
	return g.idle
}

func (g *gate) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}
