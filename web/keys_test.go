package web

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
)

const keyFile = `
# who may
phone read  r-secret
desk  write w-secret
`

func withKeys(t *testing.T) func(*Server) {
	keys, err := ReadKeys(strings.NewReader(keyFile))
	if err != nil {
		t.Fatal(err)
	}
	return func(s *Server) { s.Keys, s.Keeper = keys, s.Library.(*fake) }
}

func TestReadKeys(t *testing.T) {
	for _, bad := range []string{"", "# none\n", "phone r-secret", "phone admin r-secret", "phone read two words", strings.Repeat("x", 1<<20)} {
		_, err := ReadKeys(strings.NewReader(bad))
		if err == nil || strings.Contains(err.Error(), "r-secret") {
			t.Errorf("ReadKeys(%.40q) = %v, want an error that does not tell the key", bad, err)
		}
		if len(bad) < 100 && !errors.Is(err, clipsearch.ErrInvalid) {
			t.Errorf("ReadKeys(%q): %v is not ErrInvalid", bad, err)
		}
	}
}

func TestWritingNeedsAKey(t *testing.T) {
	for _, tt := range []struct {
		what, auth string
		status     int
	}{
		{"no key", "", 401},
		{"an unknown key", "Bearer nonsense", 401},
		{"an empty key", "Bearer ", 401},
		{"another scheme", "Digest w-secret", 401},
		{"a reader's key", "Bearer r-secret", 403},
		{"a writer's key", "Bearer w-secret", 0},
		{"a writer's key, in lower case", "bearer w-secret", 0},
	} {
		s := newSite(t, withKeys(t))
		at := "/images/" + s.images[0].ID.String()
		post := s.postForm("/images", []part{image1(33)}, "Authorization", tt.auth)
		del := s.do(http.MethodDelete, at, nil, "Authorization", tt.auth)
		if tt.status != 0 {
			wantProblem(t, "POST with "+tt.what, post, tt.status)
			wantProblem(t, "DELETE with "+tt.what, del, tt.status)
			if len(s.deleted) != 0 || len(s.images) != 5 {
				t.Errorf("%s changes the library", tt.what)
			}
			continue
		}
		if post.Code != http.StatusCreated || post.Header().Get("Location") != "/images/"+clipsearch.NewID(photo(33)).String() {
			t.Errorf("POST with %s: %d %s", tt.what, post.Code, post.Body)
		}
		if del.Code != http.StatusNoContent || len(s.deleted) != 1 || s.deleted[0] != s.images[0].ID {
			t.Errorf("DELETE with %s: %d, deleted %v", tt.what, del.Code, s.deleted)
		}
	}
}

func TestWritingMistakes(t *testing.T) {
	s := newSite(t, withKeys(t))
	auth := []string{"Authorization", "Bearer w-secret"}
	wantProblem(t, "no picture", s.postForm("/images", nil, auth...), 400)
	wantProblem(t, "words", s.postForm("/images", []part{{"image", "x", "text"}}, auth...), 415)
	wantProblem(t, "unknown", s.do("DELETE", "/images/"+strings.Repeat("ab", 16), nil, auth...), 404)
	wantProblem(t, "no ID", s.do("DELETE", "/images/x", nil, auth...), 400)
	wantProblem(t, "another site", s.do("DELETE", "/images/x", nil, append(auth, "Sec-Fetch-Site", "cross-site")...), 403)
	s.Keeper = nil
	wantProblem(t, "read-only", s.postForm("/images", []part{image1(1)}, auth...), 403)
}

func TestReadingWithAKey(t *testing.T) {
	s := newSite(t, withKeys(t), func(s *Server) { s.KeyToRead = true })
	for _, target := range []string{"/", "/search?q=sea", "/images/" + s.images[0].ID.String() + "/thumb", "/ping"} {
		if p := s.get(target); p.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("GET %s says of keys: %v", target, p.Header())
		}
		wantProblem(t, "GET "+target, s.get(target), 401)
		if w := s.get(target, "Authorization", "Bearer r-secret"); w.Code != http.StatusOK {
			t.Errorf("GET %s with a key: %d", target, w.Code)
		}
	}
	w := s.get("/", "Accept", "text/html")
	if w.Code != http.StatusUnauthorized || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic") {
		t.Errorf("a browser is asked for a key by %d %v", w.Code, w.Header())
	}
	if w := s.get("/", "Accept", "text/html", "Authorization", "Basic bWU6ci1zZWNyZXQ="); w.Code != http.StatusOK { // me:r-secret
		t.Errorf("a browser with a key: %d", w.Code)
	}
	for _, open := range []string{"/healthz", "/readyz", assetURLs["site.css"]} {
		if w := s.get(open); w.Code != http.StatusOK {
			t.Errorf("GET %s: %d", open, w.Code)
		}
	}
}
