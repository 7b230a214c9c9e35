package hub

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/internal/disk"
)

// Pulled is a model that lies in the cache, proven.
type Pulled struct {
	Repo    Repo
	Commit  string
	Dir     string // the snapshot
	Layout  string
	Licence string
	Files   []PulledFile
	Bytes   int64 // of all files
	Loaded  int64 // of them, what came over the network now
}

// PulledFile is a file of a snapshot.
type PulledFile struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Order is one pull.
type Order struct {
	Wish
	Progress func(done, total int64)     // bytes; called from one goroutine at a time; may be nil
	Agree    func(Listing, Choice) error // asked before anything is loaded; may be nil
}

// Pull brings the files of a model that are needed into the cache, all or none, and
// proves each by the digest that the hub lists. What is there is proven again and not
// loaded. Broken connections and a busy hub are waited for; after an error or a kill
// the next Pull goes on where this one ended.
func (h *Hub) Pull(ctx context.Context, r Repo, o Order) (Pulled, error) {
	l, err := h.List(ctx, r)
	if err != nil {
		return Pulled{}, err
	}
	names := make([]string, len(l.Files))
	for i, f := range l.Files {
		names[i] = f.Name
	}
	c, err := Choose(names, o.Wish)
	if err == nil {
		err = l.runs(c)
	}
	if err != nil {
		return Pulled{}, fmt.Errorf("%s: %w", r, err)
	}
	if o.Agree != nil {
		if err := o.Agree(l, c); err != nil {
			return Pulled{}, err
		}
	}
	files, err := h.complete(ctx, r, l, c)
	if err != nil {
		return Pulled{}, err
	}
	p, err := h.load(ctx, r, l.Commit, files, o.Progress)
	if err != nil {
		return Pulled{}, err
	}
	if err := h.install(r, l.Commit, files); err != nil {
		return Pulled{}, err
	}
	p.Repo, p.Commit, p.Layout, p.Licence = r, l.Commit, c.Layout, l.Licence
	p.Dir = filepath.Join(h.Cache, r.folder(), "snapshots", l.Commit)
	return p, nil
}

// twoTowers are the model types of config.json that name both towers, or one of a pair.
var twoTowers = []string{"clip", "siglip", "siglip2", "chinese_clip", "altclip", "metaclip_2", "vision-text-dual-encoder", "jina_clip", "m-clip", "mobileclip", "open_clip", "clip_vision_model", "clip_text_model", "siglip_vision_model", "siglip_text_model"}

// runs refuses weights that config.json calls something else than a two-tower model:
// a language model has the same files.
func (l Listing) runs(c Choice) error {
	if c.Layout != "joint" && c.Layout != "transformers" || l.ModelType == "" {
		return nil
	}
	for _, t := range twoTowers {
		if strings.EqualFold(t, l.ModelType) {
			return nil
		}
	}
	return fmt.Errorf("it is a model of the type %q, not one of pictures and texts (%s): `clipsearch model list` tells some that are; a text tower alone, for `clipsearch model import --text`, is pulled by the name of its weights (--file model.safetensors): %w", l.ModelType, strings.Join(twoTowers[:5], ", "), clipsearch.ErrInvalid)
}

// complete returns the chosen files, each with its size and digest.
func (h *Hub) complete(ctx context.Context, r Repo, l Listing, c Choice) ([]File, error) {
	chosen := map[string]bool{}
	for _, n := range c.Files {
		chosen[n] = true
	}
	files := make([]File, 0, len(c.Files))
	for _, f := range l.Files {
		if !chosen[f.Name] {
			continue
		}
		if f.Bytes < 0 || f.etag() == "" {
			var err error
			if f, err = h.ask(ctx, r, l.Commit, f); err != nil {
				return nil, err
			}
		}
		files = append(files, f)
	}
	return files, nil
}

// load brings the blobs of files into the cache, several at once.
func (h *Hub) load(ctx context.Context, r Repo, commit string, files []File, progress func(done, total int64)) (Pulled, error) {
	var p Pulled
	for _, f := range files {
		p.Bytes += f.Bytes
	}
	if err := os.MkdirAll(filepath.Join(h.Cache, r.folder(), "blobs"), 0o755); err != nil {
		return p, diskError(h.Cache, r.Name, err)
	}
	if err := h.room(r, files); err != nil {
		return p, err
	}
	var mu sync.Mutex
	var done int64
	came := func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		if done += n; progress != nil {
			progress(done, p.Bytes)
		}
	}
	p.Files = make([]PulledFile, len(files))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, h.parallel()))
	for i, f := range files {
		g.Go(func() error {
			if err := gctx.Err(); err != nil {
				return err
			}
			sum, loaded, err := fetch{h, r, commit, f, came}.run(gctx)
			mu.Lock()
			defer mu.Unlock()
			p.Files[i] = PulledFile{f.Name, f.Bytes, sum}
			p.Loaded += loaded
			return err
		})
	}
	err := g.Wait()
	return p, err
}

func (h *Hub) parallel() int {
	if h.Parallel == 0 {
		return 4
	}
	return h.Parallel
}

// spare is what a pull leaves free on a disk, in bytes.
const spare = 16 << 20

// room returns an error if the disk has no room for what is still to come.
func (h *Hub) room(r Repo, files []File) error {
	dir := filepath.Join(h.Cache, r.folder(), "blobs")
	var need int64
	seen := map[string]bool{}
	for _, f := range files {
		if seen[f.etag()] {
			continue
		}
		seen[f.etag()] = true
		need += f.Bytes
		for _, name := range []string{f.etag(), f.etag() + ".incomplete"} {
			if st, err := os.Stat(filepath.Join(dir, name)); err == nil {
				need -= min(st.Size(), f.Bytes)
				break
			}
		}
	}
	free := h.free
	if free == nil {
		free = disk.Free
	}
	left, err := free(dir)
	if err == nil && need > 0 && left < need+spare {
		return fmt.Errorf("%s: %d MB are to come, and the disk of %s has %d MB free: free some, or name another place with HF_HOME: %w", r, (need+spare)>>20, h.Cache, left>>20, clipsearch.ErrNoSpace)
	}
	return nil // where it cannot be told, a full disk is found out by filling it
}
