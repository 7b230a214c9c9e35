package web

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// Key lets its holder in. What is kept of it is its digest.
type Key struct {
	Name  string
	Write bool // it may change the library, besides reading
	sum   [sha256.Size]byte
}

// Keys are those that a server knows.
type Keys []Key

// ReadKeys reads keys, one a line: NAME read|write KEY. Empty lines and those
// that begin with # are passed over.
func ReadKeys(r io.Reader) (Keys, error) {
	var keys Keys
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		f := strings.Fields(lines.Text())
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) != 3 || f[1] != "read" && f[1] != "write" { // the line is not shown: it may be a key
			return nil, fmt.Errorf("line %d of the keys is not NAME read|write KEY: %w", n, clipsearch.ErrInvalid)
		}
		keys = append(keys, Key{Name: f[0], Write: f[1] == "write", sum: sha256.Sum256([]byte(f[2]))})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("there is no key among the keys: write a line NAME read|write KEY: %w", clipsearch.ErrInvalid)
	}
	return keys, nil
}

// find returns the key that a secret is. It takes the same time for every secret.
func (ks Keys) find(secret string) (found Key, ok bool) {
	sum := sha256.Sum256([]byte(secret))
	for _, k := range ks {
		if subtle.ConstantTimeCompare(k.sum[:], sum[:]) == 1 {
			found, ok = k, true
		}
	}
	return found, ok
}

// keyOf returns the key that came with r: as a bearer's token, or as the
// password that a browser asks for.
func (s *Server) keyOf(r *http.Request) (Key, error) {
	secret, ok := "", false
	if kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(kind, "Bearer") {
		secret, ok = strings.TrimSpace(token), true
	} else if _, password, basic := r.BasicAuth(); basic {
		secret, ok = password, true
	}
	if !ok {
		return Key{}, fail(http.StatusUnauthorized, "%s %s needs a key: send Authorization: Bearer KEY", r.Method, r.URL.Path)
	}
	key, ok := s.Keys.find(secret)
	if !ok {
		return Key{}, fail(http.StatusUnauthorized, "the key is none that this server knows")
	}
	return key, nil
}

// reader lets through whoever may read.
func (s *Server) reader(next http.Handler) http.Handler {
	if !s.KeyToRead {
		return next
	}
	return s.admit(next, func(Key) error { return nil }, func(context.Context) error { return nil })
}

// writer lets through whoever may change the library, while it can be changed.
func (s *Server) writer(next http.Handler) http.Handler {
	return s.admit(next, func(k Key) error {
		if !k.Write {
			return fail(http.StatusForbidden, "the key %s may read, not write", k.Name)
		}
		return nil
	}, s.writable)
}

func (s *Server) admit(next http.Handler, may func(Key) error, can func(context.Context) error) http.Handler {
	return s.serve(func(w http.ResponseWriter, r *http.Request) error {
		key, err := s.keyOf(r)
		if err == nil {
			err = may(key)
		}
		if err == nil {
			err = can(r.Context())
		}
		if err != nil {
			return err
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

// postImage adds a picture: POST /images.
func (s *Server) postImage(w http.ResponseWriter, r *http.Request) error {
	form, err := s.readForm(w, r)
	if err != nil {
		return err
	}
	if err := form.needsPicture(); err != nil {
		return err
	}
	id, err := s.Keeper.Add(r.Context(), form.name, form.image)
	if err != nil {
		return undecodable(err)
	}
	m, err := s.Library.Image(r.Context(), id)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/images/"+id.String())
	return sendJSON(w, http.StatusCreated, describeImage(m))
}

// deleteImage forgets a picture: DELETE /images/{id}.
func (s *Server) deleteImage(w http.ResponseWriter, r *http.Request) error {
	m, err := s.named(r)
	if err != nil {
		return err
	}
	ctx := context.WithoutCancel(r.Context()) // all or nothing, whoever goes away
	if err := s.Keeper.Delete(ctx, []clipsearch.ID{m.ID}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
