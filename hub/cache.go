package hub

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// Snapshot is a repository at a commit, as the cache has it.
type Snapshot struct {
	Repo   Repo // with the revision that it was looked for by, or a branch or tag that is at it
	Commit string
	Dir    string
}

// Find looks for an installed repository. It asks nobody: a branch or tag is where it
// was at the last pull. Without a revision and without a main there may be one commit
// alone, which is the one.
func (h *Hub) Find(r Repo) (Snapshot, error) {
	base := filepath.Join(h.Cache, r.folder())
	commit := r.rev()
	if ref, err := os.ReadFile(filepath.Join(base, "refs", filepath.FromSlash(commit))); err == nil {
		commit = strings.TrimSpace(string(ref))
	}
	if !commitID.MatchString(commit) {
		commit = h.only(base, r.Revision)
	}
	s := Snapshot{r, commit, filepath.Join(base, "snapshots", commit)}
	if st, err := os.Stat(s.Dir); commit == "" || err != nil || !st.IsDir() {
		return Snapshot{}, fmt.Errorf("model %s is not installed: get it with `clipsearch model pull %s`: %w", r, r, clipsearch.ErrNotFound)
	}
	return s, nil
}

// only is the one snapshot whose commit begins as the revision does, or the only one
// there is if that is empty; "" if there is none, or several.
func (h *Hub) only(base, revision string) string {
	if revision != "" && len(revision) < 7 {
		return ""
	}
	var found string
	for _, c := range commits(base) {
		if strings.HasPrefix(c, revision) {
			if found != "" {
				return ""
			}
			found = c
		}
	}
	return found
}

// commits are those that have a snapshot.
func commits(base string) (list []string) {
	entries, _ := os.ReadDir(filepath.Join(base, "snapshots"))
	for _, e := range entries {
		if e.IsDir() && commitID.MatchString(e.Name()) {
			list = append(list, e.Name())
		}
	}
	return list
}

// Installed lists the snapshots in the cache that hold a model as Choose knows them,
// each under a branch or tag that is at it, or else under its commit.
func (h *Hub) Installed() []Snapshot {
	entries, _ := os.ReadDir(h.Cache)
	var list []Snapshot
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), "models--")
		r, err := ParseRepo(strings.Replace(name, "--", "/", 1))
		if !ok || err != nil {
			continue
		}
		base := filepath.Join(h.Cache, e.Name())
		refs := readRefs(filepath.Join(base, "refs"))
		for _, c := range commits(base) {
			s := Snapshot{Repo{r.Name, c}, c, filepath.Join(base, "snapshots", c)}
			if ref, ok := refs[c]; ok {
				s.Repo.Revision = ref
			}
			if s.Repo.Revision == "main" {
				s.Repo.Revision = ""
			}
			if s.holdsModel() {
				list = append(list, s)
			}
		}
	}
	return list
}

// readRefs maps commits to the branch or tag that is at them, main before others.
func readRefs(dir string) map[string]string {
	refs := map[string]string{}
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(name)
		rel, rerr := filepath.Rel(dir, name)
		commit := strings.TrimSpace(string(data))
		if err == nil && rerr == nil && validRevision(filepath.ToSlash(rel)) && refs[commit] != "main" {
			refs[commit] = filepath.ToSlash(rel)
		}
		return nil
	})
	return refs
}

// names are the files of a snapshot, sorted, with slashes.
func (s Snapshot) names() (list []string) {
	_ = filepath.WalkDir(s.Dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if rel, rerr := filepath.Rel(s.Dir, name); rerr == nil {
			if _, err := os.Stat(name); err == nil { // a link may lead nowhere
				list = append(list, filepath.ToSlash(rel))
			}
		}
		return nil
	})
	sort.Strings(list)
	return list
}

// holdsModel reports whether there is a two-tower model in the snapshot: other
// programs keep models of every kind in the cache.
func (s Snapshot) holdsModel() bool {
	names := s.names()
	c, err := Choose(names, Wish{})
	if err != nil {
		c, err = Choose(names, Wish{Precision: "int8"})
	}
	if err != nil {
		return false
	}
	l := Listing{ModelType: s.modelType()}
	return l.runs(c) == nil && (l.ModelType != "" || c.Layout != "joint" && c.Layout != "transformers")
}

// install makes the snapshot of a commit, whose blobs are there, and then has the
// revision point to it. A snapshot that is not there appears at once.
func (h *Hub) install(r Repo, commit string, files []File) error {
	base := filepath.Join(h.Cache, r.folder())
	snapshots := filepath.Join(base, "snapshots")
	if err := os.MkdirAll(snapshots, 0o755); err != nil {
		return diskError(h.Cache, r.Name, err)
	}
	final := filepath.Join(snapshots, commit)
	if _, err := os.Stat(final); isMissing(err) {
		fresh, err := os.MkdirTemp(snapshots, ".tmp-")
		if err != nil {
			return diskError(h.Cache, r.Name, err)
		}
		defer os.RemoveAll(fresh)
		if err := h.linkAll(base, fresh, files); err != nil {
			return diskError(h.Cache, r.Name, err)
		}
		if err := os.Chmod(fresh, 0o755); err != nil {
			return diskError(h.Cache, r.Name, err)
		}
		if err := os.Rename(fresh, final); err == nil {
			return h.point(base, r, commit)
		} // another pull was quicker
	}
	if err := h.linkAll(base, final, files); err != nil {
		return diskError(h.Cache, r.Name, err)
	}
	return h.point(base, r, commit)
}

// linkAll has a snapshot's folder hold the files.
func (h *Hub) linkAll(base, dir string, files []File) error {
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := h.linkFile(filepath.Join(base, "blobs", f.etag()), name); err != nil {
			return err
		}
	}
	return nil
}

// linkFile has name be the blob: by a relative link, as Python makes it; else by a
// second name for the same bytes, else by a copy.
func (h *Hub) linkFile(blob, name string) error {
	to, err := filepath.Rel(filepath.Dir(name), blob)
	if err != nil {
		return err
	}
	if old, err := os.Readlink(name); err == nil && old == to {
		return nil
	}
	fresh := name + ".tmp-link"
	os.Remove(fresh)
	link := h.link
	if link == nil {
		link = os.Symlink
	}
	if err := link(to, fresh); err != nil {
		if err := os.Link(blob, fresh); err != nil {
			if err := copyFile(blob, fresh); err != nil {
				os.Remove(fresh)
				return err
			}
		}
	}
	if err := os.Rename(fresh, name); err != nil {
		os.Remove(fresh)
		return err
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// point has the revision name the commit, unless it is one.
func (h *Hub) point(base string, r Repo, commit string) error {
	if r.rev() == commit {
		return nil
	}
	name := filepath.Join(base, "refs", filepath.FromSlash(r.rev()))
	if sameBytes(name, []byte(commit)) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return diskError(h.Cache, r.String(), err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-")
	if err != nil {
		return diskError(h.Cache, r.String(), err)
	}
	defer os.Remove(f.Name()) // gone by then, if all went well
	_, err = f.WriteString(commit)
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return diskError(h.Cache, r.String(), err)
	}
	return os.Rename(f.Name(), name)
}
