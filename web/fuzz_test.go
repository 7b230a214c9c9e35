package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// answers checks that whatever is sent is the client's mistake at worst.
func answers(t *testing.T, s site, r *http.Request) {
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	if w.Code >= 500 {
		t.Errorf("%s %s: %d %s", r.Method, r.URL, w.Code, w.Body)
	}
}

func FuzzSearchURL(f *testing.F) {
	for _, q := range []string{"q=sea&limit=3", "q=after:soon", "q=%ff", "q=a;b", "picture=00", "q=a&sort=date&offset=7", "q=-&min_relevance=NaN", "type=jpeg&after=2024", "q=%22open&strict=1&format=html"} {
		f.Add(q)
	}
	s := newSite(f)
	f.Fuzz(func(t *testing.T, q string) {
		for _, accept := range []string{"application/json", "text/html"} {
			r := httptest.NewRequest(http.MethodGet, "/search", nil)
			r.URL.RawQuery = q
			r.Header.Set("Accept", accept)
			answers(t, s, r)
		}
	})
}

func FuzzBody(f *testing.F) {
	kinds := []string{"application/json", "multipart/form-data; boundary=B"}
	paths := []string{"/search", "/describe", "/v1/embeddings", "/predict"}
	for _, body := range []string{
		`{"q":"sea","limit":3,"filter":{"type":"jpeg"}}`, `{"image_base64":"/9j/"}`, `{"input":["a",{"image":"/9j/4A=="}]}`, `{"input":{"text":"a"}}`,
		"--B\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n\xff\xd8\xff\xe0\r\n--B\r\nContent-Disposition: form-data; name=\"labels\"\r\n\r\na\nb\r\n--B--\r\n",
		"--B\r\nContent-Disposition: form-data; name=\"entries\"\r\n\r\n{\"clip\":{\"textual\":{}}}\r\n--B\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\na\r\n--B--\r\n",
	} {
		for i := range paths {
			f.Add(i, body)
		}
	}
	s := newSite(f)
	f.Fuzz(func(t *testing.T, n int, body string) {
		for _, kind := range kinds {
			r := httptest.NewRequest(http.MethodPost, paths[uint(n)%uint(len(paths))], strings.NewReader(body))
			r.Header.Set("Content-Type", kind)
			answers(t, s, r)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, p := range []string{"/images/..%2f..", "//", "/images/%00/thumb", "/static/%2e%2e", "/images/00/similar"} {
		f.Add(p)
	}
	s := newSite(f)
	f.Fuzz(func(t *testing.T, path string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path, r.URL.RawPath = path, ""
		answers(t, s, r)
	})
}
