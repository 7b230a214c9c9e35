package web

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/query"
)

func (s site) page(t *testing.T, target string) string {
	t.Helper()
	w := s.get(target, "Accept", "text/html")
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("GET %s: %d %s", target, w.Code, w.Body)
	}
	return w.Body.String()
}

// inline is what the Content-Security-Policy would not let run.
var inline = regexp.MustCompile(`<script>|<style|\sstyle=|\son\w+=|javascript:`)

func TestPagesNeedNoScript(t *testing.T) {
	s := newSite(t)
	for _, target := range []string{"/", "/search", "/search?q=", "/search?q=sea", "/images/" + s.images[0].ID.String()} {
		body := s.page(t, target)
		for what, want := range map[string]string{
			"search field":  `(?s)<form class="words" action="/search" method="get".*<input id="q" type="search" name="q".*<button type="submit"`,
			"its label":     `<label class="hidden" for="q">`,
			"upload field":  `(?s)<form class="upload" action="/search" method="post" enctype="multipart/form-data">.*<input type="file" name="image".*<button type="submit">`,
			"one heading":   `<h1`,
			"main landmark": `<main>`,
			"language":      `<html lang="en">`,
		} {
			if !regexp.MustCompile(want).MatchString(body) {
				t.Errorf("page %s has no %s", target, what)
			}
		}
		if bad := inline.FindString(body); bad != "" {
			t.Errorf("page %s has %q, which its policy forbids", target, bad)
		}
	}
}

func TestStartPage(t *testing.T) {
	s := newSite(t)
	if body := s.page(t, "/"); !strings.Contains(body, "5 pictures") || !strings.Contains(body, "autofocus") {
		t.Errorf("start page:\n%s", body)
	}
	s.images = nil
	if body := s.page(t, "/"); !strings.Contains(body, "clipsearch ingest") {
		t.Errorf("start page of an empty index:\n%s", body)
	}
	if w := s.get("/", "Accept", "*/*"); !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Errorf("GET / from a program is %s", w.Header().Get("Content-Type"))
	}
	wantProblem(t, "GET / for JSON", s.get("/", "Accept", "application/json"), 400)
}

var imgTag = regexp.MustCompile(`<img [^>]*>`)

func TestResultsPage(t *testing.T) {
	s := newSite(t)
	s.total = 100
	body := s.page(t, "/search?q=sea&offset=48")
	if n := strings.Count(body, `class="shot"`); n != pageLimit {
		t.Errorf("%d pictures, want %d", n, pageLimit)
	}
	for _, img := range imgTag.FindAllString(body, -1) {
		for _, want := range []string{` width="8" height="8"`, ` alt="picture `, ` src="/images/`} {
			if !strings.Contains(img, want) {
				t.Errorf("%s has no %s", img, want)
			}
		}
	}
	for _, want := range []string{
		`<a rel="next" href="/search?offset=96&amp;q=sea"`, `<a rel="prev" href="/search?q=sea"`, `value="sea"`, `role="status"`,
		`href="/search?picture=` + s.images[0].ID.String(), `href="/search?q=sea&amp;sort=date"`, `loading="lazy"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if last := s.page(t, "/search?q=sea&offset=96"); strings.Contains(last, `rel="next"`) {
		t.Error("the last page has a next one")
	}
}

func TestNothingFound(t *testing.T) {
	s := newSite(t)
	s.Server.Search = canned{}
	if body := s.page(t, "/search?q=sea"); !strings.Contains(body, `role="status"`) || !strings.Contains(body, "No picture was found") {
		t.Errorf("nothing found:\n%s", body)
	}
	s.images = nil
	if body := s.page(t, "/search?q=sea"); !strings.Contains(body, "clipsearch ingest") {
		t.Errorf("nothing to find:\n%s", body)
	}
}

// canned gives the same answer to all.
type canned []float64 // relevances

func (c canned) Search(context.Context, query.Query) (query.Answer, error) {
	a := query.Answer{Total: len(c), Notes: []query.Note{{Offset: 3, Text: "<b>colour:</b> is no field"}}, Results: []query.Result{}}
	for i := range c {
		r := query.Result{Relevance: &c[i]}
		r.ID, r.Captions = clipsearch.NewID([]byte{byte(i)}), []string{`<script>alert("` + fmt.Sprint(i) + `")</script>`}
		r.Files = []clipsearch.File{{Path: "/a/\xff'\"<img src=x>.jpg"}}
		a.Results = append(a.Results, r)
	}
	return a, nil
}

func TestRelevanceOnThePage(t *testing.T) {
	const divider, weak = `class="divider"`, "Nothing here matches well"
	for _, tt := range []struct {
		relevances    canned
		target        string
		divider, weak int
	}{
		{canned{.9, .8, .6}, "/search?q=a", 0, 0},
		{canned{.9, .4, .3}, "/search?q=a", 1, 0},
		{canned{.5, .5, .49}, "/search?q=a", 1, 0},
		{canned{.4, .3}, "/search?q=a", 0, 1},
		{canned{.4, .3}, "/search?q=a&offset=1", 0, 0},
		{canned{.4, .9, .3}, "/search?q=a&sort=date", 0, 0},
	} {
		s := newSite(t, func(s *Server) { s.Search = tt.relevances })
		body := s.page(t, tt.target)
		if d, w := strings.Count(body, divider), strings.Count(body, weak); d != tt.divider || w != tt.weak {
			t.Errorf("%s with %v: %d dividers, %d warnings, want %d and %d", tt.target, tt.relevances, d, w, tt.divider, tt.weak)
		}
	}
}

func TestPagesEscape(t *testing.T) {
	s := newSite(t, func(s *Server) { s.Search = canned{1} })
	evil := `"><script>alert(1)</script>`
	s.images[0].Captions = []string{evil, "'" + evil}
	s.images[0].Tags = []string{evil}
	s.images[0].Camera = evil
	s.images[0].Files = append(s.images[0].Files, clipsearch.File{Path: "/x/\xfe" + evil})
	for _, target := range []string{
		"/search?q=" + "%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "/search?q=x&sort=%22%3E%3Cscript%3E&mode=%3Cscript%3E",
		"/images/" + s.images[0].ID.String(), "/%3Cscript%3E", "/search?q=%3Cscript%3E&limit=%3Cscript%3E",
	} {
		w := s.get(target, "Accept", "text/html")
		if body := w.Body.String(); strings.Contains(body, "<script>") || strings.Contains(body, "<b>") || strings.Contains(body, "<img src=x") {
			t.Errorf("page %s (%d) is not escaped:\n%s", target, w.Code, body)
		}
	}
}

func TestImagePage(t *testing.T) {
	s := newSite(t)
	m := s.images[1]
	body := html.UnescapeString(s.page(t, "/images/"+m.ID.String()))
	for _, want := range []string{
		"picture 1", m.Files[0].Path, "2 May 2024", `src="/images/` + m.ID.String() + `/original"`, `srcset=`, "caption 0",
		`href="/search?picture=` + m.ID.String() + `"`, `href="/images/` + s.images[2].ID.String() + `"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(body, `class="shot" href="/images/`+m.ID.String()) {
		t.Error("the picture is among those like it")
	}
	s.Roots, s.Captions = nil, nil
	body = s.page(t, "/images/"+m.ID.String())
	if !strings.Contains(body, `src="/images/`+m.ID.String()+`/thumb"`) || strings.Contains(body, "/original") {
		t.Error("without an original the page does not show the thumbnail instead")
	}
}

func TestAssets(t *testing.T) {
	s := newSite(t)
	for name, kind := range map[string]string{"site.css": "text/css; charset=utf-8", "site.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
		w := s.get(assetURLs[name])
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != kind || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		if again := s.get(assetURLs[name], "If-None-Match", w.Header().Get("ETag")); again.Code != http.StatusNotModified {
			t.Errorf("%s with its own ETag: %d", name, again.Code)
		}
		if !strings.Contains(s.page(t, "/"), assetURLs[name]) {
			t.Errorf("no page uses %s", name)
		}
	}
}
