package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/query"
)

// fake is a library of a few pictures. Its vectors say how bright a picture is
// and how long a text, which is all that the tests need of a model.
type fake struct {
	images  []clipsearch.Image
	vectors map[clipsearch.ID]clipsearch.Vector
	total   int   // hits that Search claims; as many as there are if zero
	err     error // of every call
	asked   []query.Query
	deleted []clipsearch.ID
	mu      sync.Mutex
}

func (f *fake) Image(_ context.Context, id clipsearch.ID) (clipsearch.Image, error) {
	for _, m := range f.images {
		if m.ID == id {
			return m, f.err
		}
	}
	return clipsearch.Image{}, clipsearch.ErrNotFound
}

func (f *fake) Vector(_ context.Context, id clipsearch.ID) (clipsearch.Vector, error) {
	v, ok := f.vectors[id]
	if !ok {
		return nil, clipsearch.ErrNotFound
	}
	return v, f.err
}

func (f *fake) Thumb(ctx context.Context, id clipsearch.ID) ([]byte, error) {
	if _, err := f.Image(ctx, id); err != nil {
		return nil, err
	}
	return append([]byte("\xff\xd8\xff thumbnail of "), id.String()...), nil
}

func (f *fake) Stats(context.Context) (clipsearch.Stats, error) {
	return clipsearch.Stats{Images: len(f.images)}, f.err
}

func (f *fake) Search(_ context.Context, q query.Query) (query.Answer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, q)
	if err := q.Valid(); err != nil {
		return query.Answer{}, err
	}
	if q.Empty() {
		return query.Answer{}, fmt.Errorf("the query is empty: %w", clipsearch.ErrInvalid)
	}
	for _, id := range q.Similar {
		if _, ok := f.vectors[id]; !ok {
			return query.Answer{}, clipsearch.ErrNotFound
		}
	}
	a := query.Answer{Total: len(f.images), Notes: []query.Note{}, Results: []query.Result{}}
	if f.total > 0 {
		a.Total = f.total
	}
	for i := q.Offset; i < min(q.Offset+q.Limit, a.Total); i++ {
		a.Results = append(a.Results, query.Result{Image: f.images[i%len(f.images)], Score: 1 / float64(i+1)})
	}
	return a, f.err
}

func (f *fake) EncodeTexts(_ context.Context, texts []string) ([]clipsearch.Vector, error) {
	vectors := make([]clipsearch.Vector, len(texts))
	for i, t := range texts {
		vectors[i], _ = clipsearch.Unit([]float32{1, float32(len(t))})
	}
	return vectors, f.err
}

func (f *fake) EncodeImage(_ context.Context, file []byte) (clipsearch.Vector, error) {
	if f.err != nil {
		return nil, f.err
	}
	img, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("decode: %w: %w", err, clipsearch.ErrInvalid)
	}
	r, _, _, _ := img.At(0, 0).RGBA()
	return clipsearch.Unit([]float32{1, float32(r)})
}

func (f *fake) NearestCaptions(_ context.Context, _ clipsearch.Vector, k int) ([]clipsearch.TextHit, error) {
	var hits []clipsearch.TextHit
	for i := range min(k, 7) {
		hits = append(hits, clipsearch.TextHit{Text: fmt.Sprint("caption ", i), Score: 0.3 - 0.01*float32(i)})
	}
	return hits, f.err
}

func (f *fake) Add(_ context.Context, name string, file []byte) (clipsearch.ID, error) {
	id := clipsearch.NewID(file)
	f.images = append(f.images, clipsearch.Image{ID: id, Files: []clipsearch.File{{Path: "/added/" + name}}})
	return id, f.err
}

func (f *fake) Delete(_ context.Context, ids []clipsearch.ID) error {
	f.deleted = append(f.deleted, ids...)
	return f.err
}

// photo returns a JPEG of one colour.
func photo(gray uint8) []byte {
	img := image.NewGray(image.Rect(0, 0, 8, 8))
	for i := range img.Pix {
		img.Pix[i] = gray
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// site is a server with five pictures in a folder that it may serve.
type site struct {
	*Server
	*fake
	dir string
	h   http.Handler
}

func newSite(t testing.TB, change ...func(*Server)) site {
	t.Helper()
	dir := t.TempDir()
	f := &fake{vectors: map[clipsearch.ID]clipsearch.Vector{}}
	for i := range 5 {
		file := photo(uint8(40 * i))
		path := filepath.Join(dir, fmt.Sprintf("photo %d.jpg", i))
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		m := clipsearch.Image{
			ID: clipsearch.NewID(file), Files: []clipsearch.File{{Path: path, Size: info.Size(), ModTime: info.ModTime()}},
			Format: "jpeg", Width: 8, Height: 8, Bytes: info.Size(), Captions: []string{fmt.Sprintf("picture %d", i)},
			TakenAt: time.Date(2024, 5, i+1, 0, 0, 0, 0, time.UTC),
		}
		f.images = append(f.images, m)
		f.vectors[m.ID], _ = f.EncodeImage(t.Context(), file)
	}
	s := &Server{Search: f, Library: f, Images: f, Texts: f, Captions: f, Model: func(context.Context) Model { return Model{Name: "fake-1"} }, Roots: roots(dir)}
	for _, c := range change {
		c(s)
	}
	return site{s, f, dir, s.Handler()}
}

// do sends a request; header is name and value in turn.
func (s site) do(method, target string, body io.Reader, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, body)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	return w
}

func (s site) get(target string, header ...string) *httptest.ResponseRecorder {
	return s.do(http.MethodGet, target, nil, header...)
}

func (s site) postJSON(target, body string, header ...string) *httptest.ResponseRecorder {
	return s.do(http.MethodPost, target, strings.NewReader(body), append(header, "Content-Type", "application/json")...)
}

// part is a field of a form; with a file name, a file.
type part struct{ name, file, value string }

func (s site) postForm(target string, parts []part, header ...string) *httptest.ResponseRecorder {
	body, kind := multipartOf(parts)
	return s.do(http.MethodPost, target, body, append(header, "Content-Type", kind)...)
}

func multipartOf(parts []part) (io.Reader, string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		field, err := w.CreateFormField(p.name)
		if p.file != "" {
			field, err = w.CreateFormFile(p.name, p.file)
		}
		if err == nil {
			_, err = field.Write([]byte(p.value))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return &b, w.FormDataContentType()
}

func image1(gray uint8) part { return part{"image", "upload.jpg", string(photo(gray))} }

// read decodes a JSON answer that should be 200 or as said.
func read[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if w.Code != http.StatusOK && w.Code != http.StatusCreated || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("answer is %d %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("answer %s: %v", w.Body, err)
	}
	return v
}

// wantProblem checks an error as RFC 9457 has it.
func wantProblem(t *testing.T, what string, w *httptest.ResponseRecorder, status int) problem {
	t.Helper()
	var p problem
	err := json.Unmarshal(w.Body.Bytes(), &p)
	if w.Code != status || w.Header().Get("Content-Type") != "application/problem+json" || err != nil ||
		p.Status != status || p.Title == "" || p.Detail == "" || p.Type == "" {
		t.Errorf("%s: %d %s %s, want a problem of status %d", what, w.Code, w.Header().Get("Content-Type"), w.Body, status)
	}
	return p
}

var errBroken = errors.New("the disk is broken")

// roots says that originals are served from below dirs.
func roots(dirs ...string) func() []string { return func() []string { return dirs } }
