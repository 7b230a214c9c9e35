package hub

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/clipsearch/clipsearch"
)

// Repo is a repository of the hub at a revision.
type Repo struct {
	Name     string // "org/name"
	Revision string // a branch, tag, commit or pull request ("refs/pr/1"); "main" if empty
}

var (
	repoName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}$`)
	commitID = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// ParseRepo reads "org/name" or "org/name@revision".
func ParseRepo(s string) (Repo, error) {
	name, revision, pinned := strings.Cut(s, "@")
	r := Repo{name, revision}
	switch {
	case !repoName.MatchString(name) || strings.Contains(name, "..") || strings.Contains(name, "--") || strings.HasSuffix(name, ".git"):
		return Repo{}, fmt.Errorf("%q is no repository of the hub: write ORG/NAME or ORG/NAME@REVISION: %w", s, clipsearch.ErrInvalid)
	case pinned && !validRevision(revision):
		return Repo{}, fmt.Errorf("%q is no revision of %s: write a branch, a tag or a commit after the @: %w", revision, name, clipsearch.ErrInvalid)
	}
	return r, nil
}

// validRevision reports whether s can be a file's name below refs, on every system.
func validRevision(s string) bool {
	if s == "" || len(s) > 200 || strings.HasPrefix(s, "-") || strings.HasSuffix(s, ".lock") {
		return false
	}
	return validPath(s)
}

// validPath reports whether a name from outside, with slashes, stays below the folder
// that it is joined to, on every system.
func validPath(s string) bool {
	if len(s) > 1000 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`\:*?"<>|`, r) }) {
		return false
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || part == "." || part == ".." || len(part) > 250 || strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") {
			return false
		}
	}
	return filepath.IsLocal(filepath.FromSlash(s))
}

// escapes reports whether a name leads out of the folder that it is joined to, or
// was made to look as if it did not.
func escapes(s string) bool {
	if s == "" || strings.HasPrefix(s, "/") || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '\\' }) {
		return true
	}
	return slices.Contains(strings.Split(s, "/"), "..")
}

// rev is the revision to ask for.
func (r Repo) rev() string {
	if r.Revision == "" {
		return "main"
	}
	return r.Revision
}

// String is what ParseRepo reads.
func (r Repo) String() string {
	if r.Revision == "" {
		return r.Name
	}
	return r.Name + "@" + r.Revision
}

// folder is the repository's in the cache.
func (r Repo) folder() string { return "models--" + strings.ReplaceAll(r.Name, "/", "--") }
