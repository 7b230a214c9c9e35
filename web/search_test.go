package web

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/query"
)

// answerJSON is what a program reads.
type answerJSON struct {
	Query   string       `json:"query"`
	Total   int          `json:"total"`
	Notes   []query.Note `json:"notes"`
	Results []struct {
		ID   string `json:"id"`
		Path string `json:"path"`
	} `json:"results"`
	Next string `json:"next"`
}

func TestSearchPaging(t *testing.T) {
	s := newSite(t)
	seen, next := 0, "/search?q=sea&limit=2"
	for pages := 0; next != ""; pages++ {
		a := read[answerJSON](t, s.get(next))
		if seen += len(a.Results); pages > 5 {
			t.Fatalf("next never ends: %s", next)
		}
		if a.Total != 5 || a.Query != "sea" {
			t.Errorf("GET %s: total %d, query %q", next, a.Total, a.Query)
		}
		next = a.Next
	}
	if seen != 5 {
		t.Errorf("paging by next gives %d results, want 5", seen)
	}
}

func TestSearchParameters(t *testing.T) {
	s := newSite(t)
	w := s.get("/search?q=sea+-dog&limit=7&offset=3&sort=date&mode=semantic&min_relevance=0.25&after=2024-05&before=2024-06-15&path=C:\\my+%22dir%22&type=jpg&exact=1&utm=x")
	read[answerJSON](t, w)
	want, _, err := query.Parse("sea -dog after:2024-05 before:2024-06-15 type:jpg", query.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want.Filter = append(want.Filter, clipsearch.Predicate{Field: "path", Op: "has", Text: `C:\my "dir"`})
	want.Limit, want.Offset, want.Sort, want.Mode, want.MinRelevance, want.Exact = 7, 3, "date", "semantic", 0.25, true
	if diff := cmp.Diff(want, s.asked[0]); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
}

func TestSearchJSONBody(t *testing.T) {
	s := newSite(t)
	a := read[answerJSON](t, s.postJSON("/search", `{"q":"sea","limit":2,"min_relevance":0.5,"filter":{"path":"a/b","after":"2024"}}`))
	got := s.asked[0]
	if got.Text != "sea" || got.Limit != 2 || got.MinRelevance != 0.5 || len(got.Filter) != 2 {
		t.Errorf("query %+v", got)
	}
	again := read[answerJSON](t, s.get(a.Next)) // the page after it is asked for the same
	want := got
	want.Offset = 2
	if diff := cmp.Diff(want, s.asked[1]); diff != "" || len(again.Results) != 2 {
		t.Errorf("GET %s asks (-want +got):\n%s", a.Next, diff)
	}
}

func TestSearchByPicture(t *testing.T) {
	s := newSite(t)
	file := photo(123)
	vector, err := s.EncodeImage(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(file)
	answers := []answerJSON{
		read[answerJSON](t, s.postForm("/search", []part{image1(123), {"limit", "", "2"}, {"q", "", "at night"}})),
		read[answerJSON](t, s.postJSON("/search", `{"q":"at night","limit":2,"image_base64":"`+text+`"}`)),
		read[answerJSON](t, s.postJSON("/search", `{"q":"at night","limit":2,"image_base64":"data:image/jpeg;base64,`+text+`"}`)),
	}
	for i, a := range answers {
		read[answerJSON](t, s.get(a.Next))
		for n, q := range []query.Query{s.asked[i], s.asked[3+i]} {
			if diff := cmp.Diff(vector, q.Vector); diff != "" || q.Text != "at night" || q.Offset != 2*n || q.Limit != 2 {
				t.Errorf("page %d of answer %d is asked %+v", n, i, q)
			}
		}
	}
}

func TestUploadInBrowser(t *testing.T) {
	s := newSite(t, func(s *Server) {
		s.Preview = func([]byte) ([]byte, error) { return []byte("\xff\xd8\xff preview"), nil }
	})
	w := s.postForm("/search", []part{image1(77), {"q", "", "sea"}}, "Accept", "text/html")
	page := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(page, "/search?") {
		t.Fatalf("POST /search from a browser: %d to %q", w.Code, page)
	}
	id := clipsearch.NewID(photo(77)).String()
	w = s.get(page, "Accept", "text/html")
	if w.Code != http.StatusOK || s.asked[0].Vector == nil || s.asked[0].Text != "sea" {
		t.Errorf("GET %s: %d, asked %+v", page, w.Code, s.asked)
	}
	for _, want := range []string{`src="/uploads/` + id + `"`, `name="picture" value="` + id + `"`, `value="sea"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("GET %s has no %s", page, want)
		}
	}
	if w := s.get("/uploads/" + id); w.Code != http.StatusOK || w.Header().Get("Content-Type") != "image/jpeg" {
		t.Errorf("preview: %d %s", w.Code, w.Body)
	}
}

func TestSimilarToIndexed(t *testing.T) {
	s := newSite(t)
	id := s.images[2].ID.String()
	read[answerJSON](t, s.get("/search?picture="+id))
	if got := s.asked[0].Similar; len(got) != 1 || got[0] != s.images[2].ID {
		t.Errorf("picture= asks for %v", got)
	}
	a := read[answerJSON](t, s.get("/images/"+id+"/similar?limit=2"))
	if len(a.Results) != 2 || a.Next != "/images/"+id+"/similar?limit=2&offset=2" {
		t.Errorf("similar: %+v", a)
	}
	if !cmp.Equal(s.asked[1].Vector, s.vectors[s.images[2].ID]) {
		t.Errorf("similar asks %+v", s.asked[1])
	}
}

func TestSearchMistakes(t *testing.T) {
	s := newSite(t)
	unknown := strings.Repeat("ab", 16)
	for target, status := range map[string]int{
		"/search?q=":                             400,
		"/search":                                400,
		"/search?q=+++":                          400,
		"/search?q=after:soon":                   400,
		"/search?q=%22open&strict=true":          400,
		"/search?q=sea&strict=perhaps":           400,
		"/search?q=sea&limit=-1":                 400,
		"/search?q=sea&limit=0":                  400,
		"/search?q=sea&limit=many":               400,
		"/search?q=sea&limit=1001":               400,
		"/search?q=sea&limit=99999999999999999":  400,
		"/search?q=sea&offset=-1":                400,
		"/search?q=sea&offset=x":                 400,
		"/search?q=sea&min_relevance=7":          400,
		"/search?q=sea&min_relevance=NaN":        400,
		"/search?q=sea&min_relevance=x":          400,
		"/search?q=sea&sort=size":                400,
		"/search?q=sea&mode=magic":               400,
		"/search?q=sea&format=xml":               400,
		"/search?q=sea&after=soon":               400,
		"/search?q=sea&after=2024+or":            400,
		"/search?q=sea&type=%22":                 400,
		"/search?q=sea&exact=2":                  400,
		"/search?q=%ff%fe":                       400,
		"/search?q=sea%":                         400,
		"/search?q=sea;limit=3":                  400,
		"/search?q=" + strings.Repeat("a", 5000): 400,
		"/search?picture=xyz":                    400,
		"/search?picture=" + unknown:             404,
		"/images/" + unknown + "/similar":        404,
		"/images/nonsense/similar":               400,
	} {
		wantProblem(t, "GET "+target, s.get(target, "Accept", "application/json"), status)
		if w := s.get(target, "Accept", "text/html"); strings.HasPrefix(target, "/search?q=sea&limit=") && w.Code != status {
			t.Errorf("page %s: %d, want %d", target, w.Code, status)
		}
	}
	if p := wantProblem(t, "offset", s.get("/search?q=sea+after:soon"), 400); p.Offset == nil || *p.Offset != 4 {
		t.Errorf("problem of a syntax error has offset %v, want 4", p.Offset)
	}
}

func TestSearchBodyMistakes(t *testing.T) {
	s := newSite(t, func(s *Server) { s.MaxUpload = 10_000 })
	words := base64.StdEncoding.EncodeToString([]byte("these are words, no picture"))
	broken := base64.StdEncoding.EncodeToString([]byte("\xff\xd8\xff\xe0 and nothing more"))
	for body, status := range map[string]int{
		`{"q": `:                                 400,
		``:                                       400,
		`[]`:                                     400,
		`{"q":"sea"} {}`:                         400,
		`{"q":7}`:                                400,
		`{"q":"sea","limit":1.5}`:                400,
		`{"q":"sea","limit":"many"}`:             400,
		`{"q":"sea","colour":"red"}`:             400,
		`{"q":"sea","filter":{"x":""}}`:          400,
		`{"q":"sea","filter":"x"}`:               400,
		`{"q":"after:soon"}`:                     400,
		"{\"q\":\"\xff\"}":                       400,
		`{}`:                                     400,
		`{"image_url":"http://localhost/x.jpg"}`: 400,
		`{"image_base64":"%%%"}`:                 400,
		`{"image_base64":"data:image/jpeg,xx"}`:  400,
		`{"image_base64":"` + words + `"}`:       415,
		`{"image_base64":"` + broken + `"}`:      422,
		`{"image_base64":"` + strings.Repeat("AAAA", 5000) + `"}`: 413,
		`{"q":"` + strings.Repeat("a", 2<<20) + `"}`:              413,
	} {
		wantProblem(t, fmt.Sprintf("POST %.60s", body), s.postJSON("/search", body), status)
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", ";;;"} {
		wantProblem(t, "POST as "+kind, s.do("POST", "/search", strings.NewReader("q=sea"), "Content-Type", kind), 415)
	}
}

func TestFormMistakes(t *testing.T) {
	s := newSite(t, func(s *Server) { s.MaxUpload = 10_000 })
	form := func(parts ...part) int { return s.postForm("/search", parts).Code }
	for _, tt := range []struct {
		what string
		got  int
		want int
	}{
		{"nothing", form(), 400},
		{"no file chosen, no words", form(part{"image", "x.jpg", ""}, part{"q", "", ""}), 400},
		{"no file chosen, words", form(part{"image", "x.jpg", ""}, part{"q", "", "sea"}), 200},
		{"two pictures", form(image1(1), image1(2)), 400},
		{"words for a picture", form(part{"image", "x.txt", "no picture at all"}), 415},
		{"half a picture", form(part{"image", "x.jpg", string(photo(1)[:100])}), 422},
		{"a large picture", form(part{"image", "x.jpg", string(photo(1)) + strings.Repeat("x", 20_000)}), 413},
		{"a huge picture", form(part{"image", "x.jpg", string(photo(1)) + strings.Repeat("x", 200_000)}), 413},
		{"words that are not UTF-8", form(part{"q", "", "\xff"}), 400},
		{"a bad limit", form(image1(1), part{"limit", "", "x"}), 400},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, tt.got, tt.want)
		}
	}
	for body, kind := range map[string]string{
		"":                "multipart/form-data; boundary=B",
		"--B\r\nContent-": "multipart/form-data; boundary=B",
		"--B\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\n\r\n\xff\xd8": "multipart/form-data; boundary=B",
		"--B--": "multipart/form-data",
	} {
		wantProblem(t, fmt.Sprintf("form %.30q", body), s.do("POST", "/search", strings.NewReader(body), "Content-Type", kind), 400)
	}
}

func TestNextKeepsWhatIsAsked(t *testing.T) {
	s := newSite(t)
	a := read[answerJSON](t, s.get("/search?format=json&limit=2&q=a%26b%3Dc&sort=date&junk=1", "Accept", "text/html"))
	next, err := url.Parse(a.Next)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{"format": {"json"}, "limit": {"2"}, "q": {"a&b=c"}, "sort": {"date"}, "offset": {"2"}}
	if diff := cmp.Diff(want, next.Query()); diff != "" || next.Path != "/search" {
		t.Errorf("next %s (-want +got):\n%s", a.Next, diff)
	}
}
