package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/query"
)

func TestErrorsBecomeStatuses(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
	}{
		{fmt.Errorf("x: %w", clipsearch.ErrInvalid), 400},
		{fmt.Errorf("x: %w", clipsearch.ErrNotFound), 404},
		{fmt.Errorf("x: %w", clipsearch.ErrNoSpace), 503},
		{fmt.Errorf("x: %w", clipsearch.ErrReadOnly), 403},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), 503},
		{errBroken, 500},
	} {
		var log bytes.Buffer
		s := newSite(t, func(s *Server) { s.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		s.err = tt.err
		for _, w := range []string{"/search?q=sea", "/images/" + s.images[0].ID.String(), "/images/" + s.images[0].ID.String() + "/thumb"} {
			p := wantProblem(t, fmt.Sprintf("GET %s with %v", w, tt.err), s.get(w), tt.status)
			if strings.Contains(p.Detail, "disk") {
				t.Errorf("the client is told %q", p.Detail)
			}
		}
		if logged := strings.Contains(log.String(), "the disk is broken"); logged != (tt.status == 500) {
			t.Errorf("%v: logged %t:\n%s", tt.err, logged, log.String())
		}
		if w := s.get("/search?q=sea"); (w.Header().Get("Retry-After") != "") != (tt.status == 503) {
			t.Errorf("%v: Retry-After %q", tt.err, w.Header().Get("Retry-After"))
		}
	}
}

func TestErrorPages(t *testing.T) {
	s := newSite(t)
	for target, status := range map[string]int{"/no/such": 404, "/search?q=after:soon": 400, "/images/x": 400} {
		w := s.get(target, "Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
		if w.Code != status || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") || !strings.Contains(w.Body.String(), `role="alert"`) {
			t.Errorf("page %s: %d %s, want %d and an error page", target, w.Code, w.Header().Get("Content-Type"), status)
		}
	}
}

func TestMethods(t *testing.T) {
	s := newSite(t)
	for target, allow := range map[string]string{
		"/search":                            "GET, HEAD, POST",
		"/describe":                          "POST",
		"/images/" + s.images[0].ID.String(): "GET, HEAD, DELETE",
	} {
		w := s.do(http.MethodPatch, target, nil)
		wantProblem(t, "PATCH "+target, w, 405)
		if got := w.Header().Get("Allow"); got != allow {
			t.Errorf("PATCH %s: Allow %q, want %q", target, got, allow)
		}
	}
	wantProblem(t, "GET /describe", s.get("/describe"), 405)
	wantProblem(t, "BREW /search", s.do("BREW", "/search", nil), 405)
	wantProblem(t, "PATCH /no", s.do("PATCH", "/no", nil), 404)
}

func TestHeadersOfEverything(t *testing.T) {
	s := newSite(t)
	for _, target := range []string{"/", "/search?q=sea", "/no", "/healthz", assetURLs["site.js"], "/images/" + s.images[0].ID.String() + "/thumb"} {
		h := s.get(target).Header()
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'self'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") == "" || h.Get("X-Request-Id") == "" {
			t.Errorf("GET %s: headers %v", target, h)
		}
	}
	if vary := strings.Join(s.get("/search?q=sea").Header().Values("Vary"), " "); !strings.Contains(vary, "Accept") {
		t.Errorf("search varies by %q", vary)
	}
}

func TestCompression(t *testing.T) {
	s := newSite(t)
	w := s.get("/search?q=sea", "Accept-Encoding", "gzip")
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil || !strings.Contains(string(body), "picture 1") {
		t.Errorf("gzip: %s, %v", body, err)
	}
	if w := s.get("/images/"+s.images[0].ID.String()+"/thumb", "Accept-Encoding", "gzip"); w.Header().Get("Content-Encoding") != "" {
		t.Error("a JPEG is compressed again")
	}
}

func TestReady(t *testing.T) {
	opening := errors.New("the index is being opened")
	s := newSite(t)
	if w := s.get("/readyz"); w.Code != http.StatusOK {
		t.Errorf("ready: %d", w.Code)
	}
	s.Ready = func() error { return opening }
	for _, target := range []string{"/readyz", "/search?q=sea", "/"} {
		if p := wantProblem(t, "GET "+target, s.get(target), 503); p.Detail != opening.Error() {
			t.Errorf("GET %s: %s", target, p.Detail)
		}
	}
	if w := s.get("/healthz"); w.Code != http.StatusOK {
		t.Errorf("healthz while opening: %d", w.Code)
	}
}

// TestFullDisk fills the disk of a server: it says so and goes on answering, writes
// are refused before they begin, and it is itself again when there is room.
func TestFullDisk(t *testing.T) {
	full := fmt.Errorf("3 MB free on /index, 64 MB needed: %w", clipsearch.ErrNoSpace)
	var why error
	s := newSite(t, withKeys(t), func(s *Server) { s.Writable = func(context.Context) error { return why } })
	auth := []string{"Authorization", "Bearer w-secret"}
	for _, why = range []error{nil, full, nil} {
		want, status := `{"status":"ready"}`, http.StatusCreated
		if why != nil {
			want, status = `{"detail":"3 MB free on /index, 64 MB needed","status":"read-only"}`, http.StatusServiceUnavailable
		}
		if w := s.get("/readyz"); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("GET /readyz with %v: %d %s, want 200 %s", why, w.Code, w.Body, want)
		}
		if w := s.get("/search?q=sea"); w.Code != http.StatusOK {
			t.Errorf("GET /search with %v: %d", why, w.Code)
		}
		before := len(s.images)
		w := s.postForm("/images", []part{image1(33)}, auth...)
		if w.Code != status || (len(s.images) > before) != (why == nil) {
			t.Errorf("POST /images with %v: %d %s, %d pictures of %d before", why, w.Code, w.Body, len(s.images), before)
		}
		if why != nil {
			wantProblem(t, "DELETE of a picture on a full disk", s.do("DELETE", "/images/"+s.images[0].ID.String(), nil, auth...), 503)
		}
	}
}

// slow holds every search until it is let go.
type slow struct{ entered, leave chan struct{} }

func (s slow) Search(context.Context, query.Query) (query.Answer, error) {
	s.entered <- struct{}{}
	<-s.leave
	return query.Answer{Notes: []query.Note{}, Results: []query.Result{}}, nil
}

func TestTooManyAtOnce(t *testing.T) {
	wait := slow{make(chan struct{}), make(chan struct{})}
	s := newSite(t, func(s *Server) { s.Search, s.InFlight = wait, 2 })
	done := make(chan int)
	for range 2 {
		go func() { done <- s.get("/search?q=sea").Code }()
		<-wait.entered
	}
	w := s.get("/search?q=sea")
	wantProblem(t, "the third", w, 429)
	if w.Header().Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	if w := s.get("/images/" + s.images[0].ID.String()); w.Code != http.StatusOK {
		t.Errorf("what needs no model: %d", w.Code)
	}
	close(wait.leave)
	for range 2 {
		if code := <-done; code != http.StatusOK {
			t.Errorf("one of the first two: %d", code)
		}
	}
	go func() { <-wait.entered }()
	if w := s.get("/search?q=sea"); w.Code != http.StatusOK {
		t.Errorf("afterwards: %d", w.Code)
	}
}

type panicking struct{}

func (panicking) Search(context.Context, query.Query) (query.Answer, error) { panic("a bug") }

func TestPanicIsOneAnswer(t *testing.T) {
	var log bytes.Buffer
	s := newSite(t, func(s *Server) { s.Search, s.Log = panicking{}, slog.New(slog.NewTextHandler(&log, nil)) })
	wantProblem(t, "panic", s.get("/search?q=sea"), 500)
	if !strings.Contains(log.String(), "a bug") || !strings.Contains(log.String(), "server_test.go") {
		t.Errorf("the log does not say where:\n%s", log.String())
	}
}

func TestLog(t *testing.T) {
	var log bytes.Buffer
	s := newSite(t, func(s *Server) { s.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	w := s.get("/search?q=private+matter")
	for _, want := range []string{"path=/search", "status=200", "request=" + w.Header().Get("X-Request-Id")} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %s:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "private") {
		t.Errorf("the log tells what was looked for:\n%s", log.String())
	}
}

func TestOtherSites(t *testing.T) {
	s := newSite(t)
	wantProblem(t, "a form elsewhere", s.postForm("/search", []part{image1(1)}, "Sec-Fetch-Site", "cross-site"), 403)
	wantProblem(t, "an old browser", s.postForm("/search", []part{image1(1)}, "Origin", "https://elsewhere.example"), 403)
	if w := s.postForm("/search", []part{image1(1)}, "Sec-Fetch-Site", "same-origin"); w.Code != http.StatusOK {
		t.Errorf("our own page: %d", w.Code)
	}
}

// listening runs s and returns its address and what ends it.
func listening(t *testing.T, s *Server) (addr string, end func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	return l.Addr().String(), func() error { cancel(); return <-done }
}

func TestHostOfLoopback(t *testing.T) {
	s := newSite(t, func(s *Server) { s.Hosts = []string{"photos.lan"} })
	addr, end := listening(t, s.Server)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	for host, status := range map[string]int{
		addr: 200, "localhost:" + port: 200, "LOCALHOST": 200, "[::1]:" + port: 200, "127.0.0.1": 200, "photos.lan": 200, "photos.lan:80": 200,
		"evil.example": 403, "evil.example:" + port: 403, "localhost.evil.example": 403, "10.0.0.1": 403, "127.0.0.1.evil.example": 403,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("Host %s: %d, want %d", host, resp.StatusCode, status)
		}
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestServeFinishesWhatIsInFlight(t *testing.T) {
	wait := slow{make(chan struct{}), make(chan struct{})}
	s := newSite(t, func(s *Server) { s.Search = wait })
	addr, end := listening(t, s.Server)
	got := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + addr + "/search?q=sea")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				err = errors.New(resp.Status)
			}
		}
		got <- err
	}()
	<-wait.entered
	time.AfterFunc(50*time.Millisecond, func() { close(wait.leave) })
	if err := end(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := <-got; err != nil {
		t.Errorf("what was in flight: %v", err)
	}
}
