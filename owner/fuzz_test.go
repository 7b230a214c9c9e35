package owner

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

// FuzzCall sends any bytes to any call. The index behind is absent: a call that
// can be read meets a bug there, which is an answer too.
func FuzzCall(f *testing.F) {
	e := clipsearch.Entry{Image: clipsearch.Image{Files: []clipsearch.File{{Path: "a\xff", ModTime: time.Unix(1, 2)}}}, Vectors: []clipsearch.Vector{{1, 2}}}
	for _, q := range []any{[]clipsearch.Entry{e}, e.Files, e.ID, none{}, nearestQuery{K: 3, Filter: clipsearch.Filter{{Field: "width"}}}, []string{"x"}} {
		data, err := encode(q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("\x9b\xff\xff\xff\xff\xff\xff\xff\xff"))
	s := &service{token: "token"}
	s.gate.idle = make(chan struct{})
	handler := s.routes()
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, m := range routes() {
			pattern, _ := m.handler(s)
			req := httptest.NewRequest(http.MethodPost, strings.TrimPrefix(pattern, "POST "), bytes.NewReader(body))
			req.Header.Set("Authorization", "Bearer token")
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, req)
			kind := w.Header().Get(kindHeader)
			if w.Code != http.StatusInternalServerError || kind != "" && kind != "invalid" && kind != "no-texts" {
				t.Errorf("%s: status %d, kind %q: %s", pattern, w.Code, kind, w.Body)
			}
		}
	})
}

// FuzzEntries reads any batch that can be read once more from what it is written as.
func FuzzEntries(f *testing.F) {
	data, err := encode([]clipsearch.Entry{{Image: clipsearch.Image{Captions: []string{}, TakenAt: time.Unix(5, 6)}, Vectors: []clipsearch.Vector{{1}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		var first, second []clipsearch.Entry
		if decode(data, &first) != nil {
			return
		}
		again, err := encode(first)
		if err != nil {
			t.Fatalf("encode(%+v): %v", first, err)
		}
		if err := decode(again, &second); err != nil {
			t.Fatalf("decode(encode(%+v)): %v", first, err)
		}
		thrice, err := encode(second)
		if err != nil || !bytes.Equal(again, thrice) {
			t.Fatalf("not the same again (%v):\n%s", err, cmp.Diff(first, second))
		}
	})
}

// FuzzGreeting reads any first line of a lifeline, and any owner.json.
func FuzzGreeting(f *testing.F) {
	f.Add([]byte(`{"protocol":1,"proof":"00"}` + "\n"))
	f.Add([]byte(`{"pid":1,"token":"x","network":"unix"}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &client{token: "secret"}
		lines := bufio.NewReader(bytes.NewReader(data))
		if err := c.greeted(&http.Response{StatusCode: http.StatusOK}, lines, dir, "nonce"); err == nil {
			t.Errorf("greeted by %q", data)
		}
		if err := os.WriteFile(filepath.Join(dir, holderName), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if h, err := readHolderFile(dir); err == nil && h.Token == "" {
			t.Errorf("readHolderFile(%q): no token", data)
		}
	})
}

func TestCommandName(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"/usr/bin/clipsearch"}, "clipsearch"},
		{[]string{"clipsearch.exe", "search", "what nobody else should read"}, "clipsearch search"},
		{[]string{"clipsearch", "--index", "x", "search"}, "clipsearch"},
	} {
		if got := commandName(tt.args); got != tt.want {
			t.Errorf("commandName(%q) = %q, want %q", tt.args, got, tt.want)
		}
	}
}

func TestTooLarge(t *testing.T) {
	for n, want := range map[int]bool{0: true, maxBody: true, maxBody + 1: false} {
		if err := fits("put", n); (err == nil) != want {
			t.Errorf("fits(%d) = %v, want %v", n, err, want)
		}
	}
	s := &service{token: "token"}
	req := httptest.NewRequest(http.MethodPost, "/put", nil)
	req.Header.Set("Authorization", "Bearer token")
	req.ContentLength = maxBody + 1
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, req)
	if kind := w.Header().Get(kindHeader); kind != "invalid" {
		t.Errorf("a call of %d bytes: kind %q: %s", req.ContentLength, kind, w.Body)
	}
}
