package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"strings"

	"github.com/clipsearch/clipsearch"
)

const (
	maxField  = 1 << 20 // bytes of a form's text field
	maxFields = 4096
)

// form is a multipart body: a picture and texts.
type form struct {
	image  []byte // of the field "image"; nil if there is none
	name   string // of its file, without folders
	fields map[string][]string
}

func (f form) first(field string) string {
	if v := f.fields[field]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// needsPicture returns what is wrong with f's picture, if anything.
func (f form) needsPicture() error {
	if len(f.image) == 0 {
		return invalid("there is no picture: send one in the field image")
	}
	return checkPicture(f.image)
}

// contentType returns the media type of r's body.
func contentType(r *http.Request) string {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind
}

// readForm reads a multipart body into memory, which bounds it.
func (s *Server) readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	if contentType(r) != "multipart/form-data" {
		return form{}, fail(http.StatusUnsupportedMediaType, "send multipart/form-data, with the picture in the field image")
	}
	const overhead = 64 << 10 // what a form has around a picture
	r.Body = http.MaxBytesReader(w, r.Body, s.maxUpload()+overhead)
	parts, err := r.MultipartReader()
	if err != nil {
		return form{}, invalid("read the form: %v", err)
	}
	f := form{fields: map[string][]string{}}
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		if err == io.EOF {
			return f, nil
		}
		if err != nil {
			return f, badBody("form", err)
		}
		if n == maxFields {
			return f, invalid("the form has more than %d fields", maxFields)
		}
		if err := f.take(part, s.maxUpload()); err != nil {
			return f, err
		}
	}
}

// take reads one part of a form.
func (f *form) take(part *multipart.Part, most int64) error {
	name := part.FormName()
	if name != "image" {
		most = maxField
	}
	body, err := io.ReadAll(io.LimitReader(part, most+1))
	if err != nil {
		return badBody("form", err)
	}
	if int64(len(body)) > most {
		return &http.MaxBytesError{Limit: most}
	}
	if name != "image" {
		f.fields[name] = append(f.fields[name], string(body))
		return nil
	}
	if len(body) == 0 {
		return nil // the field of a form in which no file was chosen
	}
	if f.image != nil {
		return invalid("the form has two pictures: send one")
	}
	f.image, f.name = body, path.Base(strings.ReplaceAll(part.FileName(), `\`, "/"))
	return nil
}

// badBody tells a body that is too large, or that the server failed to wait for,
// from one that is wrong.
func badBody(what string, err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return invalid("read the %s: %v", what, err)
}

// signatures are how the files begin that hold pictures.
var signatures = [...]string{"\xff\xd8\xff", "\x89PNG\r\n\x1a\n", "GIF87a", "GIF89a", "BM", "II*\x00", "MM\x00*"}

// checkPicture returns an error unless file is of a kind that can be searched by.
func checkPicture(file []byte) error {
	for _, s := range signatures {
		if strings.HasPrefix(string(file[:min(len(file), 16)]), s) {
			return nil
		}
	}
	if len(file) >= 12 && bytes.HasPrefix(file, []byte("RIFF")) && string(file[8:12]) == "WEBP" {
		return nil
	}
	return fail(http.StatusUnsupportedMediaType, "the upload is no picture: JPEG, PNG, GIF, WebP, BMP and TIFF are")
}

// encodeImage returns the vector of an uploaded picture.
func (s *Server) encodeImage(ctx context.Context, file []byte) (clipsearch.Vector, error) {
	if s.Images == nil {
		return nil, fail(http.StatusNotImplemented, "this server has no model for pictures")
	}
	if err := checkPicture(file); err != nil {
		return nil, err
	}
	if !s.decoding.enter(ctx.Done(), s.Decoding) {
		return nil, ctx.Err()
	}
	defer s.decoding.leave()
	v, err := s.Images.EncodeImage(ctx, file)
	return v, undecodable(err)
}

// undecodable makes 422 of what is wrong with a picture.
func undecodable(err error) error {
	if errors.Is(err, clipsearch.ErrInvalid) {
		return &failure{http.StatusUnprocessableEntity, err}
	}
	return err
}

// encodeTexts returns the vectors of texts.
func (s *Server) encodeTexts(ctx context.Context, texts []string) ([]clipsearch.Vector, error) {
	if s.Texts == nil {
		return nil, fail(http.StatusNotImplemented, "this server has no model for texts")
	}
	return s.Texts.EncodeTexts(ctx, texts)
}

// fromBase64 reads a picture as JSON carries it: base64, or a data URL of it.
func (s *Server) fromBase64(text string) ([]byte, error) {
	if rest, ok := strings.CutPrefix(text, "data:"); ok {
		kind, data, ok := strings.Cut(rest, ",")
		if !ok || !strings.HasSuffix(strings.ToLower(kind), ";base64") {
			return nil, invalid("the picture's data URL is not data:image/…;base64,…")
		}
		text = data
	}
	file, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		file, err = base64.RawStdEncoding.DecodeString(text)
	}
	if err != nil {
		return nil, invalid("the picture is not in base64: %v", err)
	}
	if int64(len(file)) > s.maxUpload() {
		return nil, &http.MaxBytesError{Limit: s.maxUpload()}
	}
	if len(file) == 0 {
		return nil, invalid("the picture is empty")
	}
	return file, nil
}
