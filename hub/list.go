package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// Listing is what the hub says of a repository at a commit.
type Listing struct {
	Commit    string
	Licence   string // as the hub writes it: "mit", "cc-by-nc-4.0"; "" if it says nothing
	ModelType string // of config.json: "clip", "siglip"; "" if there is none
	Files     []File
}

// File is a file of a repository, with the digest that its bytes must have: SHA256,
// or else Git, the SHA-1 of git's blob. Both are empty where the listing has neither.
type File struct {
	Name   string
	Bytes  int64 // -1: not told
	SHA256 string
	Git    string
}

// etag names the file's bytes, in the cache too.
func (f File) etag() string {
	if f.SHA256 != "" {
		return f.SHA256
	}
	return f.Git
}

var (
	hexSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`)
	hexSHA1   = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// List asks the hub what a repository holds.
func (h *Hub) List(ctx context.Context, r Repo) (Listing, error) {
	if err := h.check(); err != nil {
		return Listing{}, err
	}
	if h.Offline {
		return Listing{}, fmt.Errorf("%s: HF_HUB_OFFLINE is set, so the hub is not asked: unset it, or take what is installed: %w", r, clipsearch.ErrInvalid)
	}
	address := fmt.Sprintf("%s/api/models/%s/revision/%s?blobs=true", h.endpoint(), r.Name, url.PathEscape(r.rev()))
	var data []byte
	err := h.again(ctx, func(ctx context.Context) (bool, error) {
		a, err := h.request(ctx, http.MethodGet, address, http.Header{"Accept": {"application/json"}})
		if err != nil {
			return false, err
		}
		defer a.stop()
		if a.StatusCode != http.StatusOK {
			return false, h.refusal(r, "the list of files", a.Response)
		}
		data, err = io.ReadAll(io.LimitReader(a.Body, maxAnswer+1))
		return false, err
	})
	if err != nil {
		return Listing{}, err
	}
	if len(data) > maxAnswer {
		return Listing{}, fmt.Errorf("the list of files of %s is larger than %d MB: it is none of a model", r, maxAnswer>>20)
	}
	l, err := parseListing(data)
	if err != nil {
		return Listing{}, fmt.Errorf("the list of files of %s at %s: %w", r, h.endpoint(), err)
	}
	return l, nil
}

// modelAnswer is the part of the hub's answer that matters. What only describes is
// read leniently: a licence may be a list, a card may be anything.
type modelAnswer struct {
	SHA      string          `json:"sha"`
	Card     json.RawMessage `json:"cardData"`
	Config   json.RawMessage `json:"config"`
	Tags     json.RawMessage `json:"tags"`
	Siblings []struct {
		Name string `json:"rfilename"`
		Size *int64 `json:"size"`
		Blob string `json:"blobId"`
		LFS  *struct {
			SHA256 string `json:"sha256"`
			OID    string `json:"oid"`
			Size   int64  `json:"size"`
		} `json:"lfs"`
	} `json:"siblings"`
}

// parseListing reads the answer of the hub, and refuses one that no hub gives.
func parseListing(data []byte) (Listing, error) {
	var a modelAnswer
	if err := json.Unmarshal(data, &a); err != nil {
		return Listing{}, fmt.Errorf("the answer is no list of files (%.100v): is HF_ENDPOINT a hub?", err)
	}
	if !commitID.MatchString(a.SHA) {
		return Listing{}, fmt.Errorf("the answer names no commit (%.60q): is HF_ENDPOINT a hub?", a.SHA)
	}
	l := Listing{Commit: a.SHA, Licence: a.licence(), ModelType: a.modelType()}
	seen := map[string]bool{}
	for _, s := range a.Siblings {
		f := File{Name: s.Name, Bytes: -1}
		if s.Size != nil {
			f.Bytes = *s.Size
		}
		if s.LFS != nil {
			f.SHA256, f.Bytes = strings.ToLower(s.LFS.SHA256), s.LFS.Size
			if f.SHA256 == "" {
				f.SHA256 = strings.TrimPrefix(strings.ToLower(s.LFS.OID), "sha256:")
			}
		} else {
			f.Git = strings.ToLower(s.Blob)
		}
		if err := f.valid(); err != nil {
			return Listing{}, err
		}
		if !validPath(f.Name) {
			continue // "a:b": no name on every system, and none that a model needs
		}
		if seen[f.Name] {
			return Listing{}, fmt.Errorf("it has %.100q twice", f.Name)
		}
		seen[f.Name] = true
		l.Files = append(l.Files, f)
	}
	return l, nil
}

func (f File) valid() error {
	switch {
	case escapes(f.Name):
		return fmt.Errorf("it has a file %.100q, which cannot be one below a folder: nothing is taken from there", f.Name)
	case f.Bytes < -1 || f.Bytes > maxFileSize:
		return fmt.Errorf("it has %.100q with %d bytes, which cannot be", f.Name, f.Bytes)
	case f.SHA256 != "" && !hexSHA256.MatchString(f.SHA256):
		return fmt.Errorf("it has %.100q with the SHA-256 %.80q, which is none", f.Name, f.SHA256)
	case f.Git != "" && !hexSHA1.MatchString(f.Git):
		return fmt.Errorf("it has %.100q with the git blob %.80q, which is none", f.Name, f.Git)
	}
	return nil
}

// licence reads cardData.license, a word or a list of words, or else a tag. "other"
// has a name of its own.
func (a modelAnswer) licence() string {
	var card struct {
		License     any `json:"license"`
		LicenseName any `json:"license_name"`
	}
	_ = json.Unmarshal(a.Card, &card) // what it is not, it does not say
	id := words(card.License)
	if name := words(card.LicenseName); name != "" && (id == "" || id == "other") {
		return name
	}
	if id != "" {
		return id
	}
	var tags []string
	_ = json.Unmarshal(a.Tags, &tags)
	for _, t := range tags {
		if id, ok := strings.CutPrefix(t, "license:"); ok {
			return words(id)
		}
	}
	return ""
}

func (a modelAnswer) modelType() string {
	var config struct {
		ModelType string `json:"model_type"`
	}
	_ = json.Unmarshal(a.Config, &config)
	return words(config.ModelType)
}

// words makes one short printable line of a word or a list of words.
func words(v any) string {
	var s string
	switch v := v.(type) {
	case string:
		s = v
	case []any:
		var parts []string
		for _, p := range v {
			if p, ok := p.(string); ok {
				parts = append(parts, p)
			}
		}
		s = strings.Join(parts, ", ")
	}
	s = strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return -1
	}, strings.TrimSpace(s))
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:100], "")
	}
	return s
}

// fileAddress is where a file of a commit is.
func (h *Hub) fileAddress(r Repo, commit, name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return fmt.Sprintf("%s/%s/resolve/%s/%s", h.endpoint(), r.Name, commit, strings.Join(parts, "/"))
}

// ask completes a file whose size or digest the listing does not have, from the
// headers of the file itself.
func (h *Hub) ask(ctx context.Context, r Repo, commit string, f File) (File, error) {
	err := h.again(ctx, func(ctx context.Context) (bool, error) {
		a, err := h.request(ctx, http.MethodHead, h.fileAddress(r, commit, f.Name), nil)
		if err != nil {
			return false, err
		}
		defer a.stop()
		if a.StatusCode != http.StatusOK && h.trusts(a.Request.URL) {
			return false, h.refusal(r, f.Name, a.Response)
		}
		if f.Bytes = -1; a.StatusCode == http.StatusOK {
			f.Bytes = a.ContentLength
		}
		if n, err := strconv.ParseInt(a.size, 10, 64); err == nil {
			f.Bytes = n
		}
		switch etag := normalETag(a.etag); {
		case hexSHA256.MatchString(etag):
			f.SHA256, f.Git = etag, ""
		case hexSHA1.MatchString(etag):
			f.SHA256, f.Git = "", etag
		}
		return false, nil
	})
	switch {
	case err != nil:
		return f, err
	case f.etag() == "" || f.Bytes < 0:
		return f, fmt.Errorf("%s of %s: %s tells no size or digest of it, so it cannot be proven: is HF_ENDPOINT a hub?", f.Name, r, h.endpoint())
	}
	return f, f.valid()
}

// normalETag is an ETag without its quotes and mark.
func normalETag(s string) string {
	return strings.ToLower(strings.Trim(strings.TrimPrefix(s, "W/"), `"`))
}
