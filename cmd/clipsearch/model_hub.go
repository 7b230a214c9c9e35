package main

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clipsearch/clipsearch"
	"github.com/clipsearch/clipsearch/clip"
	"github.com/clipsearch/clipsearch/hub"
)

// newHub is the hub as the environment describes it, in the variables of Python's
// huggingface_hub.
func (a *app) newHub() (*hub.Hub, error) {
	h := &hub.Hub{
		Endpoint: a.getenv("HF_ENDPOINT"), Cache: a.hubCache(), Token: a.hubToken(),
		Offline: isTrue(cmp.Or(a.getenv("HF_HUB_OFFLINE"), a.getenv("TRANSFORMERS_OFFLINE"))), UserAgent: "clipsearch/" + version,
	}
	if s := a.getenv("HF_HUB_DOWNLOAD_TIMEOUT"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 86400 {
			return nil, mistake("HF_HUB_DOWNLOAD_TIMEOUT is %q: it is a number of seconds", s)
		}
		h.Patience = time.Duration(n) * time.Second
	}
	return h, nil
}

// isTrue reads a switch as Python's huggingface_hub does.
func isTrue(s string) bool {
	return slices.Contains([]string{"1", "ON", "YES", "TRUE"}, strings.ToUpper(s))
}

// hubHome is HF_HOME.
func (a *app) hubHome() string {
	if dir := a.getenv("HF_HOME"); dir != "" {
		return a.expand(dir)
	}
	return filepath.Join(cmp.Or(a.getenv("XDG_CACHE_HOME"), filepath.Join(a.home(), ".cache")), "huggingface")
}

func (a *app) hubCache() string {
	if dir := cmp.Or(a.getenv("HF_HUB_CACHE"), a.getenv("HUGGINGFACE_HUB_CACHE")); dir != "" {
		return a.expand(dir)
	}
	return filepath.Join(a.hubHome(), "hub")
}

// hubToken is HF_TOKEN, or else what is in the file that `hf auth login` writes.
func (a *app) hubToken() string {
	if t := cmp.Or(a.getenv("HF_TOKEN"), a.getenv("HUGGING_FACE_HUB_TOKEN")); t != "" || isTrue(a.getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		return strings.TrimSpace(t)
	}
	name := filepath.Join(a.hubHome(), "token")
	if s := a.getenv("HF_TOKEN_PATH"); s != "" {
		name = a.expand(s)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return "" // whoever is not logged in has none
	}
	return strings.TrimSpace(string(data))
}

// expand replaces ~ and variables in a path, as Python does in these.
func (a *app) expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || os.IsPathSeparator(rest[0])) {
		path = a.home() + rest
	}
	return os.Expand(path, a.getenv)
}

func (a *app) home() string {
	if runtime.GOOS == "windows" {
		return a.getenv("USERPROFILE")
	}
	return a.getenv("HOME")
}

// source is where a model of the hub comes from, and which of its files are meant.
type source struct {
	repo  hub.Repo
	known hub.Known // zero if the registry does not have it
	globs []string  // of the weights; nil: as known has them
}

// files are the globs that hub.Wish wants.
func (s source) files() []string {
	if s.globs != nil {
		return s.globs
	}
	return s.known.Files()
}

// sourceOf reads a short name of the registry, perhaps with @REV, or ORG/NAME[@REV].
func sourceOf(name string) (source, error) {
	short, revision, pinned := strings.Cut(name, "@")
	if k, ok := hub.Lookup(short); ok {
		s := source{repo: k.Source(), known: k}
		if pinned {
			r, err := hub.ParseRepo(k.Repo + "@" + revision)
			s.repo = r
			return s, err
		}
		return s, nil
	}
	r, err := hub.ParseRepo(name)
	if err != nil {
		if !strings.Contains(short, "/") {
			return source{}, mistake("no model is called %s: `clipsearch model list` tells which there are, others are called ORG/NAME", name)
		}
		return source{}, err
	}
	s := source{repo: r}
	if list := hub.KnownAs(r.Name); len(list) > 0 && list[0].Folder == "" {
		s.known = list[0]
	}
	return s, nil
}

// dir is the model's directory within a snapshot.
func (s source) dir(snapshot string) string {
	return filepath.Join(snapshot, filepath.FromSlash(s.known.Folder))
}

// hubModel reads the model that a name means, if it has the form of one of the hub's:
// from what is installed, without asking anybody. An image tower that is in another
// repository comes from there.
func (a *app) hubModel(name string) (m clip.Model, meant bool, err error) {
	s, err := sourceOf(name)
	if err != nil {
		return m, false, nil // some other kind of name
	}
	h, err := a.newHub()
	if err != nil {
		return m, true, err
	}
	if m, err = a.installed(h, s, name); errors.Is(err, clipsearch.ErrNotFound) {
		return m, true, mistake("model %s is not installed, and it is no directory: get it with `clipsearch model pull %s`", name, name)
	}
	if err != nil {
		return m, true, err
	}
	images, apart := s.images()
	if !apart {
		return m, true, nil
	}
	tower, err := a.installed(h, images, name)
	tower.Name = images.repo.Name
	if errors.Is(err, clipsearch.ErrNotFound) {
		return m, true, lacksImages{mistake("the image tower of model %s, %s, is not installed: get it with `clipsearch model pull %s`", name, images.repo, name)}
	}
	if err != nil {
		return m, true, err
	}
	both, err := clip.Pair(tower, m)
	both.Name = name
	return both, true, err
}

// images is where the image tower comes from, where that is another repository.
func (s source) images() (source, bool) {
	t := s.known.Images
	if t == nil {
		return source{}, false
	}
	return source{repo: t.Source(), known: hub.Known{Licence: t.Licence}, globs: t.Files}, true
}

// installed reads what is installed of a repository, for the model of that name.
func (a *app) installed(h *hub.Hub, s source, name string) (m clip.Model, err error) {
	snap, err := h.Find(s.repo)
	if err != nil {
		return m, err
	}
	if m, err = clip.ReadModel(s.dir(snap.Dir), a.options.precision); err != nil {
		if lacks := snap.Lacks(hub.Wish{Precision: a.options.precision, Files: s.files()}); lacks != nil {
			err = mistake("what is installed of %s is not all that is needed: get the rest with `clipsearch model pull %s`", name, name)
		}
		return m, err
	}
	m.Name = name
	m.Licence = cmp.Or(m.Licence, s.known.Licence, snap.Licence())
	sums := map[string]string{}
	for _, f := range m.Files {
		sums[f.Name] = f.SHA256
	}
	return m, snap.Prove(sums)
}
