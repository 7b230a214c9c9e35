package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/go-chi/chi/v5"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static/*
var staticFiles embed.FS

// asset is a file of static/, under a name that changes with what it holds.
type asset struct {
	contentType, tag string
	body             []byte
}

// assets are by the name in their URL; assetURLs say the URL of a file.
var assets, assetURLs = readAssets()

func readAssets() (map[string]asset, map[string]string) {
	named, urls := map[string]asset{}, map[string]string{}
	files, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		panic(err) // it is embedded
	}
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
	for _, f := range files {
		body, err := staticFiles.ReadFile("static/" + f.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		ext, tag := path.Ext(f.Name()), hex.EncodeToString(sum[:6])
		name := strings.TrimSuffix(f.Name(), ext) + "." + tag + ext
		kind := types[ext]
		if kind == "" {
			kind = mime.TypeByExtension(ext)
		}
		named[name] = asset{kind, tag, body}
		urls[f.Name()] = "/static/" + name
	}
	return named, urls
}

// static answers GET /static/{name}.
func static(w http.ResponseWriter, r *http.Request) error {
	a, ok := assets[chi.URLParam(r, "name")]
	if !ok {
		return noRoute(w, r)
	}
	forever(w, a.tag)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable") // it is everyone's
	if matches(r.Header.Get("If-None-Match"), `"`+a.tag+`"`) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	send(w, http.StatusOK, a.contentType, a.body)
	return nil
}
