package hub

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/clipsearch/clipsearch"
)

// TestToken follows the token: to the endpoint, by relative redirects too, and to
// nobody else, be it another port of the same host.
func TestToken(t *testing.T) {
	f := newFake(t)
	var mirrored, told atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mirrored.Add(1)
		if r.Header.Get("Authorization") != "" {
			told.Add(1)
		}
		f.serveHub(w, r)
	}))
	defer other.Close()
	f.hubDay = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/config.json") && r.Header.Get("Authorization") != "" { // to a mirror, which leads back
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
			return true
		}
		return false
	}
	h := f.client()
	mustPull(t, h)
	f.mustStand(h, "config.json", "tokenizer.json")
	if mirrored.Load() == 0 || told.Load() != 0 {
		t.Errorf("the mirror was asked %d times, %d of them with the token", mirrored.Load(), told.Load())
	}
	if !slices.Contains(f.seen().hubTokens, "Bearer "+testToken) {
		t.Errorf("the hub was told %q, want the token", f.seen().hubTokens)
	}
	for _, header := range f.seen().cdnHeaders {
		if header.Get("Authorization") != "" || strings.Contains(header.Get("User-Agent"), testToken) {
			t.Errorf("the CDN was told %v", header)
		}
	}
	for _, tt := range []struct {
		address string
		want    bool
	}{
		{"https://hub.org/x", true}, {"https://HUB.org:443/x", true}, {"http://hub.org/x", false}, {"https://hub.org:444/x", false},
		{"https://cdn.hub.org/x", false}, {"https://hub.org.evil.com/x", false}, {"https://hub.org@evil.com/x", false},
	} {
		u, err := url.Parse(tt.address)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&Hub{Endpoint: "https://hub.org"}).trusts(u); got != tt.want {
			t.Errorf("the token goes to %s: %t, want %t", tt.address, got, tt.want)
		}
	}
}

// TestRefusals asks for what the hub does not give: once, with what to do next, and
// never with the token in the message.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name, code, message string
		status              int
		token               string
		says                string
		mistake             bool
	}{
		{name: "no repository", code: "RepoNotFound", status: 404, says: "does not exist at", mistake: true},
		{name: "no repository, anonymous", code: "RepoNotFound", status: 401, says: "does not exist at", mistake: true},
		{name: "no revision", code: "RevisionNotFound", status: 404, says: "has no revision main", mistake: true},
		{name: "no file", code: "EntryNotFound", status: 404, says: "does not exist at"},
		{name: "gated, anonymous", code: "GatedRepo", status: 401, says: "then set HF_TOKEN to a token of yours"},
		{name: "gated, not yet granted", code: "GatedRepo", status: 403, token: testToken, says: "with the account whose token HF_TOKEN holds"},
		{name: "wrong token", status: 401, message: "Invalid credentials in Authorization header", token: testToken, says: "does not accept the token"},
		{name: "forbidden", status: 403, token: testToken, says: "forbids access"},
		{name: "disabled", status: 403, message: "Access to this resource is disabled.", says: "is disabled"},
		{name: "no hub", status: 404, says: "does not exist at", mistake: true},
		{name: "strange", status: 418, message: "tea\x1b[31m", says: `418 I'm a teapot ("tea\x1b[31m"): is HF_ENDPOINT a hub?`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.hubDay = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
				if tt.code != "" {
					w.Header().Set("X-Error-Code", tt.code)
				}
				w.Header()["X-Error-Message"] = []string{tt.message}
				w.WriteHeader(tt.status)
				return true
			}
			h := f.client()
			h.Token = tt.token
			err := h.refusalOf(tt.status, tt.code, tt.message)
			if tt.name != "strange" { // no server can send such a header
				_, err = pull(t, h)
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), testToken) {
				t.Errorf("Pull = %v, want %q", err, tt.says)
			}
			if errors.Is(err, clipsearch.ErrInvalid) != tt.mistake {
				t.Errorf("%v: a mistake of the caller: %t, want %t", err, !tt.mistake, tt.mistake)
			}
			if len(f.seen().asked) > 1 {
				t.Errorf("it was asked %d times", len(f.seen().asked))
			}
			mustNotStand(t, h)
		})
	}
}

// refusalOf is the error of an answer.
func (h *Hub) refusalOf(status int, code, message string) error {
	u, _ := url.Parse(h.endpoint() + "/org/clip")
	return h.refusal(Repo{Name: "org/clip"}, "x", &http.Response{
		StatusCode: status, Header: http.Header{"X-Error-Code": {code}, "X-Error-Message": {message}}, Request: &http.Request{URL: u},
	})
}

// TestMisdirected redirects where no redirect may lead.
func TestMisdirected(t *testing.T) {
	from, _ := url.Parse("https://hub.org/a/b?token=x")
	for to, want := range map[string]string{
		"/c": "https://hub.org/c", "c": "https://hub.org/a/c", "//cdn.org/c": "https://cdn.org/c", "https://cdn.org/c?s=1": "https://cdn.org/c?s=1",
		"http://hub.org/c": "", "file:///etc/passwd": "", "ftp://hub.org/c": "", "https://": "", ":": "",
	} {
		got, err := redirected(from, to)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("redirected(%q) = %q, %v, want %q", to, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "token=x") {
			t.Errorf("%v tells the query", err)
		}
	}
}

// TestSettings refuses settings that cannot be.
func TestSettings(t *testing.T) {
	for _, h := range []*Hub{
		{Endpoint: "hub.org"}, {Endpoint: "ftp://hub.org"}, {Endpoint: "https://"}, {Endpoint: "https://me:pw@hub.org"}, {Endpoint: "https://hub.org?x=1"},
		{Token: "hf_\nHost: evil"}, {Token: "hf_ü"}, {Offline: true},
	} {
		if _, err := h.Pull(t.Context(), Repo{Name: "org/clip"}, Order{}); !errors.Is(err, clipsearch.ErrInvalid) || strings.Contains(err.Error(), "pw@hub") && h.Token != "" {
			t.Errorf("Pull with %+v = %v, want ErrInvalid", h, err)
		}
	}
}

// TestHostileListing pulls from hubs that list what cannot be.
func TestHostileListing(t *testing.T) {
	sibling := func(change map[string]any) func(map[string]any) {
		return func(a map[string]any) {
			s := map[string]any{"rfilename": "config.json", "size": 3, "blobId": strings.Repeat("a", 40)}
			for k, v := range change {
				s[k] = v
			}
			a["siblings"] = append(a["siblings"].([]any), s)
		}
	}
	for _, tt := range []struct {
		name     string
		describe func(map[string]any)
		says     string
	}{
		{"up and out", sibling(map[string]any{"rfilename": "../../../../etc/cron.d/x"}), "cannot be one below a folder"},
		{"out within", sibling(map[string]any{"rfilename": "onnx/../../x.onnx"}), "cannot be one below a folder"},
		{"absolute", sibling(map[string]any{"rfilename": "/etc/passwd"}), "cannot be one below a folder"},
		{"backslashes", sibling(map[string]any{"rfilename": `..\..\x`}), "cannot be one below a folder"},
		{"control", sibling(map[string]any{"rfilename": "a\x00b"}), "cannot be one below a folder"},
		{"nameless", sibling(map[string]any{"rfilename": ""}), "cannot be one below a folder"},
		{"twice", sibling(nil), "twice"},
		{"negative", sibling(map[string]any{"rfilename": "vocab.json", "size": -5}), "cannot be"},
		{"huge", sibling(map[string]any{"rfilename": "vocab.json", "size": int64(1) << 60}), "cannot be"},
		{"digest", sibling(map[string]any{"rfilename": "vocab.json", "blobId": "../../../x"}), "git blob"},
		{"lfs digest", sibling(map[string]any{"rfilename": "vocab.json", "lfs": map[string]any{"sha256": "../x", "size": 3}}), "SHA-256"},
		{"commit", func(a map[string]any) { a["sha"] = "../../x" }, "names no commit"},
		{"no commit", func(a map[string]any) { delete(a, "sha") }, "names no commit"},
		{"types", func(a map[string]any) { a["siblings"] = "many" }, "no list of files"},
		{"nothing", func(a map[string]any) { a["siblings"] = nil }, "holds no model (there are no files)"},
		{"a language model", func(a map[string]any) { a["config"] = map[string]any{"model_type": "llama"} }, `of the type "llama"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.describe = tt.describe
			h := f.client()
			if _, err := pull(t, h); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Pull = %v, want %q", err, tt.says)
			}
			if names := filesBelow(t, filepath.Dir(h.Cache)); len(names) > 0 {
				t.Errorf("there are %q", names)
			}
		})
	}
}

// TestHugeListing answers without an end: the pull ends by itself.
func TestHugeListing(t *testing.T) {
	f := newFake(t)
	f.hubDay = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		for chunk, sent := []byte(strings.Repeat(" ", 1<<20)), 0; sent < 1<<30; sent += len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				break
			}
		}
		return true
	}
	if _, err := pull(t, f.client()); err == nil || !strings.Contains(err.Error(), "is larger than 32 MB") {
		t.Errorf("Pull = %v, want that it is too large", err)
	}
}

// TestMoved pulls a repository that has another name by now.
func TestMoved(t *testing.T) {
	f := newFake(t)
	f.hubDay = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if old, ok := strings.CutPrefix(r.URL.Path, "/api/models/old/name/"); ok {
			http.Redirect(w, r, "/api/models/org/clip/"+old+"?"+r.URL.RawQuery, http.StatusTemporaryRedirect)
			return true
		}
		if old, ok := strings.CutPrefix(r.URL.Path, "/old/name/"); ok {
			http.Redirect(w, r, "/org/clip/"+old, http.StatusTemporaryRedirect)
			return true
		}
		return false
	}
	h := f.client()
	p, err := h.Pull(t.Context(), Repo{Name: "old/name"}, Order{})
	if err != nil || filepath.Base(filepath.Dir(filepath.Dir(p.Dir))) != "models--old--name" {
		t.Errorf("Pull = %+v, %v", p, err)
	}
}

// TestAgree is asked with the licence before anything is loaded.
func TestAgree(t *testing.T) {
	f := newFake(t)
	f.describe = func(a map[string]any) {
		a["cardData"] = map[string]any{"license": "other", "license_name": "apple-amlr"}
	}
	no := errors.New("no")
	_, err := f.client().Pull(t.Context(), Repo{Name: "org/clip"}, Order{Agree: func(l Listing, c Choice) error {
		if l.Licence != "apple-amlr" || c.Layout != "transformers" {
			t.Errorf("Agree(%q, %q)", l.Licence, c.Layout)
		}
		return no
	}})
	if !errors.Is(err, no) || len(f.seen().asked) != 1 || len(f.seen().fetched) != 0 {
		t.Errorf("Pull = %v after %q and %q", err, f.seen().asked, f.seen().fetched)
	}
}

func TestLicences(t *testing.T) {
	for answer, want := range map[string]string{
		`{"cardData":{"license":"mit"}}`:                                          "mit",
		`{"cardData":{"license":["mit","apache-2.0"]}}`:                           "mit, apache-2.0",
		`{"cardData":{"license":"other","license_name":"apple-amlr"}}`:            "apple-amlr",
		`{"cardData":null,"tags":["clip","license:cc-by-nc-4.0"]}`:                "cc-by-nc-4.0",
		`{"cardData":"none","tags":7}`:                                            "",
		`{"cardData":{"license":{"id":"mit"}}}`:                                   "",
		`{"cardData":{"license":"` + strings.Repeat("m", 300) + `\u001b[31m\n"}}`: strings.Repeat("m", 100),
	} {
		var a modelAnswer
		if err := json.Unmarshal([]byte(answer), &a); err != nil {
			t.Fatal(err)
		}
		if got := a.licence(); got != want {
			t.Errorf("licence of %.80s = %q, want %q", answer, got, want)
		}
	}
	for card, want := range map[string]string{
		"---\nlicense: mit\ntags: [clip]\n---\n# Card\nlicense: gpl\n": "mit",
		"\ufeff---\r\nlicense: \"cc-by-nc-4.0\"\r\n---\r\n":            "cc-by-nc-4.0",
		"---\nlicense: other\nlicense_name: apple-ascl\n---\n":         "apple-ascl",
		"# Card\nlicense: mit\n":                                       "",
		"---\nlicense: mit\n":                                          "",
	} {
		if got := cardLicence(card); got != want {
			t.Errorf("cardLicence(%q) = %q, want %q", card, got, want)
		}
	}
	for licence, want := range map[string]bool{
		"mit": false, "apache-2.0": false, "cc-by-4.0": false, "CC-BY-NC-4.0": true, "cc-by-nc-sa-4.0": true, "apple-amlr": true, "": false, "openrail": false,
	} {
		if got := NonCommercial(licence); got != want {
			t.Errorf("NonCommercial(%q) = %t, want %t", licence, got, want)
		}
	}
}
