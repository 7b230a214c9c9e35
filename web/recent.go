package web

import (
	"slices"
	"sync"

	"github.com/clipsearch/clipsearch"
)

// upload is a picture that was searched with: what a page of it needs.
type upload struct {
	space   clipsearch.Space // of vector
	vector  clipsearch.Vector
	preview []byte // a JPEG, or nil
}

const maxRecent = 256 // some 5 MB with previews

// recent remembers the last pictures searched with, so that their pages have a
// URL and a next one. Its zero value remembers none yet.
type recent struct {
	mu    sync.Mutex
	known map[clipsearch.ID]upload
	order []clipsearch.ID // oldest use first
}

func (r *recent) put(id clipsearch.ID, u upload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[clipsearch.ID]upload{}
	}
	if old, ok := r.known[id]; ok && u.preview == nil {
		u.preview = old.preview
	}
	r.known[id] = u
	r.touch(id)
	if len(r.order) > maxRecent {
		delete(r.known, r.order[0])
		r.order = r.order[1:]
	}
}

func (r *recent) get(id clipsearch.ID) (upload, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u, ok := r.known[id]
	if ok {
		r.touch(id)
	}
	return u, ok
}

func (r *recent) touch(id clipsearch.ID) {
	if i := slices.Index(r.order, id); i >= 0 {
		r.order = slices.Delete(r.order, i, i+1)
	}
	r.order = append(r.order, id)
}
