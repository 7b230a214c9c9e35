package web

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clipsearch/clipsearch"
)

func TestImage(t *testing.T) {
	s := newSite(t)
	m := s.images[1]
	w := s.get("/images/" + m.ID.String())
	got := read[imageJSON](t, w)
	want := imageJSON{
		ID: m.ID, Path: m.Files[0].Path, Paths: m.Paths(), Format: "jpeg", Width: 8, Height: 8, Bytes: m.Bytes,
		TakenAt: &m.TakenAt, Caption: "picture 1", Captions: []string{"picture 1"}, Tags: []string{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("GET /images/{id} (-want +got):\n%s", diff)
	}
	if again := s.get("/images/"+m.ID.String(), "If-None-Match", w.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("its own ETag: %d %s", again.Code, again.Body)
	}
	s.images[1].TakenAt = time.Date(12024, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := read[imageJSON](t, s.get("/images/"+m.ID.String())); got.TakenAt != nil {
		t.Errorf("a date that JSON cannot have is %v", got.TakenAt)
	}
}

func TestBytesAreCachedForever(t *testing.T) {
	s := newSite(t)
	at := "/images/" + s.images[0].ID.String()
	for _, target := range []string{at + "/thumb", at + "/thumb?size=256", at + "/original"} {
		w := s.get(target)
		h := w.Header()
		if w.Code != http.StatusOK || h.Get("Content-Type") != "image/jpeg" || h.Get("ETag") == "" ||
			h.Get("Cache-Control") != "private, max-age=31536000, immutable" {
			t.Errorf("GET %s: %d %v", target, w.Code, h)
		}
		if again := s.get(target, "If-None-Match", h.Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("GET %s with its own ETag: %d", target, again.Code)
		}
		if head := s.do(http.MethodHead, target, nil); head.Code != http.StatusOK || head.Body.Len() > 0 {
			t.Errorf("HEAD %s: %d, %d bytes", target, head.Code, head.Body.Len())
		}
		if part := s.get(target, "Range", "bytes=0-3"); part.Code != http.StatusPartialContent || part.Body.Len() != 4 {
			t.Errorf("GET %s, 4 bytes of it: %d, %d bytes", target, part.Code, part.Body.Len())
		}
	}
	if got := s.get(at + "/original").Body.String(); got != string(photo(0)) {
		t.Errorf("original has %d bytes, not those of the file", len(got))
	}
}

func TestImageMistakes(t *testing.T) {
	s := newSite(t)
	at, unknown := "/images/"+s.images[0].ID.String(), "/images/"+strings.Repeat("ab", 16)
	for target, status := range map[string]int{
		unknown:                                      404,
		unknown + "/thumb":                           404,
		unknown + "/original":                        404,
		unknown + "/captions":                        404,
		"/uploads/" + unknown[8:]:                    404,
		"/images/nonsense":                           400,
		"/images/%00/original":                       400,
		at + "/thumb?size=15":                        400,
		at + "/thumb?size=2049":                      400,
		at + "/thumb?size=big":                       400,
		at + "/captions?limit=0":                     400,
		at + "/captions?limit=-1":                    400,
		at + "/captions?limit=x":                     400,
		at + "/captions?limit=99999":                 400,
		at + "/no":                                   404,
		"/no/such/route":                             404,
		"/images/../../../etc/passwd/original":       404,
		"/images/..%2f..%2fetc%2fpasswd/original":    400,
		"/images//etc/passwd/original":               404,
		"/images/%2fetc%2fpasswd/original":           400,
		"/static/../../go.mod":                       404,
		"/static/..%2f..%2fgo.mod":                   404,
		"/static/%2e%2e/%2e%2e/go.mod":               404,
		"/static/..%5c..%5cgo.mod":                   404,
		"/static/":                                   404,
		"/static/site.css":                           404,
		"/images/" + s.images[0].ID.String() + "/..": 404,
	} {
		wantProblem(t, "GET "+target, s.get(target), status)
	}
}

func TestOriginalStaysInside(t *testing.T) {
	s := newSite(t)
	outside := filepath.Join(t.TempDir(), "secret.jpg")
	file := photo(200)
	if err := os.WriteFile(outside, file, 0o600); err != nil {
		t.Fatal(err)
	}
	original := func(paths ...string) int {
		m := clipsearch.Image{ID: clipsearch.NewID(file), Format: "jpeg"}
		for _, p := range paths {
			m.Files = append(m.Files, clipsearch.File{Path: p, Size: int64(len(file))})
		}
		s.images[0] = m
		return s.get("/images/" + m.ID.String() + "/original").Code
	}
	inside := filepath.Join(s.dir, "inside.jpg")
	if err := os.WriteFile(inside, file, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(s.dir, "link.jpg")
	if err := os.Symlink(outside, link); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	other := t.TempDir() // another way into the folder
	if err := os.Symlink(s.dir, filepath.Join(other, "way")); err != nil {
		t.Fatal(err)
	}
	s.Roots = roots(append([]string{filepath.Join(other, "no such folder")}, s.Roots()...)...)
	for _, tt := range []struct {
		what  string
		paths []string
		want  int
	}{
		{"a file inside", []string{inside}, 200},
		{"a file outside", []string{outside}, 404},
		{"dots that lead outside", []string{s.dir + "/../" + filepath.Base(filepath.Dir(outside)) + "/secret.jpg"}, 404},
		{"a link to outside", []string{link}, 404},
		{"a way in from outside", []string{filepath.Join(other, "way", "inside.jpg")}, 200},
		{"outside and inside", []string{outside, inside}, 200},
		{"gone and inside", []string{filepath.Join(s.dir, "gone.jpg"), inside}, 200},
		{"gone", []string{filepath.Join(s.dir, "gone.jpg")}, 404},
		{"the folder", []string{s.dir}, 404},
		{"a member of an archive", []string{inside + "!/a.jpg"}, 404},
		{"no path at all", nil, 404},
	} {
		if got := original(tt.paths...); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, got, tt.want)
		}
	}
	s.Roots = roots(inside)
	if got := original(inside); got != http.StatusOK {
		t.Errorf("a root that is the file itself: %d", got)
	}
	s.Roots = nil
	if got := original(inside); got != http.StatusNotFound {
		t.Errorf("without roots: %d", got)
	}
}

func TestOriginalIsWhatItsIDNames(t *testing.T) {
	s := newSite(t)
	m := s.images[0]
	path, at := m.Files[0].Path, "/images/"+m.ID.String()+"/original"
	later := m.Files[0].ModTime.Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	if w := s.get(at); w.Code != http.StatusOK || w.Body.String() != string(photo(0)) {
		t.Errorf("touched since: %d", w.Code)
	}
	changed := photo(0)
	changed[len(changed)-3] ^= 1 // of the same size
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	if p := wantProblem(t, "changed since", s.get(at), 404); !strings.Contains(p.Detail, "changed") {
		t.Errorf("changed since: %s", p.Detail)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if p := wantProblem(t, "gone", s.get(at), 404); !strings.Contains(p.Detail, "prune") {
		t.Errorf("gone: %s", p.Detail)
	}
}

func TestOriginalWaitsForNoPipe(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs a device that never ends")
	}
	s := newSite(t)
	s.Roots = roots("/dev")
	s.images[0].Files = []clipsearch.File{{Path: "/dev/zero"}}
	wantProblem(t, "a device", s.get("/images/"+s.images[0].ID.String()+"/original"), 404)
}

func TestCaptions(t *testing.T) {
	s := newSite(t)
	at := "/images/" + s.images[0].ID.String() + "/captions"
	got := read[described](t, s.get(at+"?limit=3"))
	if len(got.Results) != 3 || got.Results[0].Text != "caption 0" || got.Results[0].Score <= got.Results[1].Score {
		t.Errorf("captions: %+v", got)
	}
	if got := read[described](t, s.get(at)); len(got.Results) != 7 {
		t.Errorf("captions without a limit: %d", len(got.Results))
	}
	s.Captions = nil
	wantProblem(t, "without captions", s.get(at), 501)
}
